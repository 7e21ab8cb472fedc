"""`kubectl config`: the contexts, clusters and users of a kubeconfig file, read and changed in place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from terrarium.base.diagnostics import Failure, UsageFailure
from terrarium.base.files import write_atomic
from terrarium.cli.kubectl.printing import as_yaml, columns

_LISTS = {"context": "contexts", "cluster": "clusters", "user": "users"}


def location(given: str = "") -> Path:
    """The file that is meant: `--kubeconfig`, the first of $KUBECONFIG, or ~/.kube/config."""
    named = [p for p in os.environ.get("KUBECONFIG", "").split(os.pathsep) if p]
    return Path(given) if given else Path(named[0]) if named else Path.home() / ".kube/config"


def read(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        found = None
    except OSError as error:
        raise Failure(f"{path} can't be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise Failure(f"error loading config file {path}: {error}") from None
    return found if isinstance(found, dict) else {"apiVersion": "v1", "kind": "Config"}


def run(words: list[str], path: Path, output: str = "", namespace: str = "") -> None:
    """Runs a `config` command and prints its answer. `Failure` when what is named isn't there."""
    if not words:
        raise UsageFailure("config wants a command", f"One of: {', '.join(_COMMANDS)}.")
    command = _COMMANDS.get(words[0])
    if command is None:
        raise UsageFailure(f'unknown command "config {words[0]}"', f"One of: {', '.join(_COMMANDS)}.")
    config = read(path)
    before = as_yaml(config)
    try:
        text = command(config, words[1:], path, output, namespace)
    except ValueError:
        raise UsageFailure(f"config {words[0]}: a name is missing or too many are given") from None
    if as_yaml(config) != before:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, as_yaml(config).encode(), mode=0o600)
    if text:
        print(text)


def _entries(config: dict[str, Any], what: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = config.get(_LISTS[what]) or []
    return entries


def _names(config: dict[str, Any], what: str) -> list[str]:
    return sorted(str(entry.get("name", "")) for entry in _entries(config, what))


def _current(config: dict[str, Any], words: list[str], path: Path, output: str, namespace: str) -> str:
    () = words
    current = str(config.get("current-context") or "")
    if not current:
        raise Failure("current-context is not set")
    return current


def _use(config: dict[str, Any], words: list[str], path: Path, output: str, namespace: str) -> str:
    (name,) = words
    if name not in _names(config, "context"):
        raise Failure(f'no context exists with the name: "{name}"')
    config["current-context"] = name
    return f'Switched to context "{name}".'


def _rename(config: dict[str, Any], words: list[str], path: Path, output: str, namespace: str) -> str:
    old, new = words
    for entry in _entries(config, "context"):
        if entry.get("name") == old:
            if new in _names(config, "context"):
                raise Failure(f'cannot rename the context "{old}", the context "{new}" already exists in {path}')
            entry["name"] = new
            if config.get("current-context") == old:
                config["current-context"] = new
            return f'Context "{old}" renamed to "{new}".'
    raise Failure(f'cannot rename the context "{old}", it\'s not in {path}')


def _contexts(config: dict[str, Any], words: list[str], path: Path, output: str, namespace: str) -> str:
    if output == "name":
        return "\n".join(_names(config, "context"))
    rows = [["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"]]
    for entry in sorted(_entries(config, "context"), key=lambda e: str(e.get("name"))):
        held = entry.get("context") or {}
        mark = "*" if entry.get("name") == config.get("current-context") else ""
        rows.append([mark, entry["name"], held.get("cluster", ""), held.get("user", ""), held.get("namespace", "")])
    return "\n".join(columns(rows))


def _list(what: str) -> Any:
    def listed(config: dict[str, Any], words: list[str], path: Path, output: str, namespace: str) -> str:
        return "\n".join(["NAME", *_names(config, what)])

    return listed


def _delete(what: str) -> Any:
    def delete(config: dict[str, Any], words: list[str], path: Path, output: str, namespace: str) -> str:
        (name,) = words
        if name not in _names(config, what):
            raise Failure(f"cannot delete {what} {name}, not in {path}")
        config[_LISTS[what]] = [entry for entry in _entries(config, what) if entry.get("name") != name]
        return f"deleted {what} {name} from {path}"

    return delete


def _set_context(config: dict[str, Any], words: list[str], path: Path, output: str, namespace: str) -> str:
    (name,) = words or [str(config.get("current-context") or "")]
    for entry in _entries(config, "context"):
        if entry.get("name") == name:
            entry["context"] = {**(entry.get("context") or {}), "namespace": namespace}
            return f'Context "{name}" modified.'
    raise Failure(f'no context exists with the name: "{name}"')


_SECRET = ("client-key-data", "client-certificate-data", "certificate-authority-data", "token", "password")


def _view(config: dict[str, Any], words: list[str], path: Path, output: str, namespace: str) -> str:
    def hide(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: ("DATA+OMITTED" if k.endswith("-data") else "REDACTED") if k in _SECRET else hide(v)
                for k, v in value.items()
            }
        return [hide(v) for v in value] if isinstance(value, list) else value

    return as_yaml({"preferences": {}, **hide(config)}).rstrip()


_COMMANDS = {
    "current-context": _current,
    "use-context": _use,
    "rename-context": _rename,
    "get-contexts": _contexts,
    "get-clusters": _list("cluster"),
    "get-users": _list("user"),
    "delete-context": _delete("context"),
    "delete-cluster": _delete("cluster"),
    "delete-user": _delete("user"),
    "set-context": _set_context,
    "view": _view,
}
