# A VPC with public and private subnets in three zones, and an EKS cluster whose pods all run on Fargate.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = local.tags
  }
}

data "aws_caller_identity" "current" {}

data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  azs = slice(data.aws_availability_zones.available.names, 0, var.zone_count)

  tags = {
    Workshop  = var.cluster_name
    ManagedBy = "terraform"
  }

  fargate_profiles = {
    study_wildcard = { selectors = [{ namespace = "study-*" }] }
    kube_system    = { selectors = [{ namespace = "kube-system" }] }
  }

  addons = {
    coredns    = { configuration = { computeType = "Fargate" } }
    vpc-cni    = {}
    kube-proxy = {}
  }
}

module "vpc" {
  source = "./modules/vpc"

  name = var.cluster_name
  cidr = var.vpc_cidr
  azs  = local.azs

  public_subnet_tags  = { "kubernetes.io/role/elb" = "1" }
  private_subnet_tags = { "kubernetes.io/role/internal-elb" = "1" }
}

module "iam" {
  source = "./modules/iam"

  name       = var.cluster_name
  account_id = data.aws_caller_identity.current.account_id
}

module "eks" {
  source = "./modules/eks"

  name               = var.cluster_name
  kubernetes_version = var.kubernetes_version
  cluster_role_arn   = module.iam.cluster_role_arn
  fargate_role_arn   = module.iam.fargate_role_arn
  subnet_ids         = module.vpc.private_subnet_ids
  fargate_profiles   = local.fargate_profiles
  addons             = local.addons
  admin_arns         = var.admin_arns

  # A cluster needs its role's policies and its way out before anything of it can start.
  depends_on = [module.iam, module.vpc]
}
