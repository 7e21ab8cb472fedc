"""The gate: a request passes with its caller, or is refused in the words its service uses.

What is wrong is one of few things; how AWS names it depends on the protocol. Both are tables.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from terrarium.cloud import signature
from terrarium.cloud.credentials import Credential, Credentials
from terrarium.cloud.hooks import AwsError
from terrarium.cloud.signature import Claim, Request
from terrarium.cloud.wire import protocol_of

SKEW = 300
"""Seconds a client's clock may be off (S3 allows 900)."""
LONGEST_PRESIGNED = 604_800


class Fault(enum.Enum):
    MISSING = "no authentication at all"
    MALFORMED = "authentication that can't be read"
    UNKNOWN_KEY = "a key nobody issued, or one that was made inactive"
    BAD_TOKEN = "a session's key without its token"
    EXPIRED_TOKEN = "a session that has ended"
    BAD_SIGNATURE = "another secret, or a changed request"
    LATE = "signed too long ago"
    EARLY = "signed in the future"
    BAD_PAYLOAD = "a body that is not the signed one"


_INVALID_TOKEN = "The security token included in the request is invalid."
_EXPIRED_TOKEN = "The security token included in the request is expired"
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)
_S3_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)
_EC2_REFUSED = "AWS was not able to validate the provided access credentials"
_SKEWED = "The difference between the request time and the current time is too large."

# fault -> (code, status, message); a message of None is the fault's own text.
Words = Mapping[Fault, tuple[str, int, str | None]]

_QUERY: Words = {
    Fault.MISSING: ("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
    Fault.MALFORMED: ("IncompleteSignature", 400, None),
    Fault.UNKNOWN_KEY: ("InvalidClientTokenId", 403, _INVALID_TOKEN),
    Fault.BAD_TOKEN: ("InvalidClientTokenId", 403, _INVALID_TOKEN),
    Fault.EXPIRED_TOKEN: ("ExpiredToken", 403, _EXPIRED_TOKEN),
    Fault.BAD_SIGNATURE: ("SignatureDoesNotMatch", 403, _MISMATCH),
    Fault.LATE: ("SignatureDoesNotMatch", 403, None),
    Fault.EARLY: ("SignatureDoesNotMatch", 403, None),
    Fault.BAD_PAYLOAD: ("SignatureDoesNotMatch", 403, _MISMATCH),
}
_EC2: Words = {
    Fault.MISSING: ("MissingParameter", 400, "The request must contain the parameter AWSAccessKeyId"),
    Fault.MALFORMED: ("IncompleteSignature", 400, None),
    Fault.UNKNOWN_KEY: ("AuthFailure", 401, _EC2_REFUSED),
    Fault.BAD_TOKEN: ("AuthFailure", 401, _EC2_REFUSED),
    Fault.EXPIRED_TOKEN: ("RequestExpired", 400, "Request has expired."),
    Fault.BAD_SIGNATURE: ("AuthFailure", 401, _EC2_REFUSED),
    Fault.LATE: ("RequestExpired", 400, "Request has expired."),
    Fault.EARLY: ("AuthFailure", 401, _EC2_REFUSED),
    Fault.BAD_PAYLOAD: ("AuthFailure", 401, _EC2_REFUSED),
}
_JSON: Words = {
    Fault.MISSING: ("MissingAuthenticationTokenException", 400, "Request is missing Authentication Token"),
    Fault.MALFORMED: ("IncompleteSignatureException", 400, None),
    Fault.UNKNOWN_KEY: ("UnrecognizedClientException", 400, _INVALID_TOKEN),
    Fault.BAD_TOKEN: ("UnrecognizedClientException", 400, _INVALID_TOKEN),
    Fault.EXPIRED_TOKEN: ("ExpiredTokenException", 400, _EXPIRED_TOKEN),
    Fault.BAD_SIGNATURE: ("InvalidSignatureException", 400, _MISMATCH),
    Fault.LATE: ("InvalidSignatureException", 400, None),
    Fault.EARLY: ("InvalidSignatureException", 400, None),
    Fault.BAD_PAYLOAD: ("InvalidSignatureException", 400, _MISMATCH),
}
# REST services answer the same codes through their gateway, which refuses with 403.
_REST_JSON: Words = {fault: (code, 403, message) for fault, (code, _, message) in _JSON.items()}
_S3: Words = {
    Fault.MISSING: ("AccessDenied", 403, "Access Denied"),
    Fault.MALFORMED: ("AuthorizationHeaderMalformed", 400, None),
    Fault.UNKNOWN_KEY: ("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."),
    Fault.BAD_TOKEN: ("InvalidToken", 400, "The provided token is malformed or otherwise invalid."),
    Fault.EXPIRED_TOKEN: ("ExpiredToken", 400, "The provided token has expired."),
    Fault.BAD_SIGNATURE: ("SignatureDoesNotMatch", 403, _S3_MISMATCH),
    Fault.LATE: ("RequestTimeTooSkewed", 403, _SKEWED),
    Fault.EARLY: ("RequestTimeTooSkewed", 403, _SKEWED),
    Fault.BAD_PAYLOAD: (
        "XAmzContentSHA256Mismatch",
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}
_WORDS: Mapping[str, Words] = {"ec2": _EC2, "json": _JSON, "rest-json": _REST_JSON, "rest-xml": _S3}


def refusal(fault: Fault, service: str, request: Request, text: str = "") -> AwsError:
    """The error a service answers a fault with."""
    code, status, message = _WORDS.get(protocol_of(service, request), _QUERY)[fault]
    return AwsError(code, message if message is not None else (text or fault.value), status)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that passed, with its content decoded."""

    claim: Claim
    credential: Credential
    request: Request


class Gate:
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def admit(self, request: Request, service: str = "") -> Admitted:
        """The caller of a signed request; `AwsError` in the service's words when it is refused.

        `service` is only for requests which carry no scope to read it from.
        """
        try:
            claim = signature.read_claim(request)
        except signature.MalformedSignature as failure:
            raise refusal(Fault.MALFORMED, service, request, str(failure)) from None
        if claim is None:
            raise refusal(Fault.MISSING, service, request)
        credential = self._credentials.get(claim.access_key)
        if credential is None or not credential.active:
            raise refusal(Fault.UNKNOWN_KEY, claim.service, request)
        if credential.token is not None and claim.token != credential.token:
            raise refusal(Fault.BAD_TOKEN, claim.service, request)
        if credential.token is None and claim.token:
            raise refusal(Fault.BAD_TOKEN, claim.service, request)
        self._check_time(claim, request)
        if not signature.signature_matches(request, claim, credential.secret):
            raise refusal(Fault.BAD_SIGNATURE, claim.service, request)
        if credential.expires is not None and credential.expires <= self._credentials.real_time():
            raise refusal(Fault.EXPIRED_TOKEN, claim.service, request)
        if not signature.payload_matches(request):
            raise refusal(Fault.BAD_PAYLOAD, claim.service, request)
        return Admitted(claim, credential, decoded(request, credential, claim))

    def _check_time(self, claim: Claim, request: Request) -> None:
        try:
            signed = datetime.strptime(claim.timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
        except ValueError:
            text = f"Date must be in ISO-8601 'basic format'. Got '{claim.timestamp}'."
            raise refusal(Fault.MALFORMED, claim.service, request, text) from None
        now = self._credentials.real_time()
        skew = 900 if claim.service == "s3" else SKEW
        if claim.presigned and claim.expires is not None:
            self._check_presigned(claim, request, signed, now)
            return
        if now - signed > skew:
            text = f"Signature expired: {claim.timestamp} is now earlier than {_basic(now - skew)} ({_basic(now)} - {skew // 60} min.)"
            raise refusal(Fault.LATE, claim.service, request, text)
        if signed - now > skew:
            text = f"Signature not yet current: {claim.timestamp} is still later than {_basic(now + skew)} ({_basic(now)} + {skew // 60} min.)"
            raise refusal(Fault.EARLY, claim.service, request, text)

    def _check_presigned(self, claim: Claim, request: Request, signed: float, now: float) -> None:
        # STS takes a presigned GetCallerIdentity for 15 minutes whatever X-Amz-Expires says; EKS tokens rely on it.
        expires = 900 if claim.service == "sts" else claim.expires or 0
        if not 0 <= expires <= LONGEST_PRESIGNED:
            text = "X-Amz-Expires must be between 0 and 604800 seconds"
            raise refusal(Fault.MALFORMED, claim.service, request, text)
        if now > signed + expires:
            if claim.service == "s3":
                raise AwsError("AccessDenied", "Request has expired", 403, Expires=_iso(signed + expires))
            text = f"Signature expired: {claim.timestamp} is now earlier than {_basic(now - expires)} ({_basic(now)} - {expires} sec.)"
            raise refusal(Fault.LATE, claim.service, request, text)
        if signed - now > 900:
            text = f"Signature not yet current: {claim.timestamp} is still later than {_basic(now + 900)}"
            raise refusal(Fault.EARLY, claim.service, request, text)


def decoded(request: Request, credential: Credential, claim: Claim | None = None) -> Request:
    """The request with an `aws-chunked` body put together; chunks are checked against `claim`."""
    if not request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        return request
    claim = claim or signature.read_claim(request)
    assert claim is not None
    try:
        body, trailers = signature.decode_chunks(request, claim, credential.secret)
    except signature.BadChunk as failure:
        raise AwsError("SignatureDoesNotMatch", f"{_S3_MISMATCH} ({failure})", 403) from None
    expected = request.headers.get("x-amz-decoded-content-length")
    if expected is not None and expected != str(len(body)):
        raise AwsError("IncompleteBody", "The request body terminated unexpectedly", 400)
    dropped = ("x-amz-decoded-content-length", "x-amz-trailer", "content-length", "transfer-encoding")
    headers = {k: v for k, v in request.headers.items() if k not in dropped} | trailers
    encodings = [
        e.strip() for e in headers.pop("content-encoding", "").split(",") if e.strip() not in ("", "aws-chunked")
    ]
    if encodings:
        headers["content-encoding"] = ", ".join(encodings)
    headers["content-length"] = str(len(body))
    headers["x-amz-content-sha256"] = signature.UNSIGNED
    return Request(request.method, request.path, request.query, headers, body)


def _basic(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%SZ")


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
