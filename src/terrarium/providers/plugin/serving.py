"""Serves one of our providers as a plugin, so that the real terraform can use it: the other side of `process`.

A host that wants TLS (Terraform does) has its own certificate in the environment; then one is made for this process and
told in the handshake. The host's is not asked for: its curve (P-521) is none that gRPC's TLS takes. Who may connect is
decided by the folder of the socket, which only this user may enter.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from terrarium.base.clock import Clock, real_wait
from terrarium.base.diagnostics import Diagnostic, Failure, Severity
from terrarium.engine.provider import (
    Attribute,
    Block,
    EphemeralProvider,
    NestedObject,
    Nesting,
    Parameter,
    Provider,
    Schema,
    Signature,
)
from terrarium.language import type_expressions
from terrarium.language.types import Type
from terrarium.language.values import Value
from terrarium.providers.plugin import encoding
from terrarium.providers.plugin.process import COOKIE
from terrarium.providers.plugin.protocol import Protocol, protocol

_NESTING = {Nesting.SINGLE: 1, Nesting.LIST: 2, Nesting.SET: 3, Nesting.MAP: 4, Nesting.GROUP: 5}
_THREADS = 16


class Service:
    """The calls of the protocol, answered by a provider."""

    def __init__(self, provider: Provider, version: int) -> None:
        self._provider = provider
        self._protocol: Protocol = protocol(version)
        self._schema = provider.schema()
        self._types: dict[tuple[str, str], Type] = {}

    def methods(self) -> Mapping[str, tuple[Callable[[Any], Any], Any]]:
        """What answers a call and how its request is read, by the call's path."""
        found = {}
        for name, (path, request, _) in self._protocol.calls.items():
            found[path] = (getattr(self, f"{name}_"), self._protocol.message(request).FromString)
        return found

    def _new(self, message: str, /, **fields: Any) -> Any:
        return self._protocol.new(message, **fields)

    def _type(self, mode: str, name: str = "") -> Type:
        known = self._types.get((mode, name))
        if known is None:
            schema = self._schema
            table = {"managed": schema.resources, "data": schema.data_sources, "ephemeral": schema.ephemeral}
            known = schema.provider.block.type if mode == "provider" else table[mode][name].block.type
            self._types[mode, name] = known
        return known

    def _value(self, sent: Any, type: Type) -> Value:
        return encoding.unpack(sent.msgpack, type)

    def _sent(self, value: Value, type: Type) -> Any:
        return self._new("DynamicValue", msgpack=encoding.pack(value, type))

    def _said(self, diagnostics: Sequence[Diagnostic]) -> list[Any]:
        return [
            self._new(
                "Diagnostic",
                severity=1 if d.severity is Severity.ERROR else 2,
                summary=d.summary,
                detail=d.detail,
                attribute=self._path(d.attribute) if d.attribute else None,
            )
            for d in diagnostics
        ]

    def _path(self, path: Sequence[object]) -> Any:
        steps = [
            self._new("Step", element_key_int=step) if isinstance(step, int) else self._new("Step", attribute_name=step)
            for step in path
            if isinstance(step, int | str)
        ]
        return self._new("AttributePath", steps=steps)

    # --- schema

    def _described(self, schema: Schema) -> Any:
        return self._new("Schema", version=schema.version, block=self._block(schema.block))

    def _block(self, block: Block) -> Any:
        return self._new(
            "Block",
            attributes=[self._attribute(name, a) for name, a in block.attributes.items()],
            block_types=[
                self._new(
                    "NestedBlock",
                    type_name=name,
                    block=self._block(b.block),
                    nesting=_NESTING[b.nesting],
                    min_items=b.min_items,
                    max_items=b.max_items,
                )
                for name, b in block.blocks.items()
            ],
            description=block.description,
            deprecated=block.deprecated,
        )

    def _attribute(self, name: str, attribute: Attribute) -> Any:
        made = self._new(
            "Attribute",
            name=name,
            description=attribute.description,
            required=attribute.required,
            optional=attribute.optional,
            computed=attribute.computed,
            sensitive=attribute.sensitive,
            description_kind=1 if attribute.markdown else 0,
            deprecated=attribute.deprecated,
            write_only=attribute.write_only,
        )
        if attribute.nested is not None and self._protocol.version == 6:
            made.nested_type.CopyFrom(self._nested(attribute.nested))
        else:
            made.type = _written(attribute.type)
        return made

    def _nested(self, nested: NestedObject) -> Any:
        attributes = [self._attribute(name, a) for name, a in nested.attributes.items()]
        return self._new("NestedType", attributes=attributes, nesting=_NESTING[nested.nesting])

    def _function(self, signature: Signature) -> Any:
        made = self._new(
            "Function",
            parameters=[self._parameter(p) for p in signature.parameters],
            summary=signature.summary,
            description=signature.description,
        )
        if signature.variadic is not None:
            made.variadic_parameter.CopyFrom(self._parameter(signature.variadic))
        getattr(made, "return").type = _written(signature.returns)
        return made

    def _parameter(self, parameter: Parameter) -> Any:
        return self._new(
            "Parameter",
            name=parameter.name,
            type=_written(parameter.type),
            allow_null_value=parameter.allow_null,
            allow_unknown_values=parameter.allow_unknown,
            description=parameter.description,
        )

    # --- calls; each method's name is the call's in the table of the protocol

    def schema_(self, request: Any) -> Any:
        schema = self._schema
        return self._new(
            "SchemaResponse",
            provider=self._described(schema.provider),
            resource_schemas={name: self._described(s) for name, s in schema.resources.items()},
            data_source_schemas={name: self._described(s) for name, s in schema.data_sources.items()},
            ephemeral_resource_schemas={name: self._described(s) for name, s in schema.ephemeral.items()},
            functions={name: self._function(f) for name, f in schema.functions.items()},
        )

    def validate_provider_(self, request: Any) -> Any:
        config = self._value(request.config, self._type("provider"))
        said = self._said(self._provider.validate_provider(config))
        return self._new("PreparedConfig", prepared_config=request.config, diagnostics=said)

    def validate_resource_(self, request: Any) -> Any:
        config = self._value(request.config, self._type("managed", request.type_name))
        return self._new("Said", diagnostics=self._said(self._provider.validate_resource(request.type_name, config)))

    def validate_data_(self, request: Any) -> Any:
        config = self._value(request.config, self._type("data", request.type_name))
        return self._new("Said", diagnostics=self._said(self._provider.validate_data(request.type_name, config)))

    def validate_ephemeral_(self, request: Any) -> Any:
        config = self._value(request.config, self._type("ephemeral", request.type_name))
        said = self._ephemeral().validate_ephemeral(request.type_name, config)
        return self._new("Said", diagnostics=self._said(said))

    def _ephemeral(self) -> EphemeralProvider:
        assert isinstance(self._provider, EphemeralProvider), "only such a provider has ephemeral schemas"
        return self._provider

    def upgrade_(self, request: Any) -> Any:
        result = self._provider.upgrade(request.type_name, request.version, json.loads(request.raw_state.json))
        state = self._sent(result.value, self._type("managed", request.type_name))
        return self._new("UpgradeResponse", upgraded_state=state, diagnostics=self._said(result.diagnostics))

    def configure_(self, request: Any) -> Any:
        config = self._value(request.config, self._type("provider"))
        return self._new("Said", diagnostics=self._said(self._provider.configure(config)))

    def read_(self, request: Any) -> Any:
        kind = self._type("managed", request.type_name)
        result = self._provider.read(request.type_name, self._value(request.current_state, kind), request.private)
        return self._new(
            "ReadResponse",
            new_state=self._sent(result.value, kind),
            private=result.private,
            diagnostics=self._said(result.diagnostics),
        )

    def plan_(self, request: Any) -> Any:
        kind = self._type("managed", request.type_name)
        result = self._provider.plan(
            request.type_name,
            self._value(request.prior_state, kind),
            self._value(request.proposed_new_state, kind),
            self._value(request.config, kind),
            request.prior_private,
        )
        return self._new(
            "PlanResponse",
            planned_state=self._sent(result.planned, kind),
            requires_replace=[self._path(path) for path in result.replace],
            planned_private=result.private,
            diagnostics=self._said(result.diagnostics),
            legacy_type_system=result.legacy,
        )

    def apply_(self, request: Any) -> Any:
        kind = self._type("managed", request.type_name)
        result = self._provider.apply(
            request.type_name,
            self._value(request.prior_state, kind),
            self._value(request.planned_state, kind),
            self._value(request.config, kind),
            request.planned_private,
        )
        return self._new(
            "ApplyResponse",
            new_state=self._sent(result.value, kind),
            private=result.private,
            diagnostics=self._said(result.diagnostics),
            legacy_type_system=result.legacy,
        )

    def import_(self, request: Any) -> Any:
        result = self._provider.import_(request.type_name, request.id)
        found = [
            self._new(
                "Imported",
                type_name=o.type,
                state=self._sent(o.value, self._type("managed", o.type)),
                private=o.private,
            )
            for o in result.objects
        ]
        return self._new("ImportResponse", imported_resources=found, diagnostics=self._said(result.diagnostics))

    def read_data_(self, request: Any) -> Any:
        kind = self._type("data", request.type_name)
        result = self._provider.read_data(request.type_name, self._value(request.config, kind))
        state = self._sent(result.value, kind)
        return self._new("ReadDataResponse", state=state, diagnostics=self._said(result.diagnostics))

    def open_(self, request: Any) -> Any:
        kind = self._type("ephemeral", request.type_name)
        result = self._ephemeral().open(request.type_name, self._value(request.config, kind))
        return self._new(
            "OpenResponse",
            result=self._sent(result.value, kind),
            private=result.private,
            diagnostics=self._said(result.diagnostics),
        )

    def close_(self, request: Any) -> Any:
        said = self._ephemeral().close_ephemeral(request.type_name, request.private)
        return self._new("Said", diagnostics=self._said(said))

    def call_(self, request: Any) -> Any:
        signature = self._schema.functions[request.name]
        kinds = [p.type for p in signature.parameters]
        if signature.variadic is not None:
            kinds += [signature.variadic.type] * (len(request.arguments) - len(kinds))
        arguments = [self._value(sent, kind) for sent, kind in zip(request.arguments, kinds, strict=True)]
        result = self._provider.call(request.name, arguments)
        failed = [d for d in result.diagnostics if d.severity is Severity.ERROR]
        if failed:
            first = failed[0]
            place = first.attribute[0] if first.attribute and isinstance(first.attribute[0], int) else None
            error = self._new("FunctionError", text=first.detail or first.summary, function_argument=place)
            return self._new("CallResponse", error=error)
        return self._new("CallResponse", result=self._sent(result.value, signature.returns))

    def stop_(self, request: Any) -> Any:
        self._provider.stop()
        return self._new("StopResponse")


def _written(type: Type) -> bytes:
    return json.dumps(type_expressions.to_json(type), separators=(",", ":")).encode()


def serve(provider: Provider) -> None:
    """Shakes hands on standard output and serves until the host says stop or goes. `Failure` when nobody hosts us."""
    import grpc

    if os.environ.get("TF_PLUGIN_MAGIC_COOKIE") != COOKIE["TF_PLUGIN_MAGIC_COOKIE"]:
        raise Failure(
            "this is a plugin, which a Terraform program starts",
            "Name it in dev_overrides of the CLI configuration: terrarium provider link FOLDER writes one.",
        )
    offered = os.environ.get("PLUGIN_PROTOCOL_VERSIONS", "5").split(",")
    version = 6 if "6" in offered else 5
    folder = tempfile.mkdtemp(prefix="terrarium-provider-", dir=os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or None)
    address = f"{folder}/plugin"
    server = grpc.server(
        ThreadPoolExecutor(_THREADS),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    ended = threading.Event()
    server.add_generic_rpc_handlers((_Handlers(Service(provider, version), ended),))
    certificate = ""
    if os.environ.get("PLUGIN_CLIENT_CERT"):
        key, pem, certificate = _certificate()
        server.add_secure_port(f"unix:{address}", grpc.ssl_server_credentials([(key, pem)]))
    else:
        server.add_insecure_port(f"unix:{address}")
    server.start()
    sys.stdout.write(f"1|{version}|unix|{address}|grpc|{certificate}\n")
    sys.stdout.flush()
    try:
        _until_orphaned(ended)
    finally:
        provider.close()
        server.stop(1).wait()
        Path(address).unlink(missing_ok=True)
        Path(folder).rmdir()


def _until_orphaned(ended: threading.Event) -> None:
    """A host that is killed says nothing; then somebody else becomes our parent."""
    parent = os.getppid()
    while not real_wait(ended, 1.0):
        if os.getppid() != parent:
            return


class _Handlers:
    """grpc's table of methods: ours, and the one by which a host says goodbye."""

    def __init__(self, service: Service, ended: threading.Event) -> None:
        import grpc

        def answer(function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
            def handle(request: Any, context: Any) -> Any:
                try:
                    return function(request)
                except Failure as failure:
                    context.abort(grpc.StatusCode.UNKNOWN, str(failure))

            return handle

        def goodbye(request: bytes, context: Any) -> bytes:
            ended.set()
            return b""

        self._known = {
            path: grpc.unary_unary_rpc_method_handler(
                answer(function), request_deserializer=read, response_serializer=lambda made: made.SerializeToString()
            )
            for path, (function, read) in service.methods().items()
        }
        self._known["/plugin.GRPCController/Shutdown"] = grpc.unary_unary_rpc_method_handler(goodbye)

    def service(self, details: Any) -> Any:
        return self._known.get(details.method)


def _certificate() -> tuple[bytes, bytes, str]:
    """A key and a certificate for `localhost`, in PEM, and the certificate as the handshake tells it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = Clock().now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    der = made.public_bytes(serialization.Encoding.DER)
    return secret, made.public_bytes(serialization.Encoding.PEM), base64.b64encode(der).rstrip(b"=").decode()
