"""What the API says, without doing anything: kinds, schemas, defaults, validation, patches, tables, wire formats. Pure."""
