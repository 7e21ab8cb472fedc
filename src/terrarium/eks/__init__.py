"""EKS: the cluster service, its tokens, Fargate, add-ons. Joins cloud, kube and runtime."""
