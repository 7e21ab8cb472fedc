"""Addresses parse what they print."""

import pytest

from terrarium.engine.addresses import (
    AddressError,
    Instance,
    is_within,
    parse_instance,
    parse_provider_config,
    parse_target,
)

SAME = [
    "terraform_data.x",
    "terraform_data.x[0]",
    'terraform_data.x["a.b"]',
    'module.a["k\\"x"].aws_x.y[3]',
    'module.a.module.b[1].data.t.n["$${x}"]',
]


@pytest.mark.parametrize("text", SAME)
def test_an_instance_prints_as_it_was_written(text: str) -> None:
    assert str(parse_instance(text)) == text


@pytest.mark.parametrize("text", ["bad..addr", ".x", "a", "a.b.c", "data.x", "a.b[", "module", "a b.c"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_target(text)


WITHIN = [
    ("a.b[0]", "a.b", True),
    ("a.b[0]", "a.b[1]", False),
    ('module.m["k"].a.b', "module.m", True),
    ('module.m["k"].a.b', 'module.m["z"]', False),
    ('module.m["k"].module.n.a.b', "module.m", True),
    ("a.b", "a.c", False),
]


@pytest.mark.parametrize(("instance", "target", "expected"), WITHIN)
def test_targets_cover_instances(instance: str, target: str, expected: bool) -> None:
    assert is_within(parse_instance(instance), parse_target(target)) is expected


def test_addresses_sort_as_terraform_sorts_them() -> None:
    texts = ["a.b[2]", "a.b[10]", "data.z.z", 'a.b["x"]', "a.a", "module.m.a.a", "a.b"]
    found: list[Instance] = sorted((parse_instance(t) for t in texts), key=lambda i: i.order)
    assert list(map(str, found)) == ["data.z.z", "a.a", "a.b", "a.b[2]", "a.b[10]", 'a.b["x"]', "module.m.a.a"]


@pytest.mark.parametrize(
    "text",
    [
        'provider["registry.terraform.io/hashicorp/aws"]',
        'module.m.provider["registry.terraform.io/hashicorp/aws"].west',
    ],
)
def test_provider_configurations_print_as_written(text: str) -> None:
    assert str(parse_provider_config(text)) == text


@pytest.mark.parametrize(
    "text, summary, at",
    [
        pytest.param("", "Variable name required", 0, id="nothing"),
        pytest.param("1a.b", "Variable name required", 0, id="number first"),
        pytest.param("a..b", "Attribute name required", 2, id="two dots"),
        pytest.param("a b", "Invalid character", 1, id="space"),
        pytest.param("a.b[", "Index value required", 4, id="open bracket"),
        pytest.param("a.b[1", "Unclosed index brackets", 3, id="no closing bracket"),
        pytest.param('a.b["x', "Unterminated string literal", 4, id="open quote"),
        pytest.param("a.b[*]", "Attribute name required", 4, id="splat"),
        pytest.param("a.b[1.5]", "Invalid address", 3, id="fraction"),
        pytest.param("a", "Invalid address", 0, id="no name"),
        pytest.param("a.b.c", "Invalid address", 0, id="too long"),
        pytest.param("var.x", "Invalid address", 0, id="reserved"),
    ],
)
def test_what_is_wrong(text: str, summary: str, at: int) -> None:
    with pytest.raises(AddressError) as caught:
        parse_target(text)
    assert (caught.value.summary, caught.value.at) == (summary, at)
