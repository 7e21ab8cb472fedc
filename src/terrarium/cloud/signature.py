"""Signature Version 4, from the side of the server: what a request claims, and whether it was signed with that secret.

Pure functions over bytes. The canonical request is rebuilt from the request as it came over the wire (raw path, raw
query), by the rules of "Create a signed AWS API request" in the AWS IAM user guide; botocore's signer is the oracle in
the tests. A request may be signed in its `Authorization` header or in its query (presigned), and an S3 upload may come
in chunks, each signed with the signature before it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


class MalformedSignature(Exception):
    """The request's authentication can't be read; the text says which part."""


class BadChunk(Exception):
    """A chunk of a streamed upload is broken or wrongly signed."""


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as it came: names of headers in lower case, path and query not decoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signed request says about its signature."""

    access_key: str
    date: str
    region: str
    service: str
    timestamp: str
    """`20260105T101400Z`"""
    signed_headers: tuple[str, ...]
    signature: str
    token: str | None
    presigned: bool
    expires: int | None = None
    """Seconds of validity of a presigned request."""

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def read_claim(request: Request) -> Claim | None:
    """The claim of a request, None when it carries no authentication at all. `MalformedSignature` when it is broken."""
    header = request.headers.get("authorization")
    if header is not None:
        return _claim_of_header(header.strip(), request)
    pairs = dict(parse_query(request.query))
    if "X-Amz-Algorithm" in pairs or "X-Amz-Signature" in pairs or "X-Amz-Credential" in pairs:
        return _claim_of_query(pairs)
    return None


def _claim_of_header(header: str, request: Request) -> Claim:
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise MalformedSignature(f"Unsupported authorization type {algorithm!r}; this endpoint wants {ALGORITHM}")
    parts: dict[str, str] = {}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        parts[name] = value
    missing = [n for n in ("Credential", "Signature", "SignedHeaders") if not parts.get(n)]
    timestamp = request.headers.get("x-amz-date", "")
    sentences = [f"Authorization header requires '{n}' parameter." for n in missing]
    if not timestamp and not request.headers.get("date"):
        sentences.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    if sentences:
        raise MalformedSignature(" ".join(sentences) + " Authorization=" + algorithm)
    return _claim(parts["Credential"], timestamp, parts["SignedHeaders"], parts["Signature"],
                  request.headers.get("x-amz-security-token"))  # fmt: skip


def _claim_of_query(pairs: Mapping[str, str]) -> Claim:
    names = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
    missing = [n for n in names if not pairs.get(n)]
    if missing:
        raise MalformedSignature(" ".join(f"AWS query-string parameters must include '{n}'." for n in missing))
    if pairs["X-Amz-Algorithm"] != ALGORITHM:
        raise MalformedSignature(f"Unsupported algorithm {pairs['X-Amz-Algorithm']!r}; this endpoint wants {ALGORITHM}")
    try:
        expires = int(pairs["X-Amz-Expires"]) if "X-Amz-Expires" in pairs else None
    except ValueError:
        raise MalformedSignature("X-Amz-Expires should be a number") from None
    return _claim(pairs["X-Amz-Credential"], pairs["X-Amz-Date"], pairs["X-Amz-SignedHeaders"], pairs["X-Amz-Signature"],
                  pairs.get("X-Amz-Security-Token"), presigned=True, expires=expires)  # fmt: skip


def _claim(
    credential: str,
    timestamp: str,
    signed: str,
    signature: str,
    token: str | None,
    presigned: bool = False,
    expires: int | None = None,
) -> Claim:
    scope = credential.split("/")
    if len(scope) != 5 or not all(scope) or scope[4] != "aws4_request":
        raise MalformedSignature(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{credential}'"
        )
    if len(timestamp) != 16 or timestamp[8] != "T" or timestamp[15] != "Z":
        raise MalformedSignature(f"Date must be in ISO-8601 'basic format'. Got '{timestamp}'.")
    key, date, region, service, _ = scope
    headers = tuple(h for h in signed.lower().split(";") if h)
    if "host" not in headers:
        raise MalformedSignature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if timestamp[:8] != date:
        raise MalformedSignature(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP"
        )
    return Claim(key, date, region, service, timestamp, headers, signature, token, presigned, expires)


def parse_query(query: str) -> list[tuple[str, str]]:
    """Pairs of a query in their order, decoded once; an empty value is kept."""
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_decode(name), _decode(value)))
    return pairs


def _decode(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")


def _encode(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="-_.~")


def canonical_path(path: str, service: str) -> str:
    """The path as it is signed: S3 signs it as sent, all others with dots resolved and encoded once more."""
    if service in ("s3", "s3-outposts", "s3express"):
        return path or "/"
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if segments:
                segments.pop()
        elif segment not in ("", "."):
            segments.append(segment)
    normal = "/" + "/".join(segments)
    if path.endswith("/") and segments:
        normal += "/"
    return quote(normal, safe="/-_.~")


def canonical_query(query: str, presigned: bool) -> str:
    pairs = [
        (_encode(name), _encode(value))
        for name, value in parse_query(query)
        if not (presigned and name == "X-Amz-Signature")
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def payload_hash(request: Request, claim: Claim) -> str:
    """The hash that was signed; `verify_payload` holds it against the body."""
    given = request.headers.get("x-amz-content-sha256")
    if given is not None:
        return given
    if claim.presigned and claim.service == "s3":
        return UNSIGNED
    return hashlib.sha256(request.body).hexdigest()


def payload_matches(request: Request) -> bool:
    given = request.headers.get("x-amz-content-sha256")
    if given is None or given == UNSIGNED or given.startswith("STREAMING-"):
        return True
    return hmac.compare_digest(given, hashlib.sha256(request.body).hexdigest())


def string_to_sign(request: Request, claim: Claim, path: str | None = None) -> str:
    headers = "".join(f"{name}:{' '.join(request.headers.get(name, '').split())}\n" for name in claim.signed_headers)
    canonical = "\n".join(
        (
            request.method,
            path if path is not None else canonical_path(request.path, claim.service),
            canonical_query(request.query, claim.presigned),
            headers,
            ";".join(claim.signed_headers),
            payload_hash(request, claim),
        )
    )
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return "\n".join((ALGORITHM, claim.timestamp, claim.scope, digest))


def signing_key(secret: str, claim: Claim) -> bytes:
    key = ("AWS4" + secret).encode()
    for part in (claim.date, claim.region, claim.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature_matches(request: Request, claim: Claim, secret: str) -> bool:
    """Whether `secret` gives the request's signature. Constant time in the signature."""
    key = signing_key(secret, claim)
    paths: Sequence[str | None] = (None,)
    if claim.service not in ("s3", "s3-outposts", "s3express") and request.path != canonical_path(request.path, ""):
        # Some signers leave the path as it is sent where it was already encoded.
        paths = (None, request.path)
    given = claim.signature.encode("utf-8", "surrogateescape")
    for path in paths:
        text = string_to_sign(request, claim, path).encode("utf-8", "surrogateescape")
        if hmac.compare_digest(hmac.new(key, text, "sha256").hexdigest().encode(), given):
            return True
    return False


def decode_chunks(request: Request, claim: Claim, secret: str) -> tuple[bytes, dict[str, str]]:
    """The content of an `aws-chunked` body and its trailing headers; `BadChunk` when a chunk is broken or not signed."""
    kind = request.headers.get("x-amz-content-sha256", "")
    signed = kind.startswith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    key, previous, body = signing_key(secret, claim), claim.signature, request.body
    content, position = bytearray(), 0
    while True:
        end = body.find(b"\r\n", position)
        if end < 0:
            raise BadChunk("a chunk has no size")
        size_text, _, extension = body[position:end].decode("latin-1").partition(";")
        try:
            size = int(size_text, 16)
        except ValueError:
            raise BadChunk(f"a chunk's size is no number: {size_text[:20]!r}") from None
        data = body[end + 2 : end + 2 + size]
        if len(data) != size:
            raise BadChunk("the body ends inside a chunk")
        if signed:
            previous = _check_chunk(data, extension, previous, key, claim)
        position = end + 2 + size
        if size == 0:
            break
        content += data
        if body[position : position + 2] != b"\r\n":
            raise BadChunk("a chunk does not end with a line break")
        position += 2
    trailers: dict[str, str] = {}
    for line in body[position:].decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon and name.lower() != "x-amz-trailer-signature":
            trailers[name.strip().lower()] = value.strip()
    return bytes(content), trailers


def _check_chunk(data: bytes, extension: str, previous: str, key: bytes, claim: Claim) -> str:
    name, _, given = extension.partition("=")
    text = "\n".join(
        (
            "AWS4-HMAC-SHA256-PAYLOAD",
            claim.timestamp,
            claim.scope,
            previous,
            EMPTY_SHA256,
            hashlib.sha256(data).hexdigest(),
        )
    )
    expected = hmac.new(key, text.encode(), "sha256").hexdigest()
    if name.strip() != "chunk-signature" or not hmac.compare_digest(expected.encode(), given.strip().encode()):
        raise BadChunk("a chunk's signature does not match")
    return expected
