"""`terrarium kubectl, aws, kubeconfig`: the real clients, pointed at a world without any exports."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import click

from terrarium.base.diagnostics import Failure
from terrarium.cli.control import ask, directory_option, world_directory

PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}


def _own_folder() -> Path:
    return Path(sys.executable).parent


def found(name: str) -> str | None:
    """The path of a real client: on PATH, or beside this Python."""
    path = shutil.which(name) or shutil.which(name, path=str(_own_folder()))
    # A stand-in of ours that calls us again would go round in circles.
    if path is None or "terrarium" in Path(path).read_bytes()[:200].decode("latin-1"):
        return None
    return path


@click.command(context_settings=PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def aws(arguments: tuple[str, ...]) -> None:
    """Run the aws command on the world of $TERRARIUM_DIR (or the default one).

    Example: terrarium aws eks list-clusters
    """
    from terrarium.cli.world import environment

    path = found("aws")
    if path is None:
        raise Failure("there is no aws on this machine", "pip install 'terrarium[clients]' brings it.")
    os.execve(path, ["aws", *arguments], {**os.environ, **environment(world_directory(_directory()))})


@click.command(context_settings=PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(arguments: tuple[str, ...]) -> None:
    """Run kubectl as administrator of the world's cluster; with several, put --cluster NAME first.

    Without a kubectl on this machine, a small one of Terrarium's own answers.

    Example: terrarium kubectl get pods -A
    """
    words = list(arguments)
    cluster = ""
    if words[:1] == ["--cluster"] and len(words) > 1:
        cluster, words = words[1], words[2:]
    path = found("kubectl")
    answer = ask(world_directory(_directory()), {"do": "kubeconfig", "cluster": cluster})
    # In memory only: the file is gone as soon as kubectl has been given it.
    descriptor = os.memfd_create("kubeconfig", 0)
    os.write(descriptor, answer["kubeconfig"].encode())
    os.set_inheritable(descriptor, True)
    os.environ["KUBECONFIG"] = f"/proc/self/fd/{descriptor}"
    if path is None:
        from terrarium.cli.kubectl.main import main

        sys.exit(main(words))
    os.execve(path, ["kubectl", *words], os.environ)


@click.command()
@directory_option
@click.argument("cluster", default="")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it here (0600).")
def kubeconfig(directory: Path | None, cluster: str, output: Path | None) -> None:
    """Print an administrator's kubeconfig of CLUSTER, with a client certificate and without AWS.

    Example: terrarium kubeconfig study -o study.kubeconfig
    """
    text = ask(world_directory(directory), {"do": "kubeconfig", "cluster": cluster})["kubeconfig"]
    if output is None:
        print(text, end="")
        return
    try:
        with tempfile.NamedTemporaryFile("w", dir=output.absolute().parent, delete=False) as draft:
            draft.write(text)
        Path(draft.name).replace(output)
    except OSError as failure:
        raise Failure(f"can't write {output}: {failure.strerror}") from None
    print(f"Wrote {output}; use it with: export KUBECONFIG={output}")


def _directory() -> Path | None:
    given = os.environ.get("TERRARIUM_DIR")
    return Path(given) if given else None
