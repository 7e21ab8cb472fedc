"""What a command line means in a cluster: objects by words, selectors and files; and how an answer is said."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from terrarium.base.diagnostics import Failure
from terrarium.cli.kubectl import printing
from terrarium.cli.kubectl.cluster import Cluster, Named, ResourceType
from terrarium.kube.api.kinds import Obj

Args = argparse.Namespace


PATCHES = {
    "strategic": "application/strategic-merge-patch+json",
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
}


def namespace_of(args: Args, kind: ResourceType) -> str:
    return args.namespace if kind.namespaced and not getattr(args, "all_namespaces", False) else ""


def qualified_names(types: Sequence[ResourceType]) -> Callable[[Obj], str]:
    known = {(t.api_version, t.kind): t.qualified for t in types}

    def qualified(obj: Obj) -> str:
        kind = str(obj.get("kind", ""))
        return known.get((str(obj.get("apiVersion", "")), kind), kind.lower())

    return qualified


async def objects(cluster: Cluster, args: Args, words: Sequence[str]) -> list[tuple[Named, Obj]]:
    """What the words, selectors or files mean, as objects."""
    if getattr(args, "filename", None):
        found = []
        for written in read_files(args.filename):
            kind = await cluster.type_of(written)
            space = space_of(written, args, kind)
            named = Named(kind, written["metadata"]["name"])
            found.append((named, await cluster.ask("GET", kind.path(space, named.name))))
        return found
    selected: list[tuple[Named, Obj]] = []
    for named in await cluster.named(words):
        path = named.type.path(namespace_of(args, named.type), named.name)
        if named.name:
            selected.append((named, await cluster.ask("GET", path)))
            continue
        listed = await cluster.ask("GET", path, selectors(args))
        for item in listed["items"]:
            item = {"apiVersion": named.type.api_version, "kind": named.type.kind, **item}
            selected.append((Named(named.type, item["metadata"]["name"]), item))
    return selected


def selectors(args: Args) -> dict[str, str]:
    return {"labelSelector": getattr(args, "selector", ""), "fieldSelector": getattr(args, "field_selector", "")}


def read_files(names: Sequence[str]) -> list[Obj]:
    """The objects in files, folders or standard input, lists taken apart."""
    objects: list[Obj] = []
    for name in names:
        paths = (
            sorted(p for p in Path(name).iterdir() if p.suffix in (".yaml", ".yml", ".json"))
            if Path(name).is_dir()
            else [name]
        )
        for path in paths:
            try:
                text = sys.stdin.read() if path == "-" else Path(path).read_text()
                documents = [d for d in yaml.safe_load_all(text) if d is not None]
            except OSError as error:
                raise Failure(f'the path "{path}" can\'t be read: {error.strerror}') from None
            except yaml.YAMLError as error:
                raise Failure(f"error parsing {path}: {error}") from None
            for document in documents:
                if not isinstance(document, dict) or not document.get("kind") or not document.get("apiVersion"):
                    raise Failure(f"{path}: each object needs apiVersion and kind")
                objects += document["items"] if document["kind"] == "List" else [document]
    return objects


def space_of(obj: Obj, args: Args, kind: ResourceType) -> str:
    written = str((obj.get("metadata") or {}).get("namespace") or "")
    if not kind.namespaced:
        return ""
    if written and args.namespace_given and written != args.namespace:
        raise Failure(
            f'the namespace from the provided object "{written}" does not match the namespace "{args.namespace}". '
            "You must pass '--namespace=" + written + "' to perform this operation."
        )
    return written or str(args.namespace)


async def say(cluster: Cluster, args: Args, named: Named, obj: Obj, word: str) -> None:
    if getattr(args, "output", ""):
        print(printing.in_format(args.output, obj, [obj], qualified_names(await cluster.types())), end="")
    else:
        print(f"{named} {word}" + (" (server dry run)" if getattr(args, "dry_run", "") == "server" else ""))
