"""Revisions and bytes: etcd's promises, kept by memory, SQLite and etcd. Knows nothing of Kubernetes objects."""
