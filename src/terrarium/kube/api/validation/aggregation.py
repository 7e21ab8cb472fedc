"""APIServices: groups that another server serves."""

from __future__ import annotations

import base64

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Context, FieldError, Obj
from terrarium.kube.api.validation.fields import Errors


def api_service(errors: Errors, obj: Obj, context: Context) -> None:
    spec, name = obj.get("spec") or {}, (obj.get("metadata") or {}).get("name") or ""
    group, version = spec.get("group") or "", spec.get("version") or ""
    wanted = f"{version}.{group}"
    if name and name != wanted and not names.path_segment(name):
        text = f'must be `spec.version+"."+spec.group`: {gotext.quote(wanted)}'
        errors.insert(0, _wrong_name(name, text))
    if not group and version != "v1":
        errors.required("spec.group", "only v1 may have an empty group and it's better to be legacy kube")
    if group:
        errors.invalids("spec.group", group, names.dns_subdomain(group))
    errors.invalids("spec.version", version, names.dns_label_1035(version))
    for field, most in (("groupPriorityMinimum", 20_000), ("versionPriority", 1000)):
        number = spec.get(field) or 0
        if not 0 < number <= most:
            errors.invalid(f"spec.{field}", number, f"must be positive and less than {most}")
    _service(errors, spec)


def _wrong_name(name: str, text: str) -> FieldError:
    return FieldError("FieldValueInvalid", "metadata.name", f"Invalid value: {gotext.quote(name)}: {text}")


def _service(errors: Errors, spec: Obj) -> None:
    service, bundle = spec.get("service"), spec.get("caBundle") or ""
    insecure = bool(spec.get("insecureSkipTLSVerify"))
    if service is None:
        if bundle:
            size = len(base64.b64decode(bundle))
            errors.invalid("spec.caBundle", f"{size} bytes", "local APIServices may not have a caBundle")
        if insecure:
            text = "local APIServices may not have insecureSkipTLSVerify"
            errors.invalid("spec.insecureSkipTLSVerify", True, text)
        return
    for field in ("namespace", "name"):
        if not service.get(field):
            errors.required(f"spec.service.{field}")
    port = service.get("port")
    if port is not None and (faults := names.port_number(port)):
        errors.invalid("spec.service.port", port, f"port is not valid: {','.join(faults)}")
    if insecure and bundle:
        errors.invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present")
