"""Makes moto repeatable: its randomness comes from a seed, its time from us, and what no seed controls from a tape.

moto draws ids from one random object and asks one function for the time; private keys come from libraries. All calls
run in one thread, so there is one current call whose seed, time and tape these patches use. Every symbol patched here
is under a test (tests/cloud/test_moto_contract.py), as moto is pinned exactly.
"""

from __future__ import annotations

import base64
import datetime as real_datetime
import importlib
import threading
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
    """Patches moto once in a process, for every world in it; worlds are told apart by their account.

    `lock` is held around each call: moto and its one random source belong to one call at a time.
    """

    def __init__(self) -> None:
        self._worlds: dict[str, tuple[str, float]] = {}
        self._moment = Moment("", 0.0)
        self._random: Any = None
        self.lock = threading.RLock()
        self.installed: set[str] = set()
        """What has been patched beside the core."""

    @classmethod
    def of_process(cls) -> Determinism:
        """The one that patches moto in this process; moto itself keeps it, as it is moto's state."""
        core = moto("core.utils")
        if not hasattr(core, "terrarium_determinism"):
            core.terrarium_determinism = cls()
            core.terrarium_determinism.install()
        found: Determinism = core.terrarium_determinism
        return found

    def begin(self, account: str, genesis: str, born: float) -> None:
        """A world starts: what an earlier one of the same account left in this process goes."""
        self._worlds[account] = (genesis, born)
        for backends in list(moto("core.base_backend").BackendDict._instances):
            dict.pop(backends, account, None)

    @contextmanager
    def during(self, moment: Moment) -> Iterator[None]:
        before, self._moment = self._moment, moment
        self._random.seed(moment.seed)
        try:
            yield
        finally:
            self._moment = before

    @contextmanager
    def apart(self, account: str, name: str) -> Iterator[None]:
        """Something that is made by the way, by whichever call comes first: its ids depend on its name alone, and it
        is as old as the world."""
        state, before = self._random.getstate(), self._moment
        genesis, born = self._worlds.get(account, ("", before.time))
        self._moment = Moment(f"{genesis}/{account}/{name}", born)
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
            with self.apart(backends.account_id, f"{backends.service_name}/{name}"):
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
