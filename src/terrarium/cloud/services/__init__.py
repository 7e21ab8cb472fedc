"""AWS services answered here rather than by moto, because moto's answers differ from the recorded ones."""
