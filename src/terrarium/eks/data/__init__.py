"""Manifests of the add-ons that EKS puts into clusters."""
