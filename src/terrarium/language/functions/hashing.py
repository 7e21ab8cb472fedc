"""Hashes, identifiers and decryption."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence

from terrarium.language.functions.arguments import whole
from terrarium.language.functions.spec import ArgumentError, Function, FunctionError, Parameter, parameters, plain
from terrarium.language.text import nfc, quote
from terrarium.language.types import NUMBER, STRING, Type
from terrarium.language.values import Value


def _hex(name: str) -> Callable[[bytes], str]:
    return lambda data: hashlib.new(name, data, usedforsecurity=False).hexdigest()


def _base64(name: str) -> Callable[[bytes], str]:
    return lambda data: base64.b64encode(hashlib.new(name, data).digest()).decode()


HASHES: Mapping[str, Callable[[bytes], str]] = {
    "md5": _hex("md5"),
    "sha1": _hex("sha1"),
    "sha256": _hex("sha256"),
    "sha512": _hex("sha512"),
    "base64sha256": _base64("sha256"),
    "base64sha512": _base64("sha512"),
}


def _of_text(compute: Callable[[bytes], str]) -> Function:
    return plain([("str", STRING)], STRING, lambda text: compute(text.encode()))


_NAMESPACES = {
    "dns": uuid.NAMESPACE_DNS,
    "url": uuid.NAMESPACE_URL,
    "oid": uuid.NAMESPACE_OID,
    "x500": uuid.NAMESPACE_X500,
}


def _uuid5(namespace: str, name: str) -> str:
    found = _NAMESPACES.get(namespace)
    if found is None:
        if len(namespace) not in (32, 36, 38, 45):
            why = f"invalid UUID length: {len(namespace.encode())}"
            raise FunctionError(f"uuidv5() doesn't support namespace {namespace} ({why})")
        try:
            found = uuid.UUID(namespace)
        except ValueError:
            raise FunctionError(f"uuidv5() doesn't support namespace {namespace} (invalid UUID format)") from None
    digest = bytearray(hashlib.sha1(found.bytes + name.encode(), usedforsecurity=False).digest()[:16])
    return str(uuid.UUID(bytes=bytes(digest), version=5))


def _bcrypt(salt: Callable[[], bytes]) -> Callable[[Sequence[Value], Type], Value]:
    def body(values: Sequence[Value], _: Type) -> Value:
        import bcrypt

        cost = whole(values[1]) if len(values) > 1 else 10
        if len(values) > 2:
            raise FunctionError("bcrypt() takes no more than two arguments")
        text = values[0].data.encode()
        if len(text) > 72:
            raise FunctionError("error occured generating password bcrypt: password length exceeds 72 bytes")
        if cost > 31:
            why = f"crypto/bcrypt: cost {cost} is outside allowed range (4,31)"
            raise FunctionError(f"error occured generating password {why}")
        rounds = 10 if cost < 4 else cost
        alphabet = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        encoded = (
            base64.b64encode(salt())
            .rstrip(b"=")
            .translate(bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", alphabet))
        )
        hashed = bcrypt.hashpw(text, b"$2a$%02d$" % rounds + encoded)
        return Value(STRING, hashed.decode())

    return body


def _rsa_decrypt(values: Sequence[Value], _: Type) -> Value:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    text, pem = values[0].data, values[1].data.encode()
    try:
        data = base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except ValueError:
        message = f"failed to decode input {quote(text)}: cipher text must be base64-encoded"
        raise ArgumentError(0, message) from None
    try:
        load = load_ssh_private_key if b"OPENSSH" in pem else load_pem_private_key
        key = load(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ArgumentError(1, "invalid private key: ssh: no key found") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ArgumentError(1, "invalid private key type")
    try:
        return Value(STRING, nfc(key.decrypt(data, padding.PKCS1v15()).decode("utf-8", "replace")))
    except ValueError:
        raise FunctionError("failed to decrypt: crypto/rsa: decryption error") from None


def random_functions(random: Callable[[], bytes]) -> dict[str, Function]:
    """`uuid` and `bcrypt`, which give something new at every call; `random` gives 16 bytes.

    Terraform's `uuid` is 128 random bits: it has no version in it.
    """

    def new_uuid(values: Sequence[Value], type: Type) -> Value:
        digits = random().hex()
        return Value(type, "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])))

    return {
        "uuid": Function((), STRING, new_uuid),
        "bcrypt": Function(parameters(("str", STRING)), STRING, _bcrypt(random), variadic=Parameter("cost", NUMBER)),
    }


FUNCTIONS: Mapping[str, Function] = {
    **{name: _of_text(compute) for name, compute in HASHES.items()},
    "rsadecrypt": Function(parameters(("ciphertext", STRING), ("privatekey", STRING)), STRING, _rsa_decrypt),
    "uuidv5": plain([("namespace", STRING), ("name", STRING)], STRING, _uuid5),
}
