"""The random provider: values drawn once and kept in the state. A `seed` gives Go's sequence (see `gorand`)."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from terrarium.base.clock import Clock
from terrarium.base.diagnostics import Diagnostic, Severity
from terrarium.base.ids import Ids
from terrarium.providers.framework import Drawing, Ephemeral, Plain, Refused, Resource, SmallProvider, complaint
from terrarium.providers.gorand import GoRandom, seed_of
from terrarium.providers.values import UNKNOWN
from terrarium.providers.wordlists import ADJECTIVES, ADVERBS, ANIMALS

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_DIGITS = "0123456789"
_INTEGER = re.compile(r"[-+]?[0-9]+")
_RETRY = (
    "Retry the Terraform operation. If the error still occurs or happens regularly, please contact the provider "
    "developer with hardware and operating system information.\n\n"
)
_SPECIAL = "!@#$%&*()-_=+[]{}<>:?"


class RandomId(Resource):
    def create(self, new: Plain) -> Plain:
        return self._of(secrets.token_bytes(new["byte_length"]), new)

    def _of(self, raw: bytes, new: Plain) -> Plain:
        prefix = new.get("prefix") or ""
        url = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        return {
            **new,
            "id": url,
            "b64_url": prefix + url,
            "b64_std": prefix + base64.b64encode(raw).decode(),
            "hex": prefix + raw.hex(),
            "dec": prefix + str(int.from_bytes(raw, "big")),
        }

    def imported(self, id: str) -> Plain:
        prefix, _, text = id.rpartition(",")
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except binascii.Error as wrong:
            raise Refused(
                "Import Random ID Error",
                f"While attempting to import a random id there was a decoding error.\n\n+{_RETRY}Original Error: {wrong}",
            ) from None
        return self._of(raw, {"byte_length": len(raw), "prefix": prefix or None, "keepers": {}})


class RandomBytes(Resource):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return _at_least(config, "length", 1)

    def create(self, new: Plain) -> Plain:
        return self._of(secrets.token_bytes(new["length"]), new)

    def _of(self, raw: bytes, new: Plain) -> Plain:
        return {**new, "base64": base64.b64encode(raw).decode(), "hex": raw.hex()}

    def imported(self, id: str) -> Plain:
        try:
            raw = base64.b64decode(id, validate=True)
        except binascii.Error as wrong:
            raise Refused(
                "Import Random bytes Error",
                f"There was an error during the parsing of the base64 string.\n\n+Original Error: {wrong}",
            ) from None
        return self._of(raw, {"length": len(raw), "keepers": {}})


def _at_least(config: Plain, name: str, least: int) -> list[Diagnostic]:
    value = config.get(name)
    if isinstance(value, int) and value < least:
        text = f"Attribute {name} value must be at least {least}, got: {value}"
        return [complaint("Invalid Attribute Value", text, (name,))]
    return []


_MINIMA = ("min_upper", "min_lower", "min_numeric", "min_special")
_KINDS = ("special", "upper", "lower", "numeric")


class RandomString(Resource):
    """`random_string`; `RandomPassword` differs in what it shows."""

    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        found = _at_least(config, "length", 1)
        length = config.get("length")
        minima = [config.get(name) for name in _MINIMA]
        if isinstance(length, int) and UNKNOWN not in minima and length < sum(m or 0 for m in minima):
            text = f"Attribute length value must be at least sum of {' + '.join(_MINIMA)}, got: {length}"
            found.append(complaint("Invalid Attribute Value", text, ("length",)))
        for name in _MINIMA:
            found.extend(_at_least(config, name, 0))
        if all(config.get(name) is False for name in _KINDS):
            text = "At least one attribute out of [special,upper,lower,numeric] must be specified as true"
            found.append(complaint("Invalid Attribute Combination", text, ("numeric",)))
        if config.get("number") is not None:
            note = "**NOTE**: This is deprecated, use `numeric` instead."
            found.append(complaint("Attribute Deprecated", note, ("number",), Severity.WARNING))
        return found

    def amend(self, plan: Drawing) -> None:
        number, numeric = plan.config["number"], plan.config["numeric"]
        if not number.is_null and not numeric.is_null:
            if number.is_known and numeric.is_known and number != numeric:
                plan.diagnostics.append(
                    complaint(
                        "Number and numeric are both configured with different values",
                        "Number is deprecated, use numeric instead",
                    )
                )
        elif number.is_null and numeric.is_null:
            plan.set("number", True)
            plan.set("numeric", True)
        elif number.is_null:
            plan.members["number"] = numeric
        else:
            plan.members["numeric"] = number
        # Both replace, and what was unknown a moment ago is known now.
        plan.replace[:] = [p for p in plan.replace if p not in (("number",), ("numeric",), ("override_special",))]
        for name in ("number", "numeric"):
            if plan.prior is not None and plan.changed(name):
                plan.replace.append((name,))
        if plan.prior is not None and plan.changed("override_special"):
            was, wanted = plan.prior["override_special"], plan.members["override_special"]
            if not (was.is_null and wanted.data == ""):
                plan.replace.append(("override_special",))
        if plan.prior is not None and not plan.replace:
            for name in ("result", "id", "bcrypt_hash"):
                if name in plan.members and not plan.prior[name].is_null:
                    plan.members[name] = plan.prior[name]

    def create(self, new: Plain) -> Plain:
        result = _text(new)
        return {**new, "id": result, "result": result}

    def imported(self, id: str) -> Plain:
        return {**_IMPORTED, "id": id, "result": id, "length": len(id)}

    def upgrade(self, version: int, state: Plain) -> Plain:
        number = state.get("number", state.get("numeric", True))
        return {**state, "number": number, "numeric": state.get("numeric", number)}


_IMPORTED: Plain = {
    **dict.fromkeys((*_KINDS, "number"), True),
    **dict.fromkeys(_MINIMA, 0),
    "override_special": None,
    "keepers": {},
}


def _text(new: Plain) -> str:
    special = new["override_special"] if new.get("override_special") else _SPECIAL
    alphabet = ""
    alphabet += _UPPER if new["upper"] else ""
    alphabet += _LOWER if new["lower"] else ""
    alphabet += _DIGITS if new["numeric"] else ""
    alphabet += special if new["special"] else ""
    drawn = [
        secrets.choice(source)
        for source, count in (
            (_DIGITS, new["min_numeric"]),
            (_LOWER, new["min_lower"]),
            (_UPPER, new["min_upper"]),
            (special, new["min_special"]),
        )
        for _ in range(count or 0)
    ]
    drawn.extend(secrets.choice(alphabet) for _ in range(new["length"] - len(drawn)))
    secrets.SystemRandom().shuffle(drawn)
    return "".join(drawn)


class RandomPassword(RandomString):
    def create(self, new: Plain) -> Plain:
        result = _text(new)
        return {**new, "id": "none", "result": result, "bcrypt_hash": _bcrypt(result)}

    def imported(self, id: str) -> Plain:
        return {**_IMPORTED, "id": "none", "result": id, "length": len(id), "bcrypt_hash": _bcrypt(id)}

    def upgrade(self, version: int, state: Plain) -> Plain:
        upgraded = super().upgrade(version, state)
        if not upgraded.get("bcrypt_hash"):
            upgraded["bcrypt_hash"] = _bcrypt(str(upgraded.get("result", "")))
        return upgraded


def _bcrypt(text: str) -> str:
    """The hash of the first 72 bytes at most, as bcrypt sees no more."""
    import bcrypt

    hashed: bytes = bcrypt.hashpw(text.encode()[:72], bcrypt.gensalt(10, prefix=b"2a"))
    return hashed.decode()


class EphemeralPassword(Ephemeral):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return RandomString().validate({**config, "number": None})

    def open(self, config: Plain) -> Plain:
        given = {name: value for name, value in config.items() if value is not None}
        whole = {**dict.fromkeys(_KINDS, True), **dict.fromkeys(_MINIMA, 0), "override_special": None, **given}
        result = _text(whole)
        return {**whole, "result": result, "bcrypt_hash": _bcrypt(result)}


class EphemeralBytes(Ephemeral):
    def validate(self, config: Plain) -> Iterable[Diagnostic]:
        return _at_least(config, "length", 1)

    def open(self, config: Plain) -> Plain:
        raw = secrets.token_bytes(config["length"])
        return {**config, "base64": base64.b64encode(raw).decode(), "hex": raw.hex()}


class RandomInteger(Resource):
    def create(self, new: Plain) -> Plain:
        low, high = new["min"], new["max"]
        if high < low:
            raise Refused(
                "Create Random Integer Error",
                "The minimum (min) value needs to be smaller than or equal to maximum (max) value.",
            )
        seed = new.get("seed")
        span = high + 1 - low
        number = low + (GoRandom(seed_of(seed)).below(span) if seed else secrets.randbelow(span))
        return {**new, "id": str(number), "result": number}

    def imported(self, id: str) -> Plain:
        parts = id.split(",")
        if len(parts) not in (3, 4):
            raise Refused(
                "Import Random Integer Error",
                "Invalid import usage: expecting {result},{min},{max} or {result},{min},{max},{seed}",
            )
        for name, text in zip(("value", "min value", "max value"), parts, strict=False):
            if not _INTEGER.fullmatch(text):
                raise Refused(
                    "Import Random Integer Error",
                    f"The {name} supplied could not be parsed as an integer.\n\n"
                    f'Original Error: strconv.ParseInt: parsing "{text}": invalid syntax',
                )
        result, low, high = (int(p) for p in parts[:3])
        seed = parts[3] if len(parts) == 4 else None
        return {"id": parts[0], "result": result, "min": low, "max": high, "seed": seed, "keepers": {}}


class RandomPet(Resource):
    def create(self, new: Plain) -> Plain:
        count, separator = int(new["length"]), new["separator"]
        words = [secrets.choice(ANIMALS)]
        if count > 1:
            words.insert(0, secrets.choice(ADJECTIVES))
        words = [*(secrets.choice(ADVERBS) for _ in range(count - 2)), *words]
        if new.get("prefix"):
            words.insert(0, new["prefix"])
        return {**new, "id": separator.join(words)}


class RandomShuffle(Resource):
    def create(self, new: Plain) -> Plain:
        items = new["input"] or []
        count = new["result_count"] if new.get("result_count") else len(items)
        source = GoRandom(seed_of(new["seed"])) if new.get("seed") else GoRandom(secrets.randbits(62))
        result: list[Any] = []
        while items and len(result) < count:
            result.extend(items[i] for i in source.permutation(len(items)))
        return {**new, "id": "-", "result": result[:count]}


def _bad_uuid(text: str) -> str:
    """What Go's parser has against a UUID."""
    if len(text) != 36:
        return "uuid string is wrong length"
    if any(text[i] != "-" for i in (8, 13, 18, 23)):
        return "uuid is improperly formatted"
    digits = "".join(c for i, c in enumerate(text) if i not in (8, 13, 18, 23))
    odd = next((c for c in digits if c not in "0123456789abcdefABCDEF"), "")
    return f"encoding/hex: invalid byte: U+{ord(odd):04X} '{odd}'" if odd else ""


class RandomUuid(Resource):
    def create(self, new: Plain) -> Plain:
        made = Ids().uuid()
        return {**new, "id": made, "result": made}

    def imported(self, id: str) -> Plain:
        wrong = _bad_uuid(id)
        if wrong:
            text = f"There was an error during the parsing of the UUID.\n\n{_RETRY}Original Error: {wrong}"
            raise Refused("Import Random UUID Error", text)
        text = id.lower().replace("-", "")
        made = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        return {"id": made, "result": made, "keepers": {}}


class RandomUuid7(RandomUuid):
    def create(self, new: Plain) -> Plain:
        number = (
            int(Clock().time() * 1000) << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)
        )
        text = f"{number:032x}"
        made = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
        return {**new, "id": made, "result": made}


class RandomProvider(SmallProvider):
    name = "random"
    resources: ClassVar[Mapping[str, Resource]] = {
        "random_bytes": RandomBytes(),
        "random_id": RandomId(),
        "random_integer": RandomInteger(),
        "random_password": RandomPassword(),
        "random_pet": RandomPet(),
        "random_shuffle": RandomShuffle(),
        "random_string": RandomString(),
        "random_uuid": RandomUuid(),
        "random_uuid4": RandomUuid(),
        "random_uuid7": RandomUuid7(),
    }
    ephemerals: ClassVar[Mapping[str, Ephemeral]] = {
        "random_bytes": EphemeralBytes(),
        "random_password": EphemeralPassword(),
    }


def create() -> RandomProvider:
    return RandomProvider()
