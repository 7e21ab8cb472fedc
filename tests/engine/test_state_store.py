"""States survive: round trips, journals, locks, stale files."""

import json
from pathlib import Path

import pytest

from terrarium.engine.addresses import parse_instance
from terrarium.engine.builtin import DATA_BLOCK
from terrarium.engine.plan_file import decode, encode
from terrarium.engine.state import StateObject
from terrarium.engine.state_file import BadState, read, write
from terrarium.engine.state_store import LocalStore
from terrarium.language.types import NUMBER, STRING, List
from terrarium.language.values import SENSITIVE, Value, null, number, object_of, set_of, string, tuple_of, unknown

PROVIDER = 'provider["terraform.io/builtin/terraform"]'


def held(text: str) -> StateObject:
    value = Value(
        DATA_BLOCK.type, {"id": string("1"), "input": string(text), "output": string(text), "triggers_replace": null()}
    )
    return StateObject.of(value, DATA_BLOCK.type)


def test_a_journal_is_folded_into_the_state(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "terraform.tfstate")
    state = store.load()
    for name in "abc":
        address = parse_instance(f"terraform_data.{name}")
        state.put(address, PROVIDER, held(name))
        store.record(state, address)
    gone = parse_instance("terraform_data.b")
    state.put(gone, PROVIDER, None)
    store.record(state, gone)
    # The process is killed here: nothing but the journal was written, its last line perhaps not whole.
    with store.journal.open("ab") as journal:
        journal.write(b'{"address":"terraform_data.d","prov')
    store._log.close()  # a killed process' files are closed for it
    again = LocalStore(tmp_path / "terraform.tfstate")
    found = again.load()
    assert list(map(str, found.addresses())) == ["terraform_data.a", "terraform_data.c"]
    assert found.lineage
    again.finish(found)
    assert not again.journal.exists()
    assert list(map(str, LocalStore(tmp_path / "terraform.tfstate").load().addresses())) == [
        "terraform_data.a",
        "terraform_data.c",
    ]


def test_what_is_read_is_written_again(tmp_path: Path) -> None:
    document = {
        "version": 4,
        "terraform_version": "1.11.4",
        "serial": 3,
        "lineage": "l",
        "outputs": {"o": {"value": "<&>", "type": "string", "sensitive": True}},
        "resources": [
            {
                "module": 'module.m["k"]',
                "mode": "managed",
                "type": "terraform_data",
                "name": "x",
                "provider": PROVIDER,
                "instances": [
                    {
                        "index_key": 0,
                        "status": "tainted",
                        "schema_version": 0,
                        "attributes": {"id": "1", "input": None, "output": None, "triggers_replace": None},
                        "sensitive_attributes": [],
                        "private": "eA==",
                        "dependencies": ["module.m.terraform_data.y"],
                        "create_before_destroy": True,
                    }
                ],
            }
        ],
        "check_results": None,
    }
    text = write(read(json.dumps(document).encode()))
    assert json.loads(text) == document
    assert b"\\u003c\\u0026\\u003e" in text


@pytest.mark.parametrize("data", [b"[", b"[]", b"{}", b'{"version": 9}', b'{"version": 4, "resources": [{}]}'])
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(BadState):
        read(data)


def test_a_flat_state_of_version_3_is_upgraded() -> None:
    primary = {"id": "7", "attributes": {"id": "7", "tags.%": "1", "tags.a": "b", "l.#": "2", "l.0": "x", "l.1": "y"}}
    module = {
        "path": ["root"],
        "resources": {"aws_vpc.v.1": {"type": "aws_vpc", "primary": primary, "provider": "provider.aws"}},
    }
    state = read(json.dumps({"version": 3, "serial": 1, "lineage": "x", "modules": [module]}).encode())
    address = parse_instance("aws_vpc.v[1]")
    found = state.current(address)
    assert found is not None
    assert found.json() == {"id": "7", "tags": {"a": "b"}, "l": ["x", "y"]}
    assert state.resources[address.resource].provider == 'provider["registry.terraform.io/hashicorp/aws"]'


def test_the_second_writer_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    import subprocess
    import sys

    store = LocalStore(tmp_path / "terraform.tfstate")
    store.lock("OperationTypeApply")
    code = (
        "import sys; from pathlib import Path; from terrarium.engine.state_store import LocalStore, StateLocked\n"
        "try:\n    LocalStore(Path(sys.argv[1])).lock('x')\n"
        "except StateLocked as failure:\n    print(failure.info['Operation'])\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(store.path)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "OperationTypeApply"
    store.unlock()
    assert not store.lock_info.exists()
    assert not store.path.exists()


VALUES = [
    string("x"),
    number(3),
    null(STRING),
    unknown(List(NUMBER)),
    string("s").marked(SENSITIVE),
    object_of({"a": tuple_of([number(1), null()]), "b": unknown()}),
    set_of(STRING, [string("b"), string("a")]),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plan_files_keep_values(value: Value) -> None:
    assert decode(json.loads(json.dumps(encode(value)))) == value
