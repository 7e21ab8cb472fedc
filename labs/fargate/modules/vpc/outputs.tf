output "vpc_id" {
  value = aws_vpc.this.id
}

output "private_subnet_ids" {
  value = [for zone in var.azs : aws_subnet.private[zone].id]
}

output "public_subnet_ids" {
  value = [for zone in var.azs : aws_subnet.public[zone].id]
}
