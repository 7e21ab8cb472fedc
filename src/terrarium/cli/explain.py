"""`terrarium explain`: why a pod is where it is, or is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from terrarium.cli.control import ask, directory_option, world_directory
from terrarium.cli.tf_explain import plan

MOST_ROWS = 40


@click.group()
def explain() -> None:
    """Say why.

    Example: terrarium explain pod web-0 -n shop
    """


explain.add_command(plan)


@explain.command()
@directory_option
@click.argument("name")
@click.option("-n", "--namespace", default="default", show_default=True, help="The pod's namespace.")
@click.option("--cluster", default="", help="The cluster; not needed when only one has such a pod.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="Ask this cluster instead; without history.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def pod(
    directory: Path | None, name: str, namespace: str, cluster: str, kubeconfig: Path | None, as_json: bool
) -> None:
    """Say why the pod NAME runs where it runs, or why it does not."""
    if kubeconfig is not None:
        answer = _from_cluster(kubeconfig, namespace, name)
    else:
        request = {"do": "explain pod", "name": name, "namespace": namespace, "cluster": cluster}
        answer = ask(world_directory(directory), request)
    if as_json:
        print(json.dumps(answer, indent=2))
        return
    where = f" in cluster {answer['cluster']}" if answer.get("cluster") else ""
    print(f"pod {answer['namespace']}/{answer['name']}{where}: {answer['phase']}")
    show(answer)


def _from_cluster(kubeconfig: Path, namespace: str, name: str) -> dict[str, Any]:
    from terrarium.cli.scheduler_run import listed
    from terrarium.kube.scheduler.simulate import explain_pod

    return explain_pod(listed(kubeconfig), namespace, name)


def show(answer: dict[str, Any]) -> None:
    """Prints an explanation: summary, what would help, what happened, the nodes."""
    print(f"  {answer['summary']}")
    for line in answer["details"]:
        print(f"  - {line}")
    queue = answer.get("queue") or {}
    if queue and not answer.get("node"):
        until = f" Next try at {_time(queue['until'])}." if queue.get("until") else ""
        print(f"  {queue['text']} Tries so far: {queue['attempts']}.{until}")
    changes = answer.get("changes") or []
    if changes:
        print("\n  What would make it fit (smallest change first):")
        for change in changes:
            print(f"  - {change['text']}" + ("" if change["certain"] else " (not tried out)"))
    tries = answer.get("attempts") or []
    if len(tries) > 1 or (tries and not answer.get("nodes")):
        print("\n  Tries:")
        for attempt in tries:
            at = f"{_time(attempt['at'])}  " if attempt.get("at") else ""
            to = f" to {attempt['node']}" if attempt["node"] else ""
            text = f": {attempt['message']}" if attempt["message"] else ""
            print(f"  {attempt['number']:>3}  {at}{attempt['result']}{to}{text}")
    nodes = answer.get("nodes") or []
    if nodes:
        print()
        _table(nodes)


def _table(nodes: list[dict[str, Any]]) -> None:
    """A line for each node; with what is asked and free where that is known."""
    resources = list(dict.fromkeys(r for n in nodes for r in n.get("free", {})))
    asked: dict[str, str] = next((n["asked"] for n in nodes if "asked" in n), {})
    titles = ["NODE", *(f"{r.upper()} FREE" for r in resources), "VERDICT"]
    rows = [[n["node"], *(n.get("free", {}).get(r, "") for r in resources), n["verdict"]] for n in nodes[:MOST_ROWS]]
    if asked:
        rows.insert(0, ["(asked)", *(asked.get(r, "") for r in resources), ""])
    widths = [max(len(str(row[i])) for row in [titles, *rows]) for i in range(len(titles) - 1)]
    for row in [titles, *rows]:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        print("  " + "  ".join([*cells, row[-1]]).rstrip())
    if len(nodes) > MOST_ROWS:
        print(f"  … and {len(nodes) - MOST_ROWS} nodes more; --json shows them all")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
