"""EC2."""

from __future__ import annotations

from terrarium.cloud.determinism import Determinism
from terrarium.cloud.repairs import MotoCall
from terrarium.cloud.wire import Response


class Ec2Repair:
    def install(self, determinism: Determinism) -> None:
        pass

    def before(self, call: MotoCall) -> None:
        pass

    def after(self, call: MotoCall, response: Response) -> Response:
        return response
