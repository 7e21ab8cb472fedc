"""The kubelet: brings pods that are bound to its nodes to life through a `Runtime`, and reports on them."""
