"""kube-controller-manager: one module per controller, each of which brings the cluster closer to what objects ask for.

`runner` and `queue` watch and repeat, `manager` starts the controllers of the `catalogue`; the others decide.
"""
