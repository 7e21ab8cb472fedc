"""The composition root: the only place that builds real clocks, sockets and stores and hands them in."""
