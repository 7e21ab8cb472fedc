"""Who may sign requests in this world: its administrator, IAM users' access keys, temporary credentials.

Secrets live in the records of the world's folder (mode 0600) and in memory; they are never logged, and `repr` hides them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.cloud.hooks import Caller
from terrarium.cloud.records import Document, Records

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_MIXED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_KIND = "credential"

Origin = Literal["admin", "iam", "session"]


@dataclass(frozen=True, slots=True)
class Credential:
    access_key: str
    secret: str = field(repr=False)
    arn: str
    user_id: str
    account: str
    origin: Origin
    token: str | None = field(default=None, repr=False)
    expires: float | None = None
    """Seconds since 1970 in real time; None: never."""
    active: bool = True

    @property
    def caller(self) -> Caller:
        return Caller(self.account, self.arn, self.user_id, self.access_key)


def _document(credential: Credential) -> Document:
    return {name: getattr(credential, name) for name in Credential.__slots__}


class Credentials:
    """The store. Lookups come from memory; what is issued is durable when the call returns."""

    def __init__(self, records: Records, clock: Clock, ids: Ids, account: str) -> None:
        self._records = records
        self._clock = clock
        self._ids = ids
        self.account = account

    async def start(self) -> None:
        """Makes the administrator at the first start; drops sessions that expired long ago."""
        if not any(d["origin"] == "admin" for _, d in self._records.scan(_KIND)):
            await self._save(
                Credential(
                    access_key="AKIA" + self._ids.text(16, _UPPER),
                    secret=self._ids.text(40, _MIXED),
                    arn=f"arn:aws:iam::{self.account}:user/admin",
                    user_id="AIDA" + self._ids.text(17, _UPPER),
                    account=self.account,
                    origin="admin",
                )
            )
        for key, document in self._records.scan(_KIND):
            if document["expires"] is not None and document["expires"] < self.real_time() - 86_400:
                await self._records.delete(_KIND, key)

    @property
    def admin(self) -> Credential:
        """The key `terrarium env` prints."""
        return next(Credential(**d) for _, d in self._records.scan(_KIND) if d["origin"] == "admin")

    def real_time(self) -> float:
        """Clients sign with their own clock, so signatures and sessions live in real time, not in the world's."""
        return self._clock.time() - self._clock.offset

    def get(self, access_key: str) -> Credential | None:
        document = self._records.get(_KIND, access_key)
        return None if document is None else Credential(**document)

    async def issue_session(self, arn: str, user_id: str, account: str, seconds: int) -> Credential:
        """Temporary credentials."""
        credential = Credential(
            access_key="ASIA" + self._ids.text(16, _UPPER),
            secret=self._ids.text(40, _MIXED),
            arn=arn,
            user_id=user_id,
            account=account,
            origin="session",
            token="IQoJb3JpZ2luX2Vj" + self._ids.text(300, _MIXED),
            expires=self.real_time() + seconds,
        )
        await self._save(credential)
        return credential

    async def replace_iam_keys(self, keys: Iterable[Credential]) -> None:
        """Makes the store agree with IAM, which owns users' access keys."""
        wanted = {k.access_key: k for k in keys}
        for name, document in self._records.scan(_KIND):
            if document["origin"] == "iam" and name not in wanted:
                await self._records.delete(_KIND, name)
        for name, credential in wanted.items():
            if self._records.get(_KIND, name) != _document(credential):
                await self._save(credential)

    async def _save(self, credential: Credential) -> None:
        await self._records.put(_KIND, credential.access_key, _document(credential))
