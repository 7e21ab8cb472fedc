"""Stands in for the `kubectl` program: `python -m terrarium.cli.kubectl get pods`, on the cluster of the kubeconfig."""

from __future__ import annotations

import sys

from terrarium.base.diagnostics import Failure
from terrarium.cli.kubectl.main import main


def program() -> int:
    """The exit status."""
    try:
        return main(sys.argv[1:])
    except Failure as failure:
        print(f"error: {failure}" + (f"\n{failure.hint}" if failure.hint else ""), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain once more when it flushes.
        sys.stderr.close()
        return 1


if __name__ == "__main__":
    sys.exit(program())
