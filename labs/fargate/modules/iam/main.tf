variable "name" {
  type = string
}

variable "account_id" {
  type = string
}

locals {
  roles = {
    cluster = {
      service  = "eks.amazonaws.com"
      policies = ["AmazonEKSClusterPolicy"]
    }
    fargate = {
      service  = "eks-fargate-pods.amazonaws.com"
      policies = ["AmazonEKSFargatePodExecutionRolePolicy"]
    }
  }

  attachments = merge([
    for key, role in local.roles : {
      for policy in role.policies : "${key}/${policy}" => { role = key, policy = policy }
    }
  ]...)
}

data "aws_partition" "current" {}

data "aws_iam_policy_document" "trust" {
  for_each = local.roles

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [each.value.service]
    }
  }
}

resource "aws_iam_role" "this" {
  for_each = local.roles

  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = local.attachments

  role       = aws_iam_role.this[each.value.role].name
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/${each.value.policy}"
}

# What Fargate's log router may do. The workshop's logging chapter builds on it.
resource "aws_iam_policy" "logging" {
  name = "${var.name}-fargate-logging"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:CreateLogGroup", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      Resource = "arn:${data.aws_partition.current.partition}:logs:*:${var.account_id}:*"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "logging" {
  role       = aws_iam_role.this["fargate"].name
  policy_arn = aws_iam_policy.logging.arn
}

output "cluster_role_arn" {
  value = aws_iam_role.this["cluster"].arn
}

output "fargate_role_arn" {
  value = aws_iam_role.this["fargate"].arn
}
