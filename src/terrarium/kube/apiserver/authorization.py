"""Whether a caller may: a union of authorisers, asked in their order, and the text of a refusal."""

from __future__ import annotations

from collections.abc import Sequence

from terrarium.kube.api.gotext import quote
from terrarium.kube.api.hooks import Attributes, Authorizer, Decision
from terrarium.kube.apiserver import errors
from terrarium.kube.client.contract import ApiError

MASTERS = "system:masters"


class Privileged:
    """Group system:masters may do everything, whatever roles there are."""

    async def authorize(self, attributes: Attributes) -> Decision:
        return Decision("allow" if MASTERS in attributes.user.groups else "no opinion")


class Union:
    """The first yes or no counts; nobody's yes is a refusal with all reasons."""

    def __init__(self, authorizers: Sequence[Authorizer]) -> None:
        self._authorizers = tuple(authorizers)

    async def authorize(self, attributes: Attributes) -> Decision:
        reasons: list[str] = []
        for authorizer in self._authorizers:
            decision = await authorizer.authorize(attributes)
            if decision.verdict != "no opinion":
                return decision
            if decision.reason:
                reasons.append(decision.reason)
        return Decision("no opinion", ", ".join(reasons))

    async def check(self, attributes: Attributes) -> None:
        """Raises 403 unless it is allowed."""
        decision = await self.authorize(attributes)
        if decision.verdict != "allow":
            raise refusal(attributes, decision.reason)


def refusal(attributes: Attributes, reason: str = "") -> ApiError:
    """`pods is forbidden: User "alice" cannot list resource "pods" in API group "" in the namespace "dev"`."""
    user = attributes.user.name
    if attributes.resource is None:
        message = f"User {quote(user)} cannot {attributes.verb} path {quote(attributes.path)}"
        return errors.status(403, "Forbidden", f"forbidden: {message}" + (f": {reason}" if reason else ""), {})
    resource = attributes.resource
    plural = f"{resource.plural}/{attributes.subresource}" if attributes.subresource else resource.plural
    message = (
        f"User {quote(user)} cannot {attributes.verb} resource {quote(plural)} in API group {quote(resource.group)}"
    )
    if attributes.namespace:
        message += f" in the namespace {quote(attributes.namespace)}"
    else:
        message += " at the cluster scope"
    if reason:
        message += f": {reason}"
    named = f" {quote(attributes.name)}" if attributes.name else ""
    details: dict[str, str] = {}
    if attributes.name:
        details["name"] = attributes.name
    if resource.group:
        details["group"] = resource.group
    details["kind"] = resource.plural
    return errors.status(403, "Forbidden", f"{resource}{named} is forbidden: {message}", details)
