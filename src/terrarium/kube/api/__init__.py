"""What the API says, without doing anything: kinds, schemas, defaults, validation, patches, tables, wire formats. Pure.

The walk of a write through this package, in the order in which an API server takes it:

1. `yaml_bodies.load` / `orjson` / `protobuf.decode`: bytes to an object.
2. `typed.decode(obj, kind.schema, minor)`: wrong types raise `typed.DecodeError` (the text of a 400), unknown fields
   come back as texts; the object is as Go's structures would print it (empty values gone, `status: {}` present).
   A custom resource (`kind.schema` empty or unknown) passes unchanged.
3. `kind.strategy.default`, then `prepare_create` or `prepare_update` (with `Context.old`), admission.
4. `typed.encode(obj, kind.schema, minor)`: again as Go prints it. Then `validate` or `validate_update`, `warnings`.
5. Patches: `patches.*` on the stored object, then as an update. Apply: `managed.apply`; updates: `managed.track_update`.

Answers: `status` for refusals, `tables.table` for kubectl, `protobuf.encode` where protobuf is asked.
"""
