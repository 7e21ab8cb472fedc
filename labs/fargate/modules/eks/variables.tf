variable "name" {
  type = string
}

variable "kubernetes_version" {
  type = string
}

variable "cluster_role_arn" {
  type = string
}

variable "fargate_role_arn" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "fargate_profiles" {
  type = map(object({
    selectors = list(object({
      namespace = string
      labels    = optional(map(string), {})
    }))
  }))
}

variable "addons" {
  type = map(object({
    configuration = optional(map(string))
  }))
  default = {}
}

variable "admin_arns" {
  type    = set(string)
  default = []
}
