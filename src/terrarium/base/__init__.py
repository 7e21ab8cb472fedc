"""What every layer stands on: places in text, diagnostics, clock, ids, task groups, files. Names no domain."""
