"""The small languages of the API: quantities, times, selectors, names, cron schedules, YAML."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from terrarium.kube.api import cron, names, times, yaml_bodies
from terrarium.kube.api.builtin import registry
from terrarium.kube.api.quantity import Quantity, QuantityError
from terrarium.kube.api.selectors import SelectorError, parse_fields, parse_labels


@pytest.mark.parametrize(
    "text, printed",
    [
        ("+1", "+1"),
        ("1.", "1."),
        ("0010", "0010"),
        ("1e-1", "100e-3"),
        ("0.001Gi", "1073741824m"),
        ("16Ei", "9223372036854775807"),
        ("0.5Gi", "512Mi"),
        ("0.5", "500m"),
        ("1000", "1k"),
        ("1024Mi", "1Gi"),
        ("1500m", "1500m"),
        ("0", "0"),
        ("1.5Gi", "1536Mi"),
        ("12e6", "12e6"),
        ("100Ki", "100Ki"),
    ],
)
def test_quantities_print(text: str, printed: str) -> None:
    assert str(Quantity.parse(text)) == printed


@pytest.mark.parametrize("text", ["", "a", "1.2.3", "1Q", "1 ", "--1", "1e", "Ki1"])
def test_no_quantities(text: str) -> None:
    with pytest.raises(QuantityError):
        Quantity.parse(text)


def test_quantity_arithmetic() -> None:
    assert str(Quantity.parse("500m") + Quantity.parse("1")) == "1500m"
    assert str(Quantity.parse("1Gi") - Quantity.parse("512Mi")) == "512Mi"
    assert Quantity.parse("1") == Quantity.parse("1000m")
    assert Quantity.parse("1Ki") > Quantity.parse("1k")
    assert Quantity.parse("1n").rounded_up(-3) == Quantity.parse("1m")
    assert Quantity.parse("1100m").value() == 2
    assert Quantity.parse("1.5").milli_value() == 1500


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (130, "2m10s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 60, "3h1m"),
        (8 * 3600, "8h"),
        (48 * 3600, "2d"),
        (49 * 3600, "2d1h"),
        (9 * 86400, "9d"),
        (800 * 86400, "2y70d"),
        (-5, "<invalid>"),
    ],
)
def test_ages(seconds: int, text: str) -> None:
    assert times.age(seconds) == text


@pytest.mark.parametrize(
    "text, printed", [("1h30m", "1h30m0s"), ("90s", "1m30s"), ("1500ms", "1.5s"), ("0", "0s"), ("20ms", "20ms")]
)
def test_durations(text: str, printed: str) -> None:
    assert times.parse_duration(text) == printed


def test_times() -> None:
    assert times.time("2024-01-02T05:04:05+02:00") == "2024-01-02T03:04:05Z"
    assert times.micro_time("2024-01-02T03:04:05.123456Z") == "2024-01-02T03:04:05.123456Z"
    with pytest.raises(times.TimeError, match='cannot parse "yesterday" as "2006"'):
        times.time("yesterday")
    with pytest.raises(times.TimeError, match=r'cannot parse "Z" as "\.000000"'):
        times.micro_time("2024-01-02T03:04:05Z")


LABELS = {"app": "web", "tier": "front", "n": "5"}


@pytest.mark.parametrize(
    "text, fits",
    [
        ("", True),
        ("app=web", True),
        ("app==api", False),
        ("app!=api", True),
        ("app in (web, api),tier", True),
        ("app notin (web)", False),
        ("!gone", True),
        ("n>4", True),
        ("n<5", False),
        ("gone!=x", True),
        ("gone in ()", False),
    ],
)
def test_label_selectors(text: str, fits: bool) -> None:
    assert parse_labels(text).matches(LABELS) is fits


@pytest.mark.parametrize(
    "text, message",
    [
        ("a===b", "unable to parse requirement: found '=', expected: identifier"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a b=c", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        (",a=b", "found ',', expected: !, identifier, or 'end of string'"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
    ],
)
def test_refused_label_selectors(text: str, message: str) -> None:
    with pytest.raises(SelectorError) as refused:
        parse_labels(text)
    assert str(refused.value) == message


def test_field_selectors() -> None:
    pods = registry().resource("", "v1", "pods")
    maps = registry().resource("", "v1", "configmaps")
    assert pods is not None and maps is not None
    pod = {"metadata": {"name": "p", "namespace": "d"}, "spec": {"nodeName": "n1"}, "status": {"phase": "Running"}}
    assert parse_fields("spec.nodeName=n1,status.phase!=Failed", pods).matches(pod)
    assert not parse_fields("metadata.name=q", pods).matches(pod)
    assert parse_fields("metadata.name=p", pods).exact("metadata.name") == "p"
    for kind, text, message in (
        (pods, "spec.priority=1", "field label not supported: spec.priority"),
        (maps, "data.a=1", '"data.a" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        (maps, "metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'"),
    ):
        with pytest.raises(SelectorError) as refused:
            parse_fields(text, kind)
        assert str(refused.value) == message


@pytest.mark.parametrize(
    "text, fault",
    [
        ("*/5 * * * *", ""),
        ("@hourly", ""),
        ("0 9 * * mon-fri", ""),
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("61 * * * *", "end of range (61) above maximum (59): 61"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("@never", "unrecognized descriptor: @never"),
    ],
)
def test_cron_faults(text: str, fault: str) -> None:
    assert cron.fault(text) == fault


@pytest.mark.parametrize(
    "text, following",
    [
        ("*/15 * * * *", datetime(2026, 1, 1, 10, 15)),
        ("0 0 1 * *", datetime(2026, 2, 1)),
        ("30 6 * * 1", datetime(2026, 1, 5, 6, 30)),
        ("0 0 31 2 *", None),
        ("@every 90s", datetime(2026, 1, 1, 10, 3, 30)),
    ],
)
def test_cron_next(text: str, following: datetime | None) -> None:
    expected = following.replace(tzinfo=UTC) if following else None
    assert cron.parse(text).next(datetime(2026, 1, 1, 10, 2, tzinfo=UTC)) == expected


@pytest.mark.parametrize(
    "text, value",
    [
        (b"y", True),
        (b"off", False),
        (b"0777", 511),
        (b"0x1f", 31),
        (b"1e3", 1000.0),
        (b"1:30", "1:30"),
        (b"2024-01-02", "2024-01-02"),
        (b'"1"', "1"),
        (b"~", None),
        (b"{1: a, true: b}", {"1": "a", "true": "b"}),
    ],
)
def test_yaml(text: bytes, value: object) -> None:
    assert yaml_bodies.load(text) == value


def test_yaml_faults() -> None:
    with pytest.raises(yaml_bodies.YamlError, match="line 2: mapping values are not allowed"):
        yaml_bodies.load(b"apiVersion: v1\n  kind: x\n bad: [\n")
    assert yaml_bodies.duplicates(b"a: 1\nb:\n  c: 1\n  c: 2\n") == ['line 4: key "c" already set in map']
    assert yaml_bodies.load(yaml_bodies.dump({"a": "yes", "b": ["1", 2, "x\ny\n"]})) == {
        "a": "yes",
        "b": ["1", 2, "x\ny\n"],
    }


@pytest.mark.parametrize(
    "rule, good, bad",
    [
        (names.dns_label, "a-1", "a.b"),
        (names.dns_subdomain, "a.b-c", "A"),
        (names.dns_label_1035, "abc", "1abc"),
        (names.qualified_name, "example.com/My_Name", "a/b/c"),
        (names.label_value, "", "a b"),
        (names.config_map_key, "key.name", ".."),
        (names.port_name, "http-2", "80"),
        (names.path_segment, "a:b", "a%b"),
        (names.wildcard_subdomain, "*.example.com", "*"),
    ],
)
def test_names(rule: object, good: str, bad: str) -> None:
    assert callable(rule)
    assert rule(good) == []
    assert rule(bad)
