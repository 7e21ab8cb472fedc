"""The default plugins. Each is a small class; `table` says their order and weights."""
