"""The Kubernetes side: API types and rules, storage, API server, client, scheduler, controllers. Knows no AWS."""
