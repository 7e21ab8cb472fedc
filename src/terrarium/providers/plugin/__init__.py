"""Providers that are programs of their own: any binary made for Terraform, hosted over plugin protocol 5 or 6.

`installed` finds packages in mirrors on disk; `process` starts a binary and shakes hands; `protocol` has the messages;
`encoding` carries values; `provider` is the contract of the engine on top of it all.
`serving` is the other side: our own providers as plugins for the real terraform.
"""
