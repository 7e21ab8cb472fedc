"""How each kind is prepared, checked and warned about, as `Strategy` values that the rows name."""
