# A cluster with six EC2 nodes in three zones, to see where the scheduler puts pods, and why.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = "ap-northeast-2"
}

data "aws_availability_zones" "available" {
  state = "available"
}

locals {
  name = "nodes"
  azs  = slice(data.aws_availability_zones.available.names, 0, 3)

  roles = {
    cluster = { service = "eks.amazonaws.com", policies = ["AmazonEKSClusterPolicy"] }
    node = {
      service  = "ec2.amazonaws.com"
      policies = ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly"]
    }
  }

  attachments = merge([
    for key, role in local.roles : { for policy in role.policies : "${key}/${policy}" => { role = key, policy = policy } }
  ]...)
}

module "vpc" {
  source = "../fargate/modules/vpc"

  name = local.name
  cidr = "10.20.0.0/16"
  azs  = local.azs
}

resource "aws_iam_role" "this" {
  for_each = local.roles

  name = "${local.name}-${each.key}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = each.value.service }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = local.attachments

  role       = aws_iam_role.this[each.value.role].name
  policy_arn = "arn:aws:iam::aws:policy/${each.value.policy}"
}

resource "aws_eks_cluster" "this" {
  name     = local.name
  version  = "1.33"
  role_arn = aws_iam_role.this["cluster"].arn

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }

  vpc_config {
    subnet_ids = module.vpc.private_subnet_ids
  }

  depends_on = [aws_iam_role_policy_attachment.this]
}

resource "aws_eks_node_group" "this" {
  cluster_name    = aws_eks_cluster.this.name
  node_group_name = "workers"
  node_role_arn   = aws_iam_role.this["node"].arn
  subnet_ids      = module.vpc.private_subnet_ids
  instance_types  = ["m5.large"]

  labels = { pool = "workers" }

  scaling_config {
    desired_size = 6
    min_size     = 6
    max_size     = 6
  }
}

output "configure_kubectl" {
  value = "aws eks --region ap-northeast-2 update-kubeconfig --name ${aws_eks_cluster.this.name} --alias ${aws_eks_cluster.this.name}"
}
