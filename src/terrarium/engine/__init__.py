"""What `terraform` does with a configuration: configuration → graph → plan value → apply → state. Knows no provider."""
