"""`terrarium explain`: why a pod is where it is, or is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from terrarium.cli.control import ask, directory_option, world_directory


@click.group()
def explain() -> None:
    """Say why.

    Example: terrarium explain pod web-0 -n shop
    """


@explain.command()
@directory_option
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True, help="The pod's namespace.")
@click.option("--cluster", default="", help="The cluster; not needed when only one has such a pod.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def pod(directory: Path | None, name: str, namespace: str, cluster: str, as_json: bool) -> None:
    """Say why the pod NAME runs where it runs, or why it does not."""
    request = {"do": "explain pod", "name": name, "namespace": namespace, "cluster": cluster}
    answer = ask(world_directory(directory), request)
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    _print(answer)


def _print(answer: dict[str, Any]) -> None:
    print(f"pod {answer['namespace']}/{answer['name']} in cluster {answer['cluster']}: {answer['phase']}")
    print(f"  {answer['summary']}")
    for line in answer["details"]:
        print(f"  - {line}")
    nodes = answer.get("nodes") or []
    if nodes:
        width = max(len(n["node"]) for n in nodes)
        print(f"\n  {'NODE':<{width}}  VERDICT")
        for node in nodes:
            print(f"  {node['node']:<{width}}  {node['verdict']}")
