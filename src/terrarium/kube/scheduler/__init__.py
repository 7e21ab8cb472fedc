"""kube-scheduler: decision for decision as 1.33 decides, with the reasons kept.

`views` (typed objects) → `snapshot` (nodes with what runs on them) → `framework` + `plugins/` (extension points) →
`cycle` (one decision as a value) → `queue` and `server` (the loop that watches, decides and binds). All but `server`
is pure.
"""
