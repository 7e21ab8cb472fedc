"""Tags of everything EKS has an ARN for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrarium.cloud.hooks import AwsError, Call, Operation
from terrarium.cloud.records import Document
from terrarium.eks.ground import ADDON, ASSOCIATION, CLUSTER, ENTRY, NODEGROUP, PROFILE, Ground

# kind of document -> the member which holds its ARN
_ARNS = {
    CLUSTER: "arn",
    PROFILE: "fargateProfileArn",
    ADDON: "addonArn",
    NODEGROUP: "nodegroupArn",
    ENTRY: "accessEntryArn",
    ASSOCIATION: "associationArn",
}
MOST_TAGS = 50


class Tags:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    @property
    def operations(self) -> Mapping[str, Operation]:
        return {"TagResource": self.tag, "UntagResource": self.untag, "ListTagsForResource": self.list}

    def _found(self, call: Call) -> tuple[str, str, Document]:
        arn = str(call.parameters.get("resourceArn", ""))
        if not arn.startswith("arn:aws:eks:"):
            raise AwsError("BadRequestException", f"Invalid ARN: {arn}", 400)
        for kind, member in _ARNS.items():
            for key, document in self._ground.records.scan(kind):
                if document.get(member) == arn:
                    return kind, key, document
        raise AwsError("NotFoundException", f"Resource not found for ARN: {arn}", 404)

    async def tag(self, call: Call) -> Mapping[str, Any]:
        kind, key, document = self._found(call)
        tags = {**document["tags"], **(call.parameters.get("tags") or {})}
        if any(name.lower().startswith("aws:") for name in call.parameters.get("tags") or {}):
            raise AwsError("BadRequestException", "Tag keys must not begin with aws:", 400)
        if len(tags) > MOST_TAGS:
            raise AwsError("BadRequestException", f"A resource can have at most {MOST_TAGS} tags", 400)
        await self._ground.change(kind, key, tags=tags)
        return {}

    async def untag(self, call: Call) -> Mapping[str, Any]:
        kind, key, document = self._found(call)
        gone = call.parameters.get("tagKeys") or []
        await self._ground.change(kind, key, tags={k: v for k, v in document["tags"].items() if k not in gone})
        return {}

    async def list(self, call: Call) -> Mapping[str, Any]:
        return {"tags": self._found(call)[2]["tags"]}
