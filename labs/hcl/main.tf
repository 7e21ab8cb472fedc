# A tour of the language. `#` begins a comment,
// so do two slashes,
/* and this form may
   span lines. */

locals {
  name   = "terrarium"
  greets = "Hello, ${local.name}!"
  octal  = 0123
  large  = 1e10
  yes    = true

  poem = <<-EOT
    Under glass
      a cloud
    grows.
  EOT

  zones   = ["a", "b", "c"]
  subnets = { for i, z in local.zones : z => cidrsubnet("10.10.0.0/16", 8, i) }
  size    = length(local.zones) > 2 ? "large" : "small"
}

output "greets" {
  value = upper(local.greets)
}

output "numbers" {
  value = [local.octal, local.large, 1 / 3]
}

output "poem" {
  value = local.poem
}

output "subnets" {
  value = local.subnets
}

output "size" {
  value = local.size
}

output "listed" {
  value = join(", ", [for z in local.zones : upper(z) if z != "b"])
}

output "roundabout" {
  value = jsonencode({ name = local.name, yes = local.yes, none = null })
}
