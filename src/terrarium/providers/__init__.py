"""Terraform providers: one folder or module for each. They see of the engine only `engine.provider`."""
