"""How controllers, the scheduler, kubelets and EKS see a cluster: one contract, in process and over HTTP."""
