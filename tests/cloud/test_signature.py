"""Our reading of Signature Version 4 against botocore's writing of it."""

from __future__ import annotations

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from terrarium.cloud.signature import (
    BadChunk,
    MalformedSignature,
    Request,
    decode_chunks,
    read_claim,
    signature_matches,
)

KEYS = Credentials("AKIAABCDEFGHIJKLMNOP", "secret/with+signs", None)
HOST = "127.0.0.1:4566"

CASES = [
    pytest.param("eks", "GET", "/clusters", "", b"", id="plain"),
    pytest.param(
        "eks", "GET", "/clusters/a/access-entries/arn%3Aaws%3Aiam%3A%3A1%3Auser%2Fx", "", b"", id="encoded path"
    ),
    pytest.param("eks", "GET", "/clusters", "maxResults=5&nextToken=a%2Bb%3D%3D", b"", id="query"),
    pytest.param("ec2", "POST", "/", "", b"Action=DescribeVpcs&Version=2016-11-15", id="form"),
    pytest.param("eks", "DELETE", "/tags/a", "tagKeys=b&tagKeys=a&tagKeys=%20", b"", id="repeated parameter"),
    pytest.param("logs", "POST", "/", "", '{"a": "ü"}'.encode(), id="json"),
]


def as_it_comes(signed: AWSRequest) -> Request:
    prepared = signed.prepare()
    address, _, query = prepared.url.partition("?")
    headers = {k.lower(): v.decode() if isinstance(v, bytes) else str(v) for k, v in prepared.headers.items()}
    headers.setdefault("host", HOST)
    path = "/" + address.partition("://")[2].partition("/")[2]
    return Request(prepared.method, path, query, headers, prepared.body or b"")


def signed(signer: type, service: str, method: str, path: str, query: str, body: bytes) -> Request:
    url = f"http://{HOST}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method=method, url=url, data=body, headers={"X-Custom": " a   b "})
    signer(KEYS, service, "ap-northeast-2").add_auth(request)
    return as_it_comes(request)


@pytest.mark.parametrize("signer", [SigV4Auth, SigV4QueryAuth], ids=["header", "presigned"])
@pytest.mark.parametrize(("service", "method", "path", "query", "body"), CASES)
def test_botocore_signs_as_we_check(
    signer: type, service: str, method: str, path: str, query: str, body: bytes
) -> None:
    if signer is SigV4QueryAuth and body:
        body = b""
    request = signed(signer, service, method, path, query, body)
    claim = read_claim(request)
    assert claim is not None
    assert (claim.service, claim.region, claim.access_key) == (service, "ap-northeast-2", KEYS.access_key)
    assert signature_matches(request, claim, KEYS.secret_key)
    assert not signature_matches(request, claim, "another")
    changed = Request(request.method, request.path, request.query + "&x=1", request.headers, request.body)
    assert not signature_matches(changed, claim, KEYS.secret_key)


@pytest.mark.parametrize("key", ["a", "a b/ü+?", "a//b/./c", "%41"])
def test_s3_signs_the_path_as_sent(key: str) -> None:
    from urllib.parse import quote

    request = signed(S3SigV4Auth, "s3", "PUT", "/bucket/" + quote(key, safe="/~"), "", b"content")
    claim = read_claim(request)
    assert claim is not None
    assert signature_matches(request, claim, KEYS.secret_key)


@pytest.mark.parametrize(
    ("header", "text"),
    [
        pytest.param("AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request", "'Signature' parameter", id="no signature"),
        pytest.param("Bearer x", "Unsupported authorization type", id="another scheme"),
        pytest.param(
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=x", "5 slash-delimited", id="scope"
        ),
        pytest.param(
            "AWS4-HMAC-SHA256 Credential=a/20260101/r/s/aws4_request, SignedHeaders=date, Signature=x",
            "must be a 'SignedHeader'",
            id="host not signed",
        ),
    ],
)
def test_what_cannot_be_read_says_why(header: str, text: str) -> None:
    request = Request("GET", "/", "", {"authorization": header, "x-amz-date": "20260101T000000Z"}, b"")
    with pytest.raises(MalformedSignature, match=text):
        read_claim(request)


def test_nothing_claimed() -> None:
    assert read_claim(Request("GET", "/", "a=b", {}, b"")) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32: AAAA\r\n\r\n", b"abc", id="one chunk and a trailer"),
        pytest.param(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", b"abc", id="two chunks"),
        pytest.param(b"5\r\nabc\r\n0\r\n\r\n", None, id="too short"),
        pytest.param(b"zz\r\nabc\r\n", None, id="no number"),
        pytest.param(b"", None, id="nothing"),
    ],
)
def test_chunks(body: bytes, expected: bytes | None) -> None:
    request = signed(S3SigV4Auth, "s3", "PUT", "/b/k", "", b"")
    headers = {**request.headers, "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    chunked = Request("PUT", "/b/k", "", headers, body)
    claim = read_claim(chunked)
    assert claim is not None
    if expected is None:
        with pytest.raises(BadChunk):
            decode_chunks(chunked, claim, KEYS.secret_key)
    else:
        assert decode_chunks(chunked, claim, KEYS.secret_key)[0] == expected
