"""`./run bench NAME`: the measurements of this repository, one module for each.

A measurement prints our figure, the rival's where its binary is on PATH (alternately, in the same run), and the ratio.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

BENCHES = {
    "language": "parse, format, fmt -check, validate and the start of commands, against the real terraform",
    "scheduler": "decisions per second on 5,000 nodes, bound pods per second, memory",
    "terraform": "plan, apply and destroy beside the real terraform: CPU, memory; killed applies",
    "up": "terrarium up, CreateCluster and the first pod, with memory",
}


def main() -> int:
    names = sys.argv[1:]
    if not names or names[0] in ("-h", "--help", "--list"):
        print("usage: ./run bench NAME [ARGS]\n")
        for name, about in BENCHES.items():
            print(f"  {name:<12}{about}")
        return 0
    if names[0] not in BENCHES:
        print(f"error: no measurement {names[0]!r}; ./run bench lists them", file=sys.stderr)
        return 2
    sys.path.insert(0, str(Path(__file__).parent))
    result: int = importlib.import_module(names[0]).main(names[1:])
    return result


if __name__ == "__main__":
    sys.exit(main())
