"""`terrarium provider`: our providers as plugins for the real terraform."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from terrarium.base.diagnostics import Failure, UsageFailure


@click.group()
def provider() -> None:
    """Terrarium's providers as plugins, for the real terraform.

    Example: terrarium provider link plugins, then TF_CLI_CONFIG_FILE=plugins/terraform.rc terraform plan
    """


@provider.command()
@click.argument("name")
def serve(name: str) -> None:
    """Serve the provider NAME to the Terraform program that started this one."""
    from terrarium.providers import builtin
    from terrarium.providers.plugin.serving import serve as serve_provider

    factory = builtin().get(f"registry.terraform.io/hashicorp/{name}")
    if factory is None:
        known = ", ".join(sorted(source.rpartition("/")[2] for source in builtin()))
        raise UsageFailure(f"Terrarium has no provider {name!r}", f"It has: {known}.")
    serve_provider(factory.create())


@provider.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def link(folder: Path) -> None:
    """Write programs for all of Terrarium's providers into FOLDER, and a CLI configuration that names them."""
    from terrarium.providers import builtin

    try:
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for source in builtin():
            name = source.rpartition("/")[2]
            target = (folder / name).absolute()
            target.mkdir(exist_ok=True)
            program = target / f"terraform-provider-{name}"
            program.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -m terrarium provider serve {name}\n")
            program.chmod(0o755)
            rows.append(f'    "{source}" = "{target}"\n')
        config = folder / "terraform.rc"
        config.write_text("provider_installation {\n  dev_overrides {\n" + "".join(rows) + "  }\n  direct {}\n}\n")
    except OSError as failure:
        raise Failure(f"can't write {failure.filename}: {failure.strerror}") from None
    print(f"Wrote {config}; use it with: export TF_CLI_CONFIG_FILE={config.absolute()}")
