"""The commands that change: create, run, apply, delete, label, annotate, taint, patch, scale."""

from __future__ import annotations

import json
import sys
from typing import Any

import yaml

from terrarium.base.diagnostics import Failure, UsageFailure
from terrarium.cli.kubectl import printing
from terrarium.cli.kubectl.cluster import Cluster, Named
from terrarium.cli.kubectl.selection import (
    PATCHES,
    Args,
    namespace_of,
    objects,
    qualified_names,
    read_files,
    say,
    space_of,
)
from terrarium.cli.kubectl.waiting import gone, seconds, until
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ApiError

MANAGER = "kubectl-client-side-apply"


async def create(cluster: Cluster, args: Args) -> int:
    objects = read_files(args.filename) if args.filename else [_made(args)]
    if args.dry_run == "client":
        for obj in objects:
            print(printing.in_format(args.output or "yaml", obj, [obj], qualified_names(await cluster.types())), end="")
        return 0
    for obj in objects:
        kind = await cluster.type_of(obj)
        query = {"fieldManager": "kubectl-create", "dryRun": "All" if args.dry_run == "server" else ""}
        made = await cluster.ask("POST", kind.path(space_of(obj, args, kind)), query, obj)
        await say(cluster, args, Named(kind, made["metadata"]["name"]), made, "created")
    return 0


def _made(args: Args) -> Obj:
    """`create KIND NAME`: the objects that have a generator here."""
    if len(args.words) < 2:
        raise UsageFailure("must specify one of -f, or KIND and NAME")
    what, *rest = args.words
    name = rest[-1]
    literals = dict(pair.partition("=")[::2] for pair in args.from_literal)
    if what in ("namespace", "ns"):
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    if what in ("serviceaccount", "sa"):
        return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    if what in ("configmap", "cm"):
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": literals}
    if what == "secret" and rest[0] == "generic":
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": literals,
            "type": "Opaque",
        }
    if what in ("deployment", "deploy") and args.image:
        labels = {"app": name}
        container = {"name": args.image.rpartition("/")[2].partition(":")[0], "image": args.image}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
        spec = {"replicas": int(args.replicas), "selector": {"matchLabels": labels}, "template": template}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "labels": labels},
            "spec": spec,
        }
    raise UsageFailure(
        f"create {what} has no generator in Terrarium's own kubectl",
        "Write the object in a file, and use: kubectl create -f FILE",
    )


async def run(cluster: Cluster, args: Args) -> int:
    if len(args.words) < 1 or not args.image:
        raise UsageFailure("run wants NAME and --image")
    name = args.words[0]
    labels = dict(pair.partition("=")[::2] for pair in args.labels.split(",")) if args.labels else {"run": name}
    container: Obj = {"name": name, "image": args.image}
    if args.command_line:
        container["args"] = args.command_line
    if args.env:
        container["env"] = [dict(zip(("name", "value"), pair.partition("=")[::2], strict=True)) for pair in args.env]
    if args.port:
        container["ports"] = [{"containerPort": int(args.port)}]
    pod: Obj = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container], "restartPolicy": args.restart},
    }
    if args.overrides:
        try:
            pod = _merged(pod, json.loads(args.overrides))
        except ValueError as error:
            raise UsageFailure(f"--overrides is no JSON: {error}") from None
    kind = await cluster.type("pods")
    made = await cluster.ask("POST", kind.path(args.namespace), {"fieldManager": "kubectl-run"}, pod)
    await say(cluster, args, Named(kind, made["metadata"]["name"]), made, "created")
    return 0


def _merged(base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return {**base, **{k: _merged(base.get(k), v) for k, v in over.items()}}
    return over


async def apply(cluster: Cluster, args: Args) -> int:
    """By server-side apply, whichever is asked for; the words are those of the way that was asked for."""
    if not args.filename:
        raise UsageFailure("must specify one of -f and -k")
    for obj in read_files(args.filename):
        kind = await cluster.type_of(obj)
        name = (obj.get("metadata") or {}).get("name", "")
        if not name:
            raise Failure("an object to apply needs metadata.name")
        path = kind.path(space_of(obj, args, kind), name)
        try:
            before: Obj | None = await cluster.ask("GET", path)
        except ApiError as error:
            if error.code != 404:
                raise
            before = None
        force = args.force_conflicts or not args.server_side
        query = {
            "fieldManager": args.field_manager or ("kubectl" if args.server_side else MANAGER),
            "force": "true" if force else "",
            "dryRun": "All" if args.dry_run == "server" else "",
        }
        after = await cluster.ask("PATCH", path, query, obj, content="application/apply-patch+yaml")
        if args.server_side:
            word = "serverside-applied"
        elif before is None:
            word = "created"
        else:
            same = before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
            word = "unchanged" if same else "configured"
        await say(cluster, args, Named(kind, name), after, word)
    return 0


async def delete(cluster: Cluster, args: Args) -> int:
    if args.filename:
        targets = []
        for obj in read_files(args.filename):
            kind = await cluster.type_of(obj)
            targets.append((Named(kind, obj["metadata"]["name"]), space_of(obj, args, kind)))
    elif args.selector or args.field_selector or args.all:
        found = await objects(cluster, args, args.words[:1])
        targets = [(named, obj["metadata"].get("namespace", "")) for named, obj in found]
        if not targets:
            print("No resources found")
    else:
        named_ones = await cluster.named(args.words)
        if any(not named.name for named in named_ones):
            raise UsageFailure("resource(s) were provided, but no name was specified")
        targets = [(named, namespace_of(args, named.type)) for named in named_ones]
    body: Obj = {"kind": "DeleteOptions", "apiVersion": "v1"}
    grace = "0" if args.force else "1" if args.now else args.grace_period
    if grace:
        body["gracePeriodSeconds"] = int(grace)
    cascade = {"foreground": "Foreground", "orphan": "Orphan"}.get(args.cascade, "Background")
    body["propagationPolicy"] = cascade
    status = 0
    pending = []
    for named, space in targets:
        path = named.type.path(space, named.name)
        try:
            answer = await cluster.ask("DELETE", path, None, body)
        except ApiError as error:
            if error.code == 404 and args.ignore_not_found:
                continue
            print(f"Error from server ({error.reason}): {error}", file=sys.stderr)
            status = 1
            continue
        word = "force deleted" if args.force else "deleted"
        print(f"{named}" if args.output == "name" else f'{named.type.qualified} "{named.name}" {word}', flush=True)
        uid = (answer.get("details") or {}).get("uid") or (answer.get("metadata") or {}).get("uid", "")
        pending.append((path, uid))
    if args.wait:
        limit = seconds(args.timeout) if args.timeout and args.timeout != "0s" else None
        for path, uid in pending:
            await until(lambda path=path, uid=uid: gone(cluster, path, uid), limit)  # type: ignore[misc]
    return status


async def label(cluster: Cluster, args: Args) -> int:
    return await _mark(cluster, args, "labels", "labeled", "unlabeled")


async def annotate(cluster: Cluster, args: Args) -> int:
    return await _mark(cluster, args, "annotations", "annotated", "annotated")


async def _mark(cluster: Cluster, args: Args, where: str, marked: str, unmarked: str) -> int:
    changes = [w for w in args.words if "=" in w or w.endswith("-")]
    words = [w for w in args.words if w not in changes]
    if not changes:
        raise UsageFailure(f"at least one {where[:-1]} update is required")
    values = {c[:-1]: None if c.endswith("-") else "" for c in changes if "=" not in c}
    values |= dict(c.partition("=")[::2] for c in changes if "=" in c)
    for named, obj in await objects(cluster, args, words):
        held = obj["metadata"].get(where) or {}
        for key, value in values.items():
            if value is not None and key in held and held[key] != value and not args.overwrite:
                raise Failure(f"'{key}' already has a value ({held[key]}), and --overwrite is false")
        path = named.type.path(obj["metadata"].get("namespace", ""), named.name)
        body = {"metadata": {where: values}}
        after = await cluster.ask(
            "PATCH", path, {"fieldManager": f"kubectl-{args.verb}"}, body, content=PATCHES["merge"]
        )
        same = after["metadata"].get("resourceVersion") == obj["metadata"].get("resourceVersion")
        word = (
            "not labeled"
            if same and where == "labels"
            else unmarked
            if all(v is None for v in values.values())
            else marked
        )
        print(f"{named} {word}")
    return 0


async def taint(cluster: Cluster, args: Args) -> int:
    changes = [w for w in args.words if "=" in w or ":" in w or w.endswith("-")]
    words = [w for w in args.words if w not in changes]
    if not changes:
        raise UsageFailure("at least one taint update is required")
    words = [*words[:1]] if args.all or args.selector else words
    for named, obj in await objects(cluster, args, words):
        taints = list((obj.get("spec") or {}).get("taints") or [])
        word = "tainted"
        for change in changes:
            removing = change.endswith("-")
            key_value, _, effect = change.removesuffix("-").partition(":")
            key, _, value = key_value.partition("=")
            left = [t for t in taints if not (t["key"] == key and (not effect or t["effect"] == effect))]
            if removing:
                if left == taints:
                    raise Failure(f'taint "{change.removesuffix("-")}" not found')
                word = "untainted"
            elif left != taints and not args.overwrite:
                raise Failure(
                    f"node {named.name} already has {key} taint(s) with same effect(s) and --overwrite is false"
                )
            else:
                left.append({"key": key, "value": value, "effect": effect} if value else {"key": key, "effect": effect})
            taints = left
        body = {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}, "spec": {"taints": taints or None}}
        await cluster.ask("PATCH", named.type.path("", named.name), None, body, content=PATCHES["merge"])
        print(f"{named} {word}")
    return 0


async def patch(cluster: Cluster, args: Args) -> int:
    if args.type not in PATCHES:
        raise UsageFailure(f'--type must be one of {", ".join(PATCHES)}, not "{args.type}"')
    try:
        body = yaml.safe_load(args.patch)
    except yaml.YAMLError as error:
        raise UsageFailure(f"unable to parse the patch: {error}") from None
    for named in await cluster.named(args.words):
        path = named.type.path(args.namespace, named.name, args.subresource)
        before = await cluster.ask("GET", path)
        after = await cluster.ask("PATCH", path, {"fieldManager": "kubectl-patch"}, body, content=PATCHES[args.type])
        same = before["metadata"].get("resourceVersion") == after["metadata"].get("resourceVersion")
        await say(cluster, args, named, after, "patched (no change)" if same else "patched")
    return 0


async def scale(cluster: Cluster, args: Args) -> int:
    if not args.replicas.isdigit():
        raise UsageFailure("the --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
    for named in await cluster.named(args.words):
        body = {"spec": {"replicas": int(args.replicas)}}
        await cluster.ask(
            "PATCH", named.type.path(args.namespace, named.name, "scale"), None, body, content=PATCHES["merge"]
        )
        print(f"{named} scaled")
    return 0
