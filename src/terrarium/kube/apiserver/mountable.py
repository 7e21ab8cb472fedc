"""Which secrets a pod may use when its service account names all that are allowed. Pure."""

from __future__ import annotations

from terrarium.kube.api.kinds import Obj

ANNOTATION = "kubernetes.io/enforce-mountable-secrets"
_GROUPS = (
    ("initContainers", "init container"),
    ("containers", "container"),
    ("ephemeralContainers", "ephemeral container"),
)


def refusal(pod: Obj, account: Obj) -> str:
    """Why a pod may not be; "" when it may, or when the account allows all."""
    meta = account["metadata"]
    if (meta.get("annotations") or {}).get(ANNOTATION) != "true":
        return ""
    spec = pod.get("spec") or {}
    allowed = {ref.get("name", "") for ref in account.get("secrets") or ()}
    behind = f"is not allowed because service account {meta['name']} does not reference that"
    for volume in spec.get("volumes") or ():
        name = (volume.get("secret") or {}).get("secretName", "")
        if name and name not in allowed:
            return f'volume with secret.secretName="{name}" {behind} secret'
    for group, word in _GROUPS:
        for container in spec.get(group) or ():
            where = f"{word} {container.get('name', '')} with"
            for variable in container.get("env") or ():
                name = ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name", "")
                if name and name not in allowed:
                    named = f'envVar {variable.get("name", "")} referencing secret.secretName="{name}"'
                    return f"{where} {named} {behind} secret"
            for source in container.get("envFrom") or ():
                name = (source.get("secretRef") or {}).get("name", "")
                if name and name not in allowed:
                    return f'{where} envFrom referencing secret.secretName="{name}" {behind} secret'
    pulls = {ref.get("name", "") for ref in account.get("imagePullSecrets") or ()}
    for index, ref in enumerate(spec.get("imagePullSecrets") or ()):
        if ref.get("name", "") not in pulls:
            return f'imagePullSecrets[{index}].name="{ref.get("name", "")}" {behind} imagePullSecret'
    return ""
