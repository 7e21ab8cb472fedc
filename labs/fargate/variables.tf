variable "region" {
  type    = string
  default = "ap-northeast-2"
}

variable "cluster_name" {
  type    = string
  default = "study"

  validation {
    condition     = can(regex("^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$", var.cluster_name))
    error_message = "A cluster's name has letters, digits, - and _, at most 100 of them."
  }
}

variable "kubernetes_version" {
  type    = string
  default = "1.33"
}

variable "vpc_cidr" {
  type    = string
  default = "10.10.0.0/16"
}

variable "zone_count" {
  type    = number
  default = 3
}

variable "admin_arns" {
  description = "Further IAM principals which may administrate the cluster."
  type        = set(string)
  default     = []
}
