"""The small providers through the contract; results with a seed are those of the real ones."""

import base64
import gzip
import hashlib
import os
import subprocess
import sys
import threading
import zipfile
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from terrarium.language.goflate import deflate
from terrarium.language.values import null, number, string
from terrarium.providers import builtin
from terrarium.providers.archive import Entry, tarred, zipped
from terrarium.providers.cloudinit import rendered
from terrarium.providers.gojson import decode_texts
from terrarium.providers.gorand import GoRandom, seed_of
from terrarium.providers.gotime import parse_rfc3339
from terrarium.providers.values import block_value, plain


def provider(name: str):
    return builtin()[f"registry.terraform.io/hashicorp/{name}"].create()


def made(name: str, type: str, config: dict) -> dict:
    one = provider(name)
    block = one.schema().resources[type].block
    given, nothing = block_value(block, config), null(block.type)
    assert not [d for d in one.validate_resource(type, given) if d.severity.value == "error"]
    plan = one.plan(type, nothing, given, given, b"")
    done = one.apply(type, nothing, plan.planned, given, plan.private)
    assert not done.diagnostics, done.diagnostics
    again = one.plan(type, done.value, done.value, given, b"")
    assert again.planned == done.value
    return plain(done.value)


def replaced(name: str, type: str, state: dict, config: dict) -> list:
    one = provider(name)
    block = one.schema().resources[type].block
    prior, given = block_value(block, state), block_value(block, config)
    proposed = block_value(block, {**plain(prior), **config})
    return list(one.plan(type, prior, proposed, given, b"").replace)


@pytest.mark.parametrize(
    "seed, low, high, result",
    [("a", 1, 6, 5), ("12345", 1, 1_000_000, 272_644), ("seed", -5, 5, 2), ("b", 0, 1, 1), ("x", 0, 0, 0)],
)
def test_seeded_integers(seed, low, high, result):
    assert made("random", "random_integer", {"min": low, "max": high, "seed": seed})["result"] == result


def test_seeded_shuffles():
    assert GoRandom(seed_of("seed1")).permutation(5) == [1, 0, 3, 2, 4]
    assert made("random", "random_shuffle", {"input": ["a", "b"], "seed": "z", "result_count": 5})["result"] == list(
        "abbaa"
    )


def test_strings_hold_what_they_must():
    text = made("random", "random_string", {"length": 12, "special": False, "min_numeric": 3, "upper": False})["result"]
    assert len(text) == 12 and sum(c.isdigit() for c in text) >= 3 and text == text.lower() and text.isalnum()
    assert made("random", "random_password", {"length": 8})["bcrypt_hash"].startswith("$2a$10$")


@pytest.mark.parametrize(
    "state, config, paths",
    [
        pytest.param({"triggers": {"a": "1"}}, {"triggers": {"a": "2"}}, [("triggers",)], id="another value"),
        pytest.param({"triggers": None}, {"triggers": {}}, [], id="null to empty"),
        pytest.param({"triggers": {"a": "1"}}, {"triggers": {"a": "1", "b": None}}, [], id="a null more"),
    ],
)
def test_null_triggers(state, config, paths):
    assert replaced("null", "null_resource", {"id": "1", **state}, config) == paths


@pytest.mark.parametrize(
    "config, moment",
    [
        pytest.param(
            {"base_rfc3339": "2024-01-31T00:00:00Z", "offset_months": 1}, "2024-03-02T00:00:00Z", id="overflow"
        ),
        pytest.param(
            {"base_rfc3339": "2024-02-29T00:00:00Z", "offset_years": 1}, "2025-03-01T00:00:00Z", id="leap day"
        ),
        pytest.param(
            {"base_rfc3339": "2024-06-01T10:00:00-07:00", "offset_hours": -25}, "2024-05-31T09:00:00-07:00", id="zone"
        ),
    ],
)
def test_offsets(config, moment):
    assert made("time", "time_offset", config)["rfc3339"] == moment


@pytest.mark.parametrize(
    "text, why",
    [
        ("bad", 'parsing time "bad" as "2006-01-02T15:04:05Z07:00": cannot parse "bad" as "2006"'),
        ("2024", 'parsing time "2024" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "-"'),
        ("2024-13-01T00:00:00Z", 'parsing time "2024-13-01T00:00:00Z": month out of range'),
    ],
)
def test_bad_times(text, why):
    with pytest.raises(ValueError) as wrong:
        parse_rfc3339(text)
    assert str(wrong.value) == why


def test_time_functions():
    time = provider("time")
    assert plain(time.call("duration_parse", [string("1h30m5s200ms")]).value)["milliseconds"] == 5_405_200
    assert plain(time.call("unix_timestamp_parse", [number(1_700_000_000)]).value)["weekday_name"] == "Tuesday"
    assert time.call("rfc3339_parse", [string("bad")]).diagnostics[0].detail.endswith("not a valid RFC3339 timestamp.")


def test_files(tmp_path):
    path = tmp_path / "out" / "a.txt"
    state = made("local", "local_file", {"filename": str(path), "content": "hello", "file_permission": "0640"})
    assert path.read_text("utf-8") == "hello" and path.stat().st_mode & 0o777 == 0o640 & ~_umask()
    assert state["id"] == "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"
    local = provider("local")
    held = block_value(local.schema().resources["local_file"].block, state)
    path.write_text("other", "utf-8")
    assert local.read("local_file", held, b"").value.is_null


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    "entries, digest",
    [
        pytest.param([Entry("h.txt", b"hello", 0)], "cf6a63c1d641251405f494aaabfba86eee3ebe72", id="one"),
        pytest.param(
            [Entry("2.txt", b"2", 0), Entry("a/1.txt", b"1", 0)], "4c97be26deaa7b3f4019e7b6d04bb494df293a82", id="two"
        ),
    ],
)
def test_zip_files_are_the_real_ones(entries, digest):
    import hashlib

    assert hashlib.sha1(zipped(entries)).hexdigest() == digest


def test_user_data():
    parts = [
        {"content_type": "text/x-shellscript", "filename": "a.sh", "content": "#!/bin/sh\necho hi\n"},
        {"content_type": "text/cloud-config", "merge_type": "list(append)", "content": "packages: [x]\n"},
    ]
    assert rendered({"gzip": False, "base64_encode": True, "part": parts})["id"] == "3116310284"


@pytest.mark.parametrize(
    "text, why",
    [
        ("notjson", "invalid character 'o' in literal null (expecting 'u')"),
        ('{"a": 1}', "json: cannot unmarshal number into Go value of type string"),
        ("[]", "json: cannot unmarshal array into Go value of type map[string]string"),
        ("", "unexpected end of JSON input"),
    ],
)
def test_answers_of_programs(text, why):
    with pytest.raises(ValueError) as wrong:
        decode_texts(text)
    assert str(wrong.value) == why


def test_external_programs():
    external = provider("external")
    block = external.schema().data_sources["external"].block
    config = {"program": [sys.executable, "-c", "import sys; print(sys.stdin.read())"], "query": {"a": "é"}}
    assert plain(external.read_data("external", block_value(block, config)).value)["result"] == {"a": "é"}


def test_importing_the_package_costs_nothing():
    code = "import sys, terrarium.providers as p; p.builtin(); print([m for m in sys.modules if m.startswith(('botocore', 'terrarium.providers.'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"


NOISE = bytes(GoRandom(7).below(256) for _ in range(3000))


@pytest.mark.parametrize("level", [5, 6])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"f", id="one byte"),
        pytest.param(b"a" * 1000, id="one run"),
        pytest.param(NOISE, id="noise is stored"),
        pytest.param(b"ab" * 70_000, id="the window slides"),
        pytest.param(bytes(i * i % 251 for i in range(70_000)) + NOISE, id="many blocks"),
    ],
)
def test_deflate_is_undone(content: bytes, level: int):
    packed = deflate(content, level)
    assert zlib.decompressobj(-15).decompress(packed) == content
    assert packed.endswith(b"\0\0\xff\xff")


def test_archives_have_the_hash_of_the_real_ones():
    raw = tarred([Entry("f.txt", b"f", 0o644)])
    assert hashlib.sha256(raw).hexdigest() == "8085b7e419de69d4cd82c245afe1a4f47ce1faf892a745cc7e442b861151bb10"


@pytest.mark.parametrize(
    "offset, moment",
    [
        ({"offset_months": 1, "offset_days": 2}, "2024-03-02T00:00:00Z"),
        ({"offset_years": -1, "offset_hours": 5, "offset_minutes": -3, "offset_seconds": 7}, "2023-01-31T04:57:07Z"),
    ],
)
def test_offsets_are_added_one_after_the_other(offset, moment):
    assert made("time", "time_offset", {"base_rfc3339": "2024-01-31T00:00:00Z", **offset})["rfc3339"] == moment


class Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = b"".join(f"{k}: {v}\n".encode() for k, v in self.headers.items())
        content += self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = int(self.path.rpartition("/")[2]) if self.path.startswith("/status/") else 200
        if self.path == "/bin":
            content = b"\x00\xff\xfeA"
        self.send_response(302 if self.path == "/redirect" else status)
        if self.path == "/redirect":
            self.send_header("Location", "/ok")
        self.send_header("X-Multi", "a")
        self.send_header("X-Multi", "b")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *args: object) -> None: ...


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def asked(**config):
    one = provider("http")
    block = one.schema().data_sources["http"].block
    given = block_value(block, config)
    problems = [d for d in one.validate_data("http", given) if d.severity.value == "error"]
    if problems:
        return plain(given), problems
    result = one.read_data("http", given)
    return plain(result.value), list(result.diagnostics)


def test_requests_look_like_those_of_go(echo):
    seen, said = asked(url=f"http://{echo}/ok", request_headers={"x-b": "2", "x-a": "1"})
    assert seen["response_body"].splitlines() == [
        f"Host: {echo}", "User-Agent: Go-http-client/1.1", "X-A: 1", "X-B: 2", "Accept-Encoding: gzip",
    ]  # fmt: skip
    assert seen["response_headers"]["X-Multi"] == "a, b"
    assert (seen["id"], seen["status_code"], said) == (f"http://{echo}/ok", 200, [])
    seen, _ = asked(url=f"http://{echo}/ok", method="POST", request_body="text")
    assert seen["response_body"].endswith("Content-Length: 4\nAccept-Encoding: gzip\ntext")
    seen, _ = asked(url=f"http://{echo}/redirect")
    assert f"Referer: http://{echo}/redirect" in seen["response_body"]
    assert seen["id"] == f"http://{echo}/redirect"


@pytest.mark.parametrize(
    "config, text",
    [
        (
            {"url": "http://{}/status/500"},
            "Error making request: GET http://{}/status/500 giving up after 1 attempt(s)",
        ),
        (
            {"url": "http://{}/status/429"},
            "Error making request: GET http://{}/status/429 giving up after 1 attempt(s)",
        ),
        (
            {"url": "http://{}/status/503", "retry": {"attempts": 2, "min_delay_ms": 1, "max_delay_ms": 1}},
            "Error making request: GET http://{}/status/503 giving up after 3 attempt(s)",
        ),
        (
            {"url": "ftp://{}/x"},
            'Error making request: GET ftp://{}/x giving up after 1 attempt(s): Get "ftp://{}/x": unsupported protocol '
            'scheme "ftp"',
        ),
        (
            {"url": "http://{}/ok", "request_timeout_ms": 0},
            "Attribute request_timeout_ms value must be at least 1, got: 0",
        ),
        (
            {"url": "http://{}/ok", "client_cert_pem": "x"},
            'Attribute "client_key_pem" must be specified when "client_cert_pem" is specified',
        ),
    ],
)
def test_requests_that_fail(config, text, echo):
    _, said = asked(**{**config, "url": config["url"].format(echo)})
    assert [d.detail for d in said] == [text.replace("{}", echo)]


def test_answers_that_are_no_text(echo):
    seen, said = asked(url=f"http://{echo}/bin")
    assert (seen["response_body"], seen["response_body_base64"]) == ("\0\ufffd\ufffdA", "AP/+QQ==")
    assert [(d.severity.value, d.summary) for d in said] == [("warning", "Response body is not recognized as UTF-8")]
    assert asked(url=f"http://{echo}/status/501")[0]["status_code"] == 501


@pytest.mark.parametrize(
    "config, said",
    [
        ({"part": []}, "Block part must have a configuration value as the provider has marked it as required"),
        ({"part": [{"content": ""}]}, "Attribute part[0].content string length must be at least 1, got: 0"),
        (
            {"part": [{"content": "x"}], "base64_encode": False},
            "Expected base64_encode to be set to true when gzip is true.",
        ),
    ],
)
def test_user_data_that_is_refused(config, said):
    one = provider("cloudinit")
    block = one.schema().data_sources["cloudinit_config"].block
    assert [d.detail for d in one.validate_data("cloudinit_config", block_value(block, config))] == [said]


def test_user_data_is_packed_as_go_does():
    packed = base64.b64decode(rendered({"part": [{"content": "x"}]})["rendered"])
    assert packed[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    assert b"Content-Type: text/plain" in gzip.decompress(packed)


@pytest.mark.parametrize(
    "excludes, names",
    [
        ([], ["a.txt", "sub/b.txt", "sub/deep/c.md"]),
        (["*.txt"], ["sub/b.txt", "sub/deep/c.md"]),
        (["**/*.txt"], ["sub/deep/c.md"]),
        (["sub"], ["a.txt"]),
        (["s?b/{deep,x}"], ["a.txt", "sub/b.txt"]),
        (["**"], None),
    ],
)
def test_files_left_out_of_archives(excludes, names, tmp_path: Path):
    for name in ("a.txt", "sub/b.txt", "sub/deep/c.md"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_text(name)
    one, target = provider("archive"), tmp_path / "out.zip"
    block = one.schema().data_sources["archive_file"].block
    config = {"type": "zip", "output_path": str(target), "source_dir": str(tmp_path / "in"), "excludes": excludes}
    result = one.read_data("archive_file", block_value(block, config))
    if names is None:
        assert [d.detail for d in result.diagnostics] == [
            "error creating archive: error archiving directory: archive has not been created as it would be empty"
        ]
        return
    with zipfile.ZipFile(target) as archive:
        assert archive.namelist() == names
        assert archive.infolist()[0].date_time[:3] == (2049, 1, 1)
