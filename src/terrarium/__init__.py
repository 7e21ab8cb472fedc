"""Terrarium: a whole AWS EKS under glass, from Terraform to running pods."""

__version__ = "0.1.0"
