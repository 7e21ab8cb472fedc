"""The built-in kinds, one module per group."""
