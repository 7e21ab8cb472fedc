"""The AWS endpoint: one port, signed requests, moto behind it for breadth, services of our own for depth."""
