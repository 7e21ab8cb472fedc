# One EC2 instance: the smallest thing that shows init, plan, apply, an update in place, and destroy.

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
  region = "ap-northeast-2"
}

variable "tags" {
  description = "Tags of the instance; none at first, a Name in the second apply."
  type        = map(string)
  default     = {}
}

resource "aws_instance" "example" {
  ami           = "ami-084e92d3e117f7692"
  instance_type = "t2.micro"
  tags          = var.tags
}

output "instance_id" {
  value = aws_instance.example.id
}
