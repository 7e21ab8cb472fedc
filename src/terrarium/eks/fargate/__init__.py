"""Fargate: which pods, what size, on which node, and why not."""
