"""Service account tokens: signing (TokenRequest) and checking them against accounts and pods that are still there."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from terrarium.base.clock import rfc3339
from terrarium.base.diagnostics import Failure
from terrarium.kube.api.hooks import Unauthenticated, User
from terrarium.kube.api.kinds import FieldError, Obj
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.resources import Call, Resources

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

_CLAIM = "kubernetes.io"
_SHORTEST, _LONGEST = 600, 1 << 32
_BOUND = {"Pod": ("v1", "pods"), "Secret": ("v1", "secrets"), "Node": ("v1", "nodes")}


def _plain(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class ServiceAccountTokens:
    """An authenticator and a maker of tokens, with the cluster's one RSA key. `key` gives it (PEM)."""

    def __init__(self, key: Callable[[], bytes], issuer: str, audiences: Sequence[str], resources: Resources) -> None:
        self._make = key
        self._issuer = issuer
        self.audiences = tuple(audiences) or (issuer,)
        self._resources = resources

    # Making an RSA key takes as long as the rest of a start, and so does loading what reads it: only who needs it pays,
    # or who has time to spare (`warm`).

    def warm(self) -> None:
        """Makes everything that the first token needs. May be called in a thread."""
        self.sign({})

    @cached_property
    def _key(self) -> RSAKey:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from joserfc.jwk import RSAKey

        # It is our own key: checking its primes again, at every start, would take longer than everything else here.
        private = serialization.load_pem_private_key(self._make(), None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(private, RSAPrivateKey):
            raise Failure("the key which signs service account tokens is no RSA key")
        return RSAKey(private, private)

    @cached_property
    def key_id(self) -> str:
        """As client-go names keys: the SHA-256 of the public key in DER."""
        from cryptography.hazmat.primitives import serialization

        der = self._key.public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return _plain(hashlib.sha256(der).digest())

    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set."""
        public = self._key.as_dict(private=False)
        return {
            "keys": [
                {"use": "sig", "kty": "RSA", "kid": self.key_id, "alg": "RS256", "n": public["n"], "e": public["e"]}
            ]
        }

    def sign(self, claims: dict[str, Any]) -> str:
        header = {"alg": "RS256", "kid": self.key_id}
        from joserfc import jws

        return jws.serialize_compact(header, json.dumps(claims, separators=(",", ":")).encode(), self._key)

    # Checking

    async def authenticate(self, token: str) -> User | None:
        claims = self._claims(token)
        return None if claims is None else await self._user(claims, self.audiences)

    async def review(self, token: str, audiences: Sequence[str]) -> tuple[User, list[str]] | None:
        """For TokenReview: the user, and which of `audiences` (none: the server's) the token is for."""
        claims = self._claims(token)
        if claims is None:
            return None
        wanted = tuple(audiences) or self.audiences
        user = await self._user(claims, wanted)
        user = User(user.name, user.uid, (*user.groups, "system:authenticated"), user.extra)
        return user, [a for a in wanted if a in _audience(claims)]

    def _claims(self, token: str) -> dict[str, Any] | None:
        """The claims of a token that this server signed; None when it is of another kind."""
        if token.count(".") != 2:
            return None
        try:
            payload = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except ValueError:
            return None
        if not isinstance(claims, dict) or claims.get("iss") != self._issuer:
            return None
        from joserfc import jws
        from joserfc.errors import JoseError

        try:
            jws.deserialize_compact(token, self._key, algorithms=["RS256"])
        except (JoseError, ValueError) as error:
            raise Unauthenticated(f"service account token: {error}") from None
        return claims

    async def _user(self, claims: dict[str, Any], audiences: Sequence[str]) -> User:
        now = self._resources.clock.time()
        if claims.get("exp", 0) <= now or claims.get("nbf", 0) > now + 10:
            raise Unauthenticated("service account token: not valid at this time")
        if not set(_audience(claims)) & set(audiences):
            theirs, ours = (json.dumps(list(names)) for names in (_audience(claims), audiences))
            raise Unauthenticated(f"token audiences {theirs} is invalid for the target audiences {ours}")
        bound = claims.get(_CLAIM) or {}
        namespace, account = bound.get("namespace", ""), bound.get("serviceaccount") or {}
        await self._check("serviceaccounts", namespace, account)
        extra: dict[str, tuple[str, ...]] = {}
        if jti := claims.get("jti"):
            extra["authentication.kubernetes.io/credential-id"] = (f"JTI={jti}",)
        if pod := bound.get("pod"):
            await self._check("pods", namespace, pod)
            extra["authentication.kubernetes.io/pod-name"] = (pod["name"],)
            extra["authentication.kubernetes.io/pod-uid"] = (pod["uid"],)
        if secret := bound.get("secret"):
            await self._check("secrets", namespace, secret)
        if node := bound.get("node"):
            extra["authentication.kubernetes.io/node-name"] = (node["name"],)
            if node.get("uid"):
                extra["authentication.kubernetes.io/node-uid"] = (node["uid"],)
            if not pod:
                await self._check("nodes", "", node)
        name = account.get("name", "")
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return User(f"system:serviceaccount:{namespace}:{name}", account.get("uid", ""), groups, extra)

    async def _check(self, plural: str, namespace: str, reference: dict[str, str]) -> None:
        """The object must still be the one that the token was bound to."""
        kind = self._resources.registry.resource("", "v1", plural)
        assert kind is not None
        record = await self._resources.find(kind, namespace, reference.get("name", ""))
        if record is None or record.stored["metadata"]["uid"] != reference.get("uid"):
            raise Unauthenticated(f"service account token: {plural} {namespace}/{reference.get('name')} is gone")

    # Making

    async def request(self, account: Obj, request: Obj, call: Call) -> Obj:
        """Answers a TokenRequest for a ServiceAccount. 400, 404, 409 and 422 as `ApiError`."""
        spec = request.setdefault("spec", {})
        meta = account["metadata"]
        audiences = spec.get("audiences") or [self.audiences[0]]
        spec["audiences"] = audiences
        seconds = spec.get("expirationSeconds")
        if seconds is None:
            seconds = 3600
        found: list[FieldError] = []
        given = request.get("metadata") or {}
        if given.get("namespace", meta["namespace"]) not in ("", meta["namespace"]):
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        if given.get("name", meta["name"]) not in ("", meta["name"]):
            why = f"Invalid value: {json.dumps(given['name'])}: must match the service account name if specified"
            error = FieldError("FieldValueInvalid", "metadata.name", why)
            raise errors.invalid_named("authentication.k8s.io", "TokenRequest", meta["name"], [error])
        if seconds < _SHORTEST:
            found.append(
                FieldError(
                    "FieldValueInvalid",
                    "spec.expirationSeconds",
                    f"Invalid value: {seconds}: may not specify a duration less than 10 minutes",
                )
            )
        if seconds > _LONGEST:
            found.append(
                FieldError(
                    "FieldValueInvalid",
                    "spec.expirationSeconds",
                    f"Invalid value: {seconds}: may not specify a duration larger than 2^32 seconds",
                )
            )
        if found:
            raise errors.invalid_named("authentication.k8s.io", "TokenRequest", "", found)
        spec["expirationSeconds"] = seconds
        now = int(self._resources.clock.time())
        bound: dict[str, Any] = {"namespace": meta["namespace"]}
        bound |= await self._bind(spec.get("boundObjectRef"), meta, spec)
        bound["serviceaccount"] = {"name": meta["name"], "uid": meta["uid"]}
        claims = {
            "aud": audiences,
            "exp": now + seconds,
            "iat": now,
            "iss": self._issuer,
            "jti": self._resources.ids.uuid(),
            _CLAIM: bound,
            "nbf": now,
            "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
        }
        expires = self._resources.clock.now() + timedelta(seconds=seconds)
        made = dict(request)
        made["metadata"] = {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "creationTimestamp": rfc3339(self._resources.clock.now()),
        }
        made["status"] = {"token": self.sign(claims), "expirationTimestamp": rfc3339(expires)}
        return made

    async def _bind(self, reference: Obj | None, account: Obj, spec: Obj) -> dict[str, Any]:
        """The claims of the bound object."""
        if not reference:
            return {}
        kind_name = reference.get("kind", "")
        row = _BOUND.get(kind_name)
        if row is None or reference.get("apiVersion", row[0]) != row[0]:
            version = reference.get("apiVersion", "")
            shown = version if "/" in version else f"/{version}"
            raise errors.bad_request(f"cannot bind token to object of type {shown}, Kind={kind_name}")
        kind = self._resources.registry.resource("", "v1", row[1])
        assert kind is not None
        namespace = account["namespace"] if kind.namespaced else ""
        name = reference.get("name", "")
        record = await self._resources.get(kind, namespace, name)
        meta = record.stored["metadata"]
        if reference.get("uid") and reference["uid"] != meta["uid"]:
            why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. The object might have been deleted and then recreated"
            raise errors.record_conflict(kind, name, why)
        claims: dict[str, Any] = {kind_name.lower(): {"name": name, "uid": meta["uid"]}}
        if kind_name == "Pod":
            pod = record.stored["spec"]
            if pod.get("serviceAccountName", "default") != account["name"]:
                raise errors.bad_request(
                    f"cannot bind token for serviceaccount {json.dumps(account['name'])} to pod running with different serviceaccount name."
                )
            if node := pod.get("nodeName"):
                claims["node"] = {"name": node}
                nodes = self._resources.registry.resource("", "v1", "nodes")
                found = await self._resources.find(nodes, "", node) if nodes else None
                if found is not None:
                    claims["node"]["uid"] = found.stored["metadata"]["uid"]
        return claims


def _audience(claims: dict[str, Any]) -> list[str]:
    audience = claims.get("aud", [])
    return [audience] if isinstance(audience, str) else list(audience)
