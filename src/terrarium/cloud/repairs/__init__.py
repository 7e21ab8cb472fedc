"""Where moto's answers differ from AWS's: small corrections, one module for each service.

A repair may patch moto's models after their import (`install`), act before an operation (`before`) and change its
answer (`after`). Each patched symbol is under a test, as moto is pinned exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from terrarium.cloud.determinism import Determinism
from terrarium.cloud.wire import Response


@dataclass(frozen=True, slots=True)
class MotoCall:
    """A request on its way to moto. `parameters` are the flat pairs of a query protocol, empty for others."""

    service: str
    region: str
    operation: str
    account: str
    parameters: Mapping[str, str]


class Repair(Protocol):
    def install(self, determinism: Determinism) -> None:
        """Patches the service's models; called once in a process, after moto has imported the service."""
        ...

    def begin(self, determinism: Determinism) -> None:
        """A world begins to use the service."""
        ...

    def before(self, call: MotoCall) -> None:
        """May prepare moto's state, or refuse with `AwsError`."""
        ...

    def after(self, call: MotoCall, response: Response) -> Response: ...


def repairs_of(service: str) -> Repair | None:
    """The repair of a service, imported only when that service is used."""
    match service:
        case "iam":
            from terrarium.cloud.repairs.iam import IamRepair

            return IamRepair()
        case "ec2":
            from terrarium.cloud.repairs.ec2 import Ec2Repair

            return Ec2Repair()
    return None
