"""The workshop: chapters which play Terraform to running pods with real clients, and check what is seen.

A chapter is a function which types commands as a person would and says what must be seen; `player` runs and prints
them. The files a chapter works on are in `labs/`; each world gets its own copy.
"""
