"""A small kubectl of our own, for machines without the real one: the commands that the workshop and daily work need.

It speaks to any cluster by kubeconfig, prints what kubectl prints, and says plainly which commands it has. The real
kubectl is always taken first.
"""
