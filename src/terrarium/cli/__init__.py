"""The command line: one module for each command, no logic. Imports of anything heavy happen inside commands."""
