"""The commands that wait: `wait` and `rollout`, and how deletions are waited for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from terrarium.base.clock import Clock, real_sleep, stopwatch
from terrarium.base.diagnostics import Failure, UsageFailure
from terrarium.cli.kubectl import printing
from terrarium.cli.kubectl.cluster import Cluster
from terrarium.cli.kubectl.selection import (
    PATCHES,
    Args,
    namespace_of,
    objects,
)
from terrarium.kube.api import times
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ApiError


async def until(done: Callable[[], Awaitable[bool]], limit: float | None) -> bool:
    """Asks until it holds or the real time limit has passed."""
    elapsed, pause = stopwatch(), 0.02
    while not await done():
        if limit is not None and elapsed() >= limit:
            return False
        await asyncio.to_thread(real_sleep, pause)
        pause = min(pause * 1.5, 0.5)
    return True


async def gone(cluster: Cluster, path: str, uid: str) -> bool:
    try:
        found = await cluster.ask("GET", path)
    except ApiError as error:
        if error.code == 404:
            return True
        raise
    return bool(uid) and found["metadata"].get("uid") != uid


def seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return times.duration_nanos(text) / 1e9
    except ValueError:
        raise UsageFailure(f'invalid duration "{text}"', "Such as 30s or 2m.") from None


async def wait(cluster: Cluster, args: Args) -> int:
    wish = getattr(args, "for")
    kind, _, rest = wish.partition("=")
    limit = seconds(args.timeout)
    if args.selector or args.all or (len(args.words) == 1 and "/" not in args.words[0]):
        targets = [
            (named, obj["metadata"].get("namespace", "")) for named, obj in await objects(cluster, args, args.words)
        ]
    else:
        targets = [(named, namespace_of(args, named.type)) for named in await cluster.named(args.words)]
    if not targets:
        raise Failure("no matching resources found")
    for named, space in targets:
        path = named.type.path(space, named.name)
        if kind == "delete":
            held = await until(lambda path=path: gone(cluster, path, ""), limit)  # type: ignore[misc]
        elif kind in ("condition", "jsonpath", "create"):
            held = await until(lambda path=path: _holds(cluster, path, kind, rest), limit)  # type: ignore[misc]
        else:
            raise UsageFailure(
                f'unrecognized condition: "{wish}"', "condition=NAME, jsonpath='{.path}'=VALUE, create or delete"
            )
        if not held:
            text = "timed out waiting for the condition on" if limit else "condition not met for"
            print(f"error: {text} {named.type.plural}/{named.name}", file=sys.stderr)
            return 1
        print(f"{named} condition met", flush=True)
    return 0


async def _holds(cluster: Cluster, path: str, kind: str, rest: str) -> bool:
    try:
        obj = await cluster.ask("GET", path)
    except ApiError as error:
        if error.code == 404 and kind == "create":
            return False
        raise
    if kind == "create":
        return True
    if kind == "condition":
        name, _, wanted = rest.partition("=")
        conditions = (obj.get("status") or {}).get("conditions") or ()
        return any(
            c.get("type", "").lower() == name.lower() and c.get("status", "").lower() == (wanted or "true").lower()
            for c in conditions
        )
    template, _, wanted = rest.partition("}=")
    text = printing.in_format("jsonpath=" + template.rstrip("}") + "}", obj, [obj], str)
    return text == wanted if wanted else bool(text)


async def rollout(cluster: Cluster, args: Args) -> int:
    if len(args.words) < 2:
        raise UsageFailure("rollout has: status, restart, history of TYPE/NAME")
    action, *words = args.words
    for named in await cluster.named(words):
        path = named.type.path(args.namespace, named.name)
        if action == "restart":
            stamp = {"kubectl.kubernetes.io/restartedAt": times.format_time(Clock().now())}
            body = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
            await cluster.ask("PATCH", path, {"fieldManager": "kubectl-rollout"}, body, content=PATCHES["strategic"])
            print(f"{named} restarted")
        elif action == "status":
            said: list[str] = []
            limit = seconds(args.timeout) if args.timeout else None
            if not await until(lambda path=path, said=said: _rolled_out(cluster, path, said), limit):  # type: ignore[misc]
                print("error: timed out waiting for the condition", file=sys.stderr)
                return 1
        else:
            raise UsageFailure(f'unknown command "rollout {action}"', "status or restart")
    return 0


async def _rolled_out(cluster: Cluster, path: str, said: list[str]) -> bool:
    done, text = progress(await cluster.ask("GET", path))
    if text not in said:
        said.append(text)
        print(text, flush=True)
    return done


def progress(obj: Obj) -> tuple[bool, str]:
    """How far a workload's rollout is, in kubectl's words. `Failure` when it has given up."""
    name, kind = obj["metadata"]["name"], obj.get("kind", "")
    spec, status = obj["spec"], obj.get("status") or {}
    if obj["metadata"].get("generation", 0) > status.get("observedGeneration", 0):
        return False, f"Waiting for {kind.lower()} spec update to be observed..."
    if kind == "Deployment":
        wanted, total = spec.get("replicas", 1), status.get("replicas", 0)
        updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
        if any(c.get("reason") == "ProgressDeadlineExceeded" for c in status.get("conditions") or ()):
            raise Failure(f'deployment "{name}" exceeded its progress deadline')
        waiting = f'Waiting for deployment "{name}" rollout to finish: '
        if updated < wanted:
            return False, f"{waiting}{updated} out of {wanted} new replicas have been updated..."
        if total > updated:
            return False, f"{waiting}{total - updated} old replicas are pending termination..."
        if available < updated:
            return False, f"{waiting}{available} of {updated} updated replicas are available..."
        return True, f'deployment "{name}" successfully rolled out'
    if kind == "DaemonSet":
        wanted, updated = status.get("desiredNumberScheduled", 0), status.get("updatedNumberScheduled", 0)
        available = status.get("numberAvailable", 0)
        if updated < wanted or available < wanted:
            return (
                False,
                f'Waiting for daemon set "{name}" rollout to finish: {available} of {wanted} updated pods are available...',
            )
        return True, f'daemon set "{name}" successfully rolled out'
    if kind == "StatefulSet":
        wanted, ready = spec.get("replicas", 1), status.get("readyReplicas", 0)
        if ready < wanted:
            return False, f"Waiting for {wanted - ready} pods to be ready..."
        return (
            True,
            f"statefulset rolling update complete {ready} pods at revision {status.get('currentRevision', '')}...",
        )
    raise Failure(f"no status viewer has been implemented for {kind}")
