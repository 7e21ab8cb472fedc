"""Provider programs: values on the wire, our host and our server against each other, mirrors, and the real terraform."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from terrarium.language.types import BOOL, DYNAMIC, NUMBER, STRING, List, Map, Object, Set, Tuple, Type
from terrarium.language.values import (
    FALSE,
    NULL,
    Unknown,
    Value,
    list_of,
    map_of,
    null,
    number,
    object_of,
    set_of,
    string,
    tuple_of,
    unknown,
)
from terrarium.providers import builtin
from terrarium.providers.plugin import encoding
from terrarium.providers.plugin.installed import PLATFORM, Package, hashes, in_mirror, install, program_in
from terrarium.providers.plugin.provider import PluginProvider

POINT = Object({"x": NUMBER, "name": STRING})

CASES: list[tuple[str, Value, Type, bytes]] = [
    ("text", string("é"), STRING, b"\xa2\xc3\xa9"),
    ("null", null(STRING), STRING, b"\xc0"),
    ("unknown", unknown(STRING), STRING, b"\xd4\x00\x00"),
    ("small number", number(7), NUMBER, b"\x07"),
    ("negative number", number(-1), NUMBER, b"\xff"),
    ("half", number(Fraction(1, 2)), NUMBER, b"\xcb?\xe0\x00\x00\x00\x00\x00\x00"),
    ("number too large for 64 bits", number(2**80 + 1), NUMBER, b"\xb91208925819614629174706177"),
    ("bool", FALSE, BOOL, b"\xc2"),
    ("list", list_of(STRING, [string("a")]), List(STRING), b"\x91\xa1a"),
    ("set", set_of(NUMBER, [number(2), number(1)]), Set(NUMBER), b"\x92\x01\x02"),
    ("map", map_of(BOOL, {"k": FALSE}), Map(BOOL), b"\x81\xa1k\xc2"),
    ("object", object_of({"name": string("p"), "x": number(1)}), POINT, b"\x82\xa1x\x01\xa4name\xa1p"),
    ("tuple", tuple_of([number(1), string("a")]), Tuple((NUMBER, STRING)), b"\x92\x01\xa1a"),
    ("any type", string("a"), DYNAMIC, b'\x92\xc4\x08"string"\xa1a'),
    ("not null", unknown(STRING, Unknown(not_null=True)), STRING, b"\xc7\x03\x0c\x81\x01\xc2"),
]


@pytest.mark.parametrize(("value", "type", "wire"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_values_on_the_wire(value: Value, type: Type, wire: bytes) -> None:
    assert encoding.pack(value, type) == wire
    assert encoding.unpack(wire, type) == value


def test_what_is_known_of_an_unknown_value_travels() -> None:
    known = Unknown(True, "ami-", None, None, 0, None)
    lengths = Unknown(False, "", None, None, 2, 5)
    bounds = Unknown(True, "", (1, True), (Fraction(9, 2), False), 0, None)
    for refinement, type in ((known, STRING), (lengths, List(STRING)), (bounds, NUMBER)):
        value = unknown(type, refinement)
        assert encoding.unpack(encoding.pack(value, type), type) == value


# --- our host and our server ----------------------------------------------------------------------------------------


def link(folder: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "terrarium", "provider", "link", str(folder)], capture_output=True, text=True, check=True
    )
    assert "TF_CLI_CONFIG_FILE" in done.stdout
    return folder


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return link(tmp_path_factory.mktemp("plugins"))


@pytest.fixture
def random_plugin(linked: Path) -> Iterator[PluginProvider]:
    provider = PluginProvider(linked / "random/terraform-provider-random")
    yield provider
    provider.close()


def test_a_provider_is_the_same_through_the_protocol(random_plugin: PluginProvider) -> None:
    direct = builtin()["registry.terraform.io/hashicorp/random"].create()
    ours, theirs = random_plugin.schema(), direct.schema()
    assert set(ours.resources) == set(theirs.resources)
    for name in theirs.resources:
        assert ours.resources[name].block.type == theirs.resources[name].block.type
        assert ours.resources[name].version == theirs.resources[name].version
    assert "random_nothing" not in ours.resources

    kind = theirs.resources["random_integer"].block.type
    members = {name: Value(member, NULL) for name, member in sorted(kind.attributes.items())}
    config = Value(kind, {**members, "min": number(1), "max": number(3)})
    proposed = Value(kind, {**config.data, "id": unknown(STRING), "result": unknown(NUMBER)})
    assert random_plugin.validate_resource("random_integer", config) == ()
    planned = random_plugin.plan("random_integer", null(kind), proposed, config, b"")
    assert planned.planned == direct.plan("random_integer", null(kind), proposed, config, b"").planned
    made = random_plugin.apply("random_integer", null(kind), planned.planned, config, planned.private)
    assert made.value["result"].data in (1, 2, 3)
    assert random_plugin.read("random_integer", made.value, made.private).value == made.value
    replaced = random_plugin.plan(
        "random_integer", made.value, Value(kind, {**made.value.data, "max": number(9)}),
        Value(kind, {**config.data, "max": number(9)}), b"",
    )  # fmt: skip
    assert ("max",) in replaced.replace
    wrong = random_plugin.import_("random_integer", "nonsense")
    assert [d.severity.value for d in wrong.diagnostics] == ["error"]
    right = random_plugin.import_("random_integer", "2,1,3")
    assert right.objects[0].value["result"].data == 2


def test_functions_and_their_errors_travel(linked: Path) -> None:
    provider = PluginProvider(linked / "time/terraform-provider-time")
    try:
        parsed = provider.call("rfc3339_parse", [string("2024-02-03T04:05:06Z")])
        assert parsed.value["day"].data == 3
        assert provider.call("rfc3339_parse", [string("yesterday")]).diagnostics[0].attribute == (0,)
    finally:
        provider.close()


def test_a_program_that_is_no_plugin_is_named(tmp_path: Path) -> None:
    from terrarium.providers.plugin.process import PluginFailure

    program = tmp_path / "terraform-provider-odd"
    program.write_text("#!/bin/sh\necho this is no plugin >&2\n")
    program.chmod(0o755)
    with pytest.raises(PluginFailure, match="terraform-provider-odd is no provider that can be used"):
        PluginProvider(program).schema()


# --- mirrors and the command line -----------------------------------------------------------------------------------

SOURCE = "registry.terraform.io/example/dice"
CONFIG = """terraform {
  required_providers {
    random = {
      source  = "example/dice"
      version = ">= 1.0"
    }
  }
}
resource "random_integer" "n" {
  min = 4
  max = 4
}
output "n" { value = random_integer.n.result }
"""


def package(mirror: Path, version: str) -> Path:
    """A provider of another name, which is our random one, in an unpacked mirror."""
    folder = mirror / SOURCE / version / PLATFORM
    folder.mkdir(parents=True)
    program = folder / f"terraform-provider-dice_v{version}"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m terrarium provider serve random\n')
    program.chmod(0o755)
    return folder


def test_packages_packed_and_unpacked(tmp_path: Path) -> None:
    folder = package(tmp_path / "mirror", "1.2.0")
    packed = tmp_path / f"mirror/{SOURCE}/terraform-provider-dice_1.3.0_{PLATFORM}.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(folder / "terraform-provider-dice_v1.2.0", "terraform-provider-dice_v1.2.0")
    found = {p.version: p for p in in_mirror(tmp_path / "mirror", SOURCE)}
    assert set(found) == {"1.2.0", "1.3.0"}
    assert hashes(found["1.2.0"])[0] == hashes(found["1.3.0"])[0], "the same files have the same h1 hash"
    assert hashes(found["1.3.0"])[1].startswith("zh:")
    for version, kind in found.items():
        target = tmp_path / "installed" / version
        install(kind, target)
        assert program_in(target, SOURCE) is not None
    with pytest.raises(Exception, match="can't be installed"):
        install(Package(SOURCE, "2.0.0", tmp_path / "nothing.zip"), tmp_path / "installed/2.0.0")


def tf(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "terrarium", "tf", *words, "-no-color"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_provider_from_a_mirror_is_installed_locked_and_used(tmp_path: Path) -> None:
    package(tmp_path / "mirror", "1.2.0")
    config = tmp_path / "terraform.rc"
    config.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{tmp_path}/mirror"\n  }}\n}}\n')
    work = tmp_path / "work"
    work.mkdir()
    (work / "main.tf").write_text(CONFIG)
    environment = {"TF_CLI_CONFIG_FILE": str(config)}
    done = tf(work, "init", **environment)
    assert "- Installed example/dice v1.2.0 (unauthenticated)" in done.stdout, done.stdout + done.stderr
    assert 'version     = "1.2.0"' in (work / ".terraform.lock.hcl").read_text()
    done = tf(work, "apply", "-auto-approve", **environment)
    assert "n = 4" in done.stdout, done.stdout + done.stderr
    assert tf(work, "plan", "-detailed-exitcode", **environment).returncode == 0
    # A newer one comes only when asked for; one that is not what was locked is refused.
    package(tmp_path / "mirror", "1.4.0")
    assert "previously-installed example/dice v1.2.0" in tf(work, "init", **environment).stdout
    assert "Installed example/dice v1.4.0" in tf(work, "init", "-upgrade", **environment).stdout
    shutil.rmtree(work / ".terraform")
    (tmp_path / f"mirror/{SOURCE}/1.4.0/{PLATFORM}/more.txt").write_text("tampered")
    refused = tf(work, "init", **environment)
    assert refused.returncode == 1
    assert "doesn't match any of the checksums" in " ".join(refused.stderr.split()).replace("│ ", "")


def test_the_real_terraform_uses_our_providers(linked: Path, tmp_path: Path) -> None:
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("there is no terraform on this machine")
    (tmp_path / "main.tf").write_text(
        'resource "random_integer" "n" {\n  min = 4\n  max = 4\n}\n'
        'resource "null_resource" "x" {\n  triggers = { n = random_integer.n.result }\n}\n'
        'output "n" {\n  value = random_integer.n.result\n}\n'
    )
    environment = {**os.environ, "TF_CLI_CONFIG_FILE": str(linked / "terraform.rc"), "CHECKPOINT_DISABLE": "1"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [terraform, *words, "-no-color"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )

    done = run("apply", "-auto-approve")
    assert "Apply complete! Resources: 2 added, 0 changed, 0 destroyed." in done.stdout, done.stdout + done.stderr
    assert "n = 4" in done.stdout
    # What the real program has applied, ours finds as it should be, and takes away.
    assert tf(tmp_path, "init").returncode == 0
    own = tf(tmp_path, "plan", "-detailed-exitcode")
    assert own.returncode == 0, own.stdout + own.stderr
    assert "Destroy complete! Resources: 2 destroyed." in tf(tmp_path, "destroy", "-auto-approve").stdout
