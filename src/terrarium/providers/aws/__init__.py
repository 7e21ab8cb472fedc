"""The aws provider: a table of types from the real 5.100.0 schema, and small modules which make the API calls.

`schemas` reads the table, `planning` decides from it (pure), `session` finds credentials and makes clients, `rows` says
what a type must offer, one module for each area of AWS holds the rows, `table` lists them all, and `provider` joins
everything to the engine's contract.
"""
