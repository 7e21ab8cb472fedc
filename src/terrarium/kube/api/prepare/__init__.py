"""What a strategy changes in an object before it is checked: what clients may not set, what they may not change."""
