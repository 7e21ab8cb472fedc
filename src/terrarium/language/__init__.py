"""The Terraform language: text to tokens to nodes to values. Knows no state, no provider and no file system of a module.

The reading order is `tokens` → `nodes` → `parser` (and `json_syntax`) → `types`, `values`, `convert` → `evaluate` with
`functions/`; `format` goes from text to text. Nothing here raises for a user's mistake: results come with diagnostics.
"""
