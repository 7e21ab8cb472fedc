"""Shapes, decoding, the registry and OpenAPI."""

from __future__ import annotations

from typing import Any

import pytest

from terrarium.kube.api import openapi, openapi_definitions, typed
from terrarium.kube.api.builtin import registry
from terrarium.kube.api.schema import schema

POD = "io.k8s.api.core.v1.Pod"


def test_every_kind_has_a_shape_and_a_unique_name() -> None:
    seen = set()
    for kind in registry():
        assert schema().struct(kind.schema) is not None, kind.schema
        assert (kind.group_version, kind.plural) not in seen
        seen.add((kind.group_version, kind.plural))
    assert len(seen) == 61


def test_fields_by_path() -> None:
    ports = schema().field(POD, ("spec", "containers", "ports"))
    assert ports is not None
    assert (ports.merge_key, ports.list_type, ports.list_keys) == (
        "containerPort",
        "map",
        ("containerPort", "protocol"),
    )
    assert schema().field(POD, ("spec", "nothing")) is None


def test_minor_versions_differ() -> None:
    assert schema(30).field(POD, ("spec", "resources")) is None
    assert schema(33).field(POD, ("spec", "resources")) is not None


@pytest.mark.parametrize(
    "obj, message",
    [
        ({"metadata": "x"}, "json: cannot unmarshal string into Go struct field Pod.metadata of type v1.ObjectMeta"),
        (
            {"spec": {"containers": [{"image": 5}]}},
            "json: cannot unmarshal number into Go struct field Container.spec.containers.image of type string",
        ),
        (
            {"metadata": {"labels": []}},
            "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
        ),
        (
            {"spec": {"priority": 3000000000}},
            "json: cannot unmarshal number 3000000000 into Go struct field PodSpec.spec.priority of type int32",
        ),
    ],
)
def test_wrong_types(obj: Any, message: str) -> None:
    with pytest.raises(typed.DecodeError) as refused:
        typed.decode(obj, POD)
    assert str(refused.value) == message


def test_unknown_fields_in_the_order_of_the_document() -> None:
    obj = {"metadata": {"zz": 1}, "spec": {"containers": [{"name": "c", "bar": 2}], "foo": 1}, "top": 3}
    assert typed.decode(obj, POD).unknown == ("metadata.zz", "spec.containers[0].bar", "spec.foo", "top")


def test_decoding_prints_as_go_does() -> None:
    obj = {
        "kind": "Pod",
        "spec": {"hostNetwork": False, "containers": [{"name": "c"}], "nodeSelector": {}},
        "status": None,
    }
    assert typed.decode(obj, POD).obj == {
        "kind": "Pod",
        "metadata": {"creationTimestamp": None},
        "spec": {"containers": [{"name": "c", "resources": {}}]},
        "status": {},
    }


def test_openapi_documents() -> None:
    kinds = registry()
    assert "api/v1" in openapi.v3_index(kinds)
    document = openapi.v3_document(kinds, "apis/apps/v1")
    assert document is not None
    item = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    assert item["patch"]["x-kubernetes-group-version-kind"] == {"group": "apps", "kind": "Deployment", "version": "v1"}
    schemas = document["components"]["schemas"]
    assert "io.k8s.api.core.v1.PodSpec" in schemas
    assert set(openapi_definitions.references(document)) <= set(schemas)
    assert openapi.v3_document(kinds, "apis/nothing/v1") is None
