"""kube-apiserver: from a request on the wire to a stored object and back, as 1.33 answers.

`http` and `listener` speak the protocols; `authentication`, `authorization` and `admission` decide who may do what;
`handlers` carries a verb out on the storage contract; `behaviours` holds what single resources do of their own.
`server` puts the parts together.
"""
