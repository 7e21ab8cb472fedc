"""The composition root: the only place that builds real clocks, sockets and stores and hands them in."""

from terrarium.stack.world import WorldOptions, serve

__all__ = ["WorldOptions", "serve"]
