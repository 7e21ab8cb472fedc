output "configure_kubectl" {
  description = "The command that points kubectl at this cluster."
  value       = "aws eks --region ${var.region} update-kubeconfig --name ${module.eks.name} --alias ${module.eks.name}"
}

output "cluster_endpoint" {
  value = module.eks.endpoint
}

output "vpc_id" {
  value = module.vpc.vpc_id
}

output "private_subnets" {
  value = module.vpc.private_subnet_ids
}

output "fargate_profiles" {
  value = module.eks.fargate_profiles
}
