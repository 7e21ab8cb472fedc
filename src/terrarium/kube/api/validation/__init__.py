"""Checks of objects, in the order and words of kube-apiserver's own (`pkg/apis/*/validation`)."""
