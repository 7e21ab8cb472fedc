output "name" {
  value = aws_eks_cluster.this.name
}

output "endpoint" {
  value = aws_eks_cluster.this.endpoint
}

output "fargate_profiles" {
  value = { for name, profile in aws_eks_fargate_profile.this : name => profile.status }
}
