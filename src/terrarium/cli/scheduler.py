"""`terrarium scheduler`: the scheduler alone, against any cluster or to ask what it would do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(invoke_without_command=True)
@click.option("--kubeconfig", type=FILE, help="The cluster to schedule for [$KUBECONFIG, ~/.kube/config].")
@click.option("--context", "kube_context", default="", help="The kubeconfig's context to use.")
@click.option("--config", "config_file", type=FILE, help="A KubeSchedulerConfiguration file.")
@click.option("--leader-elect/--no-leader-elect", default=None, help="Schedule only while holding the Lease.")
@click.option("--scheduler-name", default="", help="Schedule the pods of this schedulerName [default-scheduler].")
@click.option("--bind-address", default="127.0.0.1", show_default=True, help="Where /healthz and /metrics listen.")
@click.option("--secure-port", default=10259, show_default=True, help="Their port, over HTTPS; -1 for none, 0 for any.")
@click.option("--tls-cert-file", type=FILE, help="A certificate for it [one is made].")
@click.option("--tls-private-key-file", type=FILE, help="The certificate's key.")
@click.option("--plain-http", is_flag=True, help="Answer there without TLS.")
@click.option("--seed", default=None, help="Makes the choice among equally good nodes repeatable.")
@click.option("-v", "--verbose", is_flag=True, help="Say more on standard error.")
@click.pass_context
def scheduler(
    context: click.Context,
    kubeconfig: Path | None,
    kube_context: str,
    config_file: Path | None,
    leader_elect: bool | None,
    scheduler_name: str,
    bind_address: str,
    secure_port: int,
    tls_cert_file: Path | None,
    tls_private_key_file: Path | None,
    plain_http: bool,
    seed: str | None,
    verbose: bool,
) -> None:
    """Run the scheduler for a cluster until SIGTERM or Ctrl-C; or ask it what it would do.

    Example: terrarium scheduler --kubeconfig study.kubeconfig --scheduler-name second --leader-elect
    """
    if context.invoked_subcommand is not None:
        return
    import logging

    from terrarium.kube.scheduler.configuration import effective, load

    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    if config_file is not None:
        configuration = load(config_file)
    else:
        written = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
        if scheduler_name:
            written["profiles"] = [{"schedulerName": scheduler_name}]  # type: ignore[assignment]
        configuration = effective(written)
        # Without a file nobody asked for an election, unlike kube-scheduler, which always elects.
        configuration["leaderElection"]["leaderElect"] = False
    if config_file is not None and scheduler_name:
        raise click.UsageError("--scheduler-name goes without --config; write it into the file's profiles")
    if leader_elect is not None:
        configuration["leaderElection"]["leaderElect"] = leader_elect
    from terrarium.cli.scheduler_run import Where, run

    where = Where(
        bind_address, None if secure_port < 0 else secure_port, plain_http, tls_cert_file, tls_private_key_file
    )
    run(configuration, kubeconfig, kube_context, where, seed)


@scheduler.command()
@click.option("--snapshot", type=click.Path(path_type=Path), help="A folder or file of objects (YAML, JSON, Lists).")
@click.option("--kubeconfig", type=FILE, help="Ask this cluster what there is.")
@click.option("--pod", "pod_file", type=FILE, required=True, help="The pod (or a workload with a pod template).")
@click.option("--config", "config_file", type=FILE, help="A KubeSchedulerConfiguration file.")
@click.option("--repeat", default=1, show_default=True, help="Place so many copies; 0 as many as fit.")
@click.option("--seed", default="0", show_default=True, help="Decides among equally good nodes.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def simulate(
    snapshot: Path | None,
    kubeconfig: Path | None,
    pod_file: Path,
    config_file: Path | None,
    repeat: int,
    seed: str,
    as_json: bool,
) -> None:
    """Say where a pod would go, and why, without touching anything.

    Exit code 0 when every copy found a node, 1 when one did not.

    Example: kubectl get nodes,pods -A -o yaml > now.yaml; terrarium scheduler simulate --snapshot now.yaml --pod web.yaml
    """
    if (snapshot is None) == (kubeconfig is None):
        raise click.UsageError("give either --snapshot or --kubeconfig")
    if repeat < 0:
        raise click.UsageError("--repeat counts copies: 0 or more")
    from terrarium.cli.scheduler_run import listed, show_simulation
    from terrarium.kube.scheduler.configuration import load
    from terrarium.kube.scheduler.simulate import read_objects, read_pod_file, simulate

    objects = read_objects(snapshot) if snapshot is not None else listed(kubeconfig)
    configuration = load(config_file) if config_file is not None else None
    answer = simulate(objects, read_pod_file(pod_file), configuration, repeat, seed)
    if as_json:
        print(json.dumps(answer, indent=2))
    else:
        show_simulation(answer)
    sys.exit(0 if answer["fits"] else 1)


@scheduler.command(hidden=True)
@click.argument("door", type=click.Choice(["plugins", "hints", "conversations", "config"]))
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--fast", is_flag=True, help="Decide on the fast path also in small clusters.")
def replay(door: str, file: Path | None, fast: bool) -> None:
    """Answer recorded cases: a line of JSON in, a line out; `config FILE` checks a configuration."""
    if door == "config":
        from terrarium.kube.scheduler.configuration import Invalid, load

        if file is None:
            raise click.UsageError("config needs a file")
        try:
            click.echo(json.dumps(load(file)))
        except Invalid as refusal:
            click.echo(str(refusal), err=True)
            sys.exit(1)
        return
    from terrarium.kube.scheduler.replay import serve

    serve(door, sys.stdin, sys.stdout, fast)
