"""The table of commands, and the one place where a refusal of the server becomes words and an exit status."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from terrarium.cli.kubectl import arguments, config, reading, waiting, writing
from terrarium.cli.kubectl.cluster import Cluster
from terrarium.cli.kubectl.selection import Args
from terrarium.kube.client import kubeconfig
from terrarium.kube.client.contract import ApiError


def main(words: Sequence[str]) -> int:
    """Runs one kubectl command line; the exit status. Raises `Failure` for what can't be done."""
    if not words or words[0] in ("-h", "--help", "help"):
        print("kubectl: Terrarium's own small one, for machines without the real.\n\nCommands:")
        print("".join(f"  {name}\n" for name in arguments.COMMANDS), end="")
        return 0
    args = arguments.parse(words)
    if args.verb == "config":
        config.run(args.words, config.location(args.kubeconfig), args.output, args.namespace)
        return 0
    if args.verb == "version" and args.client:
        print("Client Version: v1.33.0 (terrarium)")
        return 0
    login = kubeconfig.load(Path(args.kubeconfig) if args.kubeconfig else None, args.context)
    args.namespace_given = bool(args.namespace)
    args.namespace = args.namespace or login.namespace
    return asyncio.run(_run(Cluster(login), args))


async def _run(cluster: Cluster, args: Args) -> int:
    try:
        return await _COMMANDS[args.verb](cluster, args)
    except ApiError as error:
        reason = f" ({error.reason})" if error.reason else ""
        print(f"Error from server{reason}: {error}", file=sys.stderr)
        return 1
    finally:
        await cluster.close()


_COMMANDS: Mapping[str, Callable[[Cluster, Args], Awaitable[int]]] = {
    "get": reading.get,
    "describe": reading.describe,
    "events": reading.events,
    "logs": reading.logs,
    "exec": reading.execute,
    "version": reading.version,
    "cluster-info": reading.cluster_info,
    "api-resources": reading.api_resources,
    "auth": reading.auth,
    "top": reading.top,
    "create": writing.create,
    "run": writing.run,
    "apply": writing.apply,
    "delete": writing.delete,
    "label": writing.label,
    "annotate": writing.annotate,
    "taint": writing.taint,
    "patch": writing.patch,
    "scale": writing.scale,
    "wait": waiting.wait,
    "rollout": waiting.rollout,
}
