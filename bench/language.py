"""The language: parse, format, `fmt -check` of a large file, `validate` of many blocks, and the start of commands.

Goals (see README): parse and format at least 1 MB/s; `fmt -check` of 2 MiB and `validate` of 10,000 blocks with no more
CPU time than the real terraform; any `tf` command starts in 150 ms. The real one runs alternately with ours where it is
on PATH. CPU seconds are user and system time of the process and its children.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from terrarium.base.clock import stopwatch
from terrarium.base.source import Source
from terrarium.language.format import format_source
from terrarium.language.parser import parse_with_tokens

ROUNDS = 3
SIZE = 2 << 20
BLOCKS = (1_000, 10_000)

BLOCK = """
# Subnets of zone {n}: one for each kind of node.
resource "aws_subnet" "private_{n}" {{
  count = var.create_vpc && length(var.private_subnets) > 0 ? length(var.private_subnets) : 0

  vpc_id                          = aws_vpc.this[0].id
  cidr_block                      = cidrsubnet(var.cidr, 8, {n} + count.index)
  availability_zone               = length(regexall("^[a-z]{{2}}-", element(var.azs, count.index))) > 0 ? element(var.azs, count.index) : null
  assign_ipv6_address_on_creation = var.ipv6_prefix == null ? var.assign_ipv6 : false # kept for old callers

  tags = merge(
    {{
      "Name" = format("%s-${{var.private_subnet_suffix}}-%s", var.name, element(var.azs, count.index))
      Tier   = "private"
    }},
    var.tags,
    try(var.private_subnet_tags_per_az[element(var.azs, count.index)], {{}}),
  )

  lifecycle {{
    ignore_changes = [tags["CreatedAt"], cidr_block]
  }}
}}

locals {{
  names_{n}  = {{ for k, v in var.node_groups : k => upper(v.name) if v.enabled }}
  script_{n} = <<-EOT
    #!/bin/bash
    echo "${{var.cluster_name}}" > /etc/cluster
    /etc/eks/bootstrap.sh --kubelet-extra-args '--max-pods=${{var.max_pods}}'
  EOT
}}
"""
RESOURCE = """
resource "terraform_data" "r{n}" {{
  input = {{ name = "r{n}", before = {before}, text = upper(format("%s-%03d", var.name, {n})) }}
}}
"""


@dataclass(slots=True)
class Row:
    """Figures of one measurement, ours and the real one's, in seconds."""

    name: str
    ours: list[float] = field(default_factory=list)
    real: list[float] = field(default_factory=list)

    def line(self) -> str:
        ours = min(self.ours)
        if not self.real:
            return f"{self.name:<44}{ours:>9.3f}{'-':>9}{'-':>9}"
        real = min(self.real)
        return f"{self.name:<44}{ours:>9.3f}{real:>9.3f}{ours / real:>9.2f}"


def large_file() -> str:
    block = BLOCK.format(n=0)
    return "".join(BLOCK.format(n=n) for n in range(SIZE // len(block) + 1))


def many_blocks(count: int) -> str:
    rows = ['variable "name" {\n  default = "x"\n}\n']
    rows += [
        RESOURCE.format(n=n, before="null" if n % 100 == 0 else f"terraform_data.r{n - 1}.id") for n in range(count)
    ]
    return "".join(rows)


def cpu(command: Sequence[str], folder: Path) -> float:
    """CPU seconds of a command."""
    before = os.times()
    subprocess.run(
        command,
        cwd=folder,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def wall(command: Sequence[str], folder: Path) -> float:
    elapsed = stopwatch()
    cpu(command, folder)
    return elapsed()


def rate(work: Callable[[], object], size: int) -> float:
    """Millions of bytes for each second of CPU time, the best of some rounds."""
    best = 0.0
    for _ in range(ROUNDS + 2):
        before = os.times()
        work()
        after = os.times()
        best = max(best, size / 1e6 / (after.user + after.system - before.user - before.system))
    return best


def alternate(
    name: str, measure: Callable[[Sequence[str], Path], float], arguments: Sequence[str], folder: Path
) -> Row:
    ours = [str(Path(sys.executable).with_name("terrarium")), "tf", *arguments]
    real = shutil.which("terraform")
    row = Row(name)
    for _ in range(ROUNDS):
        row.ours.append(measure(ours, folder))
        if real:
            row.real.append(measure([real, *arguments], folder))
    return row


def main(arguments: list[str]) -> int:
    text = large_file()
    size = len(text.encode())
    print(f"{'':<44}{'MB / CPU s':>11}")
    print(f"{'parse':<44}{rate(lambda: parse_with_tokens(Source('', text)), size):>11.2f}")
    print(f"{'format (parse included)':<44}{rate(lambda: format_source(Source('', text)), size):>11.2f}")
    print(f"\n{'':<44}{'ours':>9}{'real':>9}{'ratio':>9}")
    with tempfile.TemporaryDirectory(prefix="terrarium-bench-") as name:
        folder = Path(name)
        large = folder / "large"
        large.mkdir()
        (large / "main.tf").write_text(text)
        print(alternate("fmt -check of 2 MiB, CPU s", cpu, ["fmt", "-check"], large).line())
        for count in BLOCKS:
            blocks = folder / str(count)
            blocks.mkdir()
            (blocks / "main.tf").write_text(many_blocks(count))
            cpu([shutil.which("terraform") or "true", "init"], blocks)
            print(alternate(f"validate of {count} blocks, CPU s", cpu, ["validate"], blocks).line())
        empty = folder / "empty"
        empty.mkdir()
        for command in ("version", "fmt", "validate", "console"):
            print(alternate(f"start of {command}, CPU s", cpu, [command], empty).line())
        print(alternate("start of validate, s", wall, ["validate"], empty).line())
    return 0
