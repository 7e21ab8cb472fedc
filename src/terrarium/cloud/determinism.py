"""Makes moto repeatable: its randomness comes from a seed, its time from us, and what no seed controls from a tape.

moto draws ids from one random object and asks one function for the time; private keys come from libraries. All calls
run in one thread, so there is one current call whose seed, time and tape these patches use. Every symbol patched here
is under a test (tests/cloud/test_moto_contract.py), as moto is pinned exactly.
"""

from __future__ import annotations

import base64
import datetime as real_datetime
import importlib
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


def moto(name: str) -> Any:
    """A module of moto's, imported now and without types: we change what they declare."""
    return importlib.import_module(f"moto.{name}")


@dataclass(slots=True)
class Moment:
    """What the running call may draw from."""

    seed: str
    time: float
    replay: bool = False
    tape: list[Any] = field(default_factory=list)
    position: int = 0


class Determinism:
    """Patches moto once; `during` sets the moment of a call."""

    def __init__(self, genesis: str, born: float) -> None:
        self._genesis = genesis
        self._born = born
        self._moment = Moment(genesis, born)
        self._random: Any = None

    @contextmanager
    def during(self, moment: Moment) -> Iterator[None]:
        before, self._moment = self._moment, moment
        self._random.seed(moment.seed)
        try:
            yield
        finally:
            self._moment = before

    @contextmanager
    def apart(self, name: str) -> Iterator[None]:
        """Something that is made by the way, by whichever call comes first: its ids depend on its name alone, and it
        is as old as the world."""
        state, before = self._random.getstate(), self._moment
        self._moment = Moment(f"{self._genesis}/{name}", self._born)
        self._random.seed(self._moment.seed)
        try:
            yield
        finally:
            self._random.setstate(state)
            self._moment = before

    def draw(self, make: Callable[[], Any]) -> Any:
        """A value (JSON) that no seed controls: from the tape in a replay, else made and put on the tape."""
        moment = self._moment
        if moment.replay and moment.position < len(moment.tape):
            value = moment.tape[moment.position]
            moment.position += 1
            return value
        value = make()
        moment.tape.append(value)
        return value

    def install(self) -> None:
        """Patches moto's core."""
        self._random = moto("moto_api._internal").mock_random
        moto("core.utils").datetime = self._module()
        AccountSpecificBackend = moto("core.base_backend").AccountSpecificBackend
        create = AccountSpecificBackend.__getitem__

        def get(backends: Any, region: str) -> Any:
            # A back end is made at its first use, even by a read, with ids of its own (the default VPC): they come
            # from the world's seed, at the world's first moment, whoever asks first.
            name = "aws" if region == "global" else region
            if dict.__contains__(backends, name):
                return dict.__getitem__(backends, name)
            with self.apart(f"{backends.service_name}/{backends.account_id}/{name}"):
                return create(backends, region)

        AccountSpecificBackend.__getitem__ = get

    def install_for(self, service: str) -> None:
        """Patches what one service of moto draws elsewhere, after its import."""
        patch = {"s3": self._s3, "kms": self._kms, "ec2": self._ec2}.get(service)
        if patch is not None:
            patch()

    def _urandom(self, count: int) -> bytes:
        return bytes(self._random.getrandbits(8) for _ in range(count))

    def _s3(self) -> None:
        models = moto("s3.models")
        models.os = Shadow(models.os, urandom=self._urandom)
        models.datetime = self._module()

    def _kms(self) -> None:
        models = moto("kms.models")
        # Initialisation vectors of `encrypt` stay the system's; only the keys must be the same after a restart.
        master, private = models.generate_master_key, models.generate_private_key
        models.generate_master_key = lambda: base64.b64decode(self.draw(lambda: base64.b64encode(master()).decode()))
        models.generate_private_key = lambda spec: (
            _restorable(self, private(spec)) if spec.startswith(("RSA", "ECC")) else None
        )

    def _ec2(self) -> None:
        key_pairs = moto("ec2.models.key_pairs")
        for name in ("random_rsa_key_pair", "random_ed25519_key_pair"):
            setattr(key_pairs, name, self._key_pair(getattr(key_pairs, name)))

    def _key_pair(self, make: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
        def draw() -> dict[str, Any]:
            texts = self.draw(lambda: {k: v.decode() if isinstance(v, bytes) else v for k, v in make().items()})
            return {k: v if k == "fingerprint" else v.encode() for k, v in texts.items()}

        return draw

    def _module(self) -> Any:
        """The `datetime` module with a clock of ours."""
        return Shadow(real_datetime, datetime=_clocked(lambda: self._moment.time))


def _restorable(source: Determinism, key: Any) -> Any:
    """A KMS key whose private half comes from the tape in a replay."""
    from cryptography.hazmat.primitives import serialization

    if not hasattr(getattr(key, "private_key", None), "private_bytes"):
        return key

    def dump() -> str:
        data: bytes = key.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return data.decode()

    key.private_key = serialization.load_pem_private_key(source.draw(dump).encode(), None)
    return key


class Shadow(types.ModuleType):
    """A module seen through, with some names replaced."""

    def __init__(self, module: types.ModuleType, **replaced: Any) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(module.__dict__)
        self.__dict__.update(replaced)


def _clocked(read: Callable[[], float]) -> type:
    class Meta(type(real_datetime.datetime)):  # type: ignore[misc]
        def __instancecheck__(cls, value: Any) -> bool:
            return isinstance(value, real_datetime.datetime)

    class Clocked(real_datetime.datetime, metaclass=Meta):
        @classmethod
        def now(cls, tz: real_datetime.tzinfo | None = None) -> Any:
            return real_datetime.datetime.fromtimestamp(read(), tz)

        @classmethod
        def utcnow(cls) -> Any:
            return real_datetime.datetime.fromtimestamp(read(), real_datetime.UTC).replace(tzinfo=None)

    return Clocked
