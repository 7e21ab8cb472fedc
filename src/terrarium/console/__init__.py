"""Pages in the manner of AWS's console, rendered on the server. Each page has a JSON twin at the same address."""
