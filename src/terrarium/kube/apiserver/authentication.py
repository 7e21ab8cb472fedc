"""Who calls: client certificates, bearer tokens of several kinds, and impersonation.

A request without credentials is anonymous; with a bearer token that nobody knows it is refused (401).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from terrarium.base.diagnostics import Failure
from terrarium.kube.api.hooks import Authenticator, Unauthenticated, User
from terrarium.kube.apiserver import errors

AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"
ANONYMOUS = User("system:anonymous", groups=(UNAUTHENTICATED,))


class ImpersonationError(Exception):
    """Impersonation headers that make no user: answered with plain text, as the real server does."""


class StaticTokens:
    """Tokens of a file as kube-apiserver's --token-auth-file: `token,user,uid,"group1,group2"` a line."""

    def __init__(self, users: Mapping[str, User]) -> None:
        self._users = dict(users)

    @classmethod
    def read(cls, path: Path) -> StaticTokens:
        users: dict[str, User] = {}
        try:
            with path.open(newline="") as file:
                for number, row in enumerate(csv.reader(file), 1):
                    if not row or (len(row) == 1 and not row[0].strip()):
                        continue
                    if len(row) < 3:
                        raise Failure(f"{path}, line {number}: a token needs three columns: token, user name, uid")
                    groups = tuple(g.strip() for g in row[3].split(",") if g.strip()) if len(row) > 3 else ()
                    users[row[0].strip()] = User(row[1].strip(), row[2].strip(), groups)
        except OSError as error:
            raise Failure(f"the token file {path} can't be read: {error.strerror}") from error
        return cls(users)

    async def authenticate(self, token: str) -> User | None:
        return self._users.get(token)


class Authentication:
    """All ways in. `authenticators` are asked in their order."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = tuple(authenticators)

    async def user(self, headers: Mapping[str, str], certificate: User | None) -> User:
        """The caller of a request; `certificate` is the user of its client certificate. 401 as `ApiError`."""
        if certificate is not None:
            return _authenticated(certificate)
        token = bearer(headers.get("authorization", ""))
        if not token:
            return ANONYMOUS
        return await self.token(token)

    async def token(self, token: str) -> User:
        for authenticator in self._authenticators:
            try:
                user = await authenticator.authenticate(token)
            except Unauthenticated:
                raise errors.unauthorized() from None
            if user is not None:
                return _authenticated(user)
        raise errors.unauthorized()


def bearer(header: str) -> str:
    """The token of an Authorization header; "" when it holds none."""
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def websocket_bearer(protocols: Sequence[str]) -> str:
    """The token that browsers send as a WebSocket sub-protocol, base64url without padding."""
    import base64
    import binascii

    prefix = "base64url.bearer.authorization.k8s.io."
    for protocol in protocols:
        if protocol.startswith(prefix):
            text = protocol.removeprefix(prefix)
            try:
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
            except (binascii.Error, ValueError):
                return ""
    return ""


def _authenticated(user: User) -> User:
    if AUTHENTICATED in user.groups or UNAUTHENTICATED in user.groups:
        return user
    return User(user.name, user.uid, (*user.groups, AUTHENTICATED), user.extra)


def impersonated(headers: Sequence[tuple[str, str]]) -> User | None:
    """Whom the Impersonate-* headers name; None without any. Groups are completed as kube-apiserver does it."""
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, tuple[str, ...]] = {}
    for header, value in headers:
        if header == "impersonate-user":
            name = value
        elif header == "impersonate-uid":
            uid = value
        elif header == "impersonate-group":
            groups.append(value)
        elif header.startswith("impersonate-extra-"):
            from urllib.parse import unquote

            key = unquote(header.removeprefix("impersonate-extra-"))
            extra[key] = (*extra.get(key, ()), value)
    if not name:
        if groups or uid or extra:
            raise ImpersonationError(f"requested [{_impersonation(groups, uid, extra)}] without impersonating a user")
        return None
    if name == ANONYMOUS.name:
        if UNAUTHENTICATED not in groups:
            groups.append(UNAUTHENTICATED)
    else:
        if not groups and name.startswith("system:serviceaccount:"):
            groups.extend(service_account_groups(name))
        if AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
            groups.append(AUTHENTICATED)
    return User(name, uid, tuple(groups), extra)


def _impersonation(groups: Sequence[str], uid: str, extra: Mapping[str, Sequence[str]]) -> str:
    """The references as Go prints them: kind, namespace, name, uid, version, resource version, field path."""
    found = [f"{{Group  {group}    }}" for group in groups]
    if uid:
        found.append(f"{{UID  {uid}  authentication.k8s.io/v1  }}")
    found += [f"{{UserExtra  {v}  authentication.k8s.io/v1  {key}}}" for key, vs in extra.items() for v in vs]
    return " ".join(found)


def service_account_groups(name: str) -> tuple[str, ...]:
    """The groups of `system:serviceaccount:NAMESPACE:NAME`."""
    parts = name.split(":")
    if len(parts) != 4:
        return ()
    return ("system:serviceaccounts", f"system:serviceaccounts:{parts[2]}")
