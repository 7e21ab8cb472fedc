"""The data plane: kubelets and the runtimes that play or run their pods. Sees of `kube` only `api` and `client`."""
