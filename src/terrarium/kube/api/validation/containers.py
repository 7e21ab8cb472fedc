"""Containers: names, images, ports, environment, resources, probes, lifecycle, mounts, security."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.kube.api import names
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.quantity import Quantity
from terrarium.kube.api.validation.fields import Errors, Raw, items
from terrarium.kube.api.validation.mounts import devices, mounts, security

PROTOCOLS = ("SCTP", "TCP", "UDP")
PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
ENV_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
VOLUME_PATHS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_LABELS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
RESOURCE_PATHS = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_SIZES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_CONTAINER_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_STANDARD_RESOURCES = (
    *_CONTAINER_RESOURCES,
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "storage",
    "services.nodeports",
    "services.loadbalancers",
)
_HEADER = "[-A-Za-z0-9]+"


def ports(errors: Errors, held: Sequence[Obj] | None, path: str) -> None:
    seen: set[str] = set()
    for where, port in items(held, path):
        name = port.get("name") or ""
        if name:
            faults = names.port_name(name)
            if faults:
                errors.invalids(f"{where}.name", name, faults)
            elif name in seen:
                errors.duplicate(f"{where}.name", name)
            else:
                seen.add(name)
        number = port.get("containerPort") or 0
        if number == 0:
            errors.required(f"{where}.containerPort")
        else:
            errors.invalids(f"{where}.containerPort", number, names.port_number(number))
        host = port.get("hostPort") or 0
        if host:
            errors.invalids(f"{where}.hostPort", host, names.port_number(host))
        if not port.get("protocol"):
            errors.required(f"{where}.protocol")
        else:
            errors.one_of(f"{where}.protocol", port["protocol"], PROTOCOLS)


def env(errors: Errors, held: Sequence[Obj] | None, path: str) -> None:
    for where, variable in items(held, path):
        name = variable.get("name") or ""
        if not name:
            errors.required(f"{where}.name")
        else:
            errors.invalids(f"{where}.name", name, names.relaxed_env_var_name(name))
        _value_from(errors, variable, f"{where}.valueFrom")


def _value_from(errors: Errors, variable: Obj, path: str) -> None:
    source = variable.get("valueFrom")
    if source is None:
        return
    count = 0
    if source.get("fieldRef") is not None:
        count += 1
        field_ref(errors, source["fieldRef"], ENV_PATHS, f"{path}.fieldRef")
    if source.get("resourceFieldRef") is not None:
        count += 1
        resource_field(errors, source["resourceFieldRef"], f"{path}.resourceFieldRef", volume=False)
    for name in ("configMapKeyRef", "secretKeyRef"):
        ref = source.get(name)
        if ref is not None:
            count += 1
            errors.invalids(f"{path}.{name}.name", ref.get("name", ""), names.dns_subdomain(ref.get("name") or ""))
            if not ref.get("key"):
                errors.required(f"{path}.{name}.key")
            else:
                errors.invalids(f"{path}.{name}.key", ref["key"], names.config_map_key(ref["key"]))
    if count == 0:
        errors.invalid(
            path, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
        )
    elif variable.get("value"):
        errors.invalid(path, "", "may not be specified when `value` is not empty")
    elif count > 1:
        errors.invalid(path, "", "may not have more than one field specified at a time")


_SUBSCRIPT = re.compile(r"(.*)\['(.*)'\]\Z", re.S)


def field_ref(errors: Errors, ref: Obj, known: Sequence[str], path: str) -> None:
    if not ref.get("apiVersion"):
        errors.required(f"{path}.apiVersion")
        return
    text = ref.get("fieldPath") or ""
    if not text:
        errors.required(f"{path}.fieldPath")
        return
    match = _SUBSCRIPT.match(text)
    base = match[1] if match else text
    if ref["apiVersion"] != "v1":
        errors.invalid(
            f"{path}.fieldPath", text, f"error converting fieldPath: unsupported pod version: {ref['apiVersion']}"
        )
        return
    if base not in _LABELS and not (match and base in ("metadata.annotations", "metadata.labels")):
        errors.invalid(f"{path}.fieldPath", text, f"error converting fieldPath: field label not supported: {text}")
        return
    if match:
        if base in ("metadata.annotations", "metadata.labels"):
            key = match[2].lower() if base == "metadata.annotations" else match[2]
            errors.invalids(path, key, names.qualified_name(key))
        else:
            errors.invalid(path, base, "does not support subscript")
    elif base not in known:
        errors.unsupported(f"{path}.fieldPath", base, known)


def resource_field(errors: Errors, ref: Obj, path: str, *, volume: bool) -> None:
    resource = ref.get("resource") or ""
    if volume and not ref.get("containerName"):
        errors.required(f"{path}.containerName")
    elif not resource:
        errors.required(f"{path}.resource")
    elif resource not in RESOURCE_PATHS and not resource.startswith(("requests.hugepages-", "limits.hugepages-")):
        errors.unsupported(f"{path}.resource", resource, RESOURCE_PATHS)
    divisor = Quantity.of(ref.get("divisor") or "0")
    if not divisor:
        return
    kind = resource.partition(".")[2]
    if kind == "cpu":
        if str(divisor) not in ("1m", "1"):
            errors.invalid(
                f"{path}.divisor", resource, "only divisor's values 1m and 1 are supported with the cpu resource"
            )
        return
    word = {"memory": "memory", "ephemeral-storage": "local ephemeral storage"}.get(kind)
    if kind.startswith("hugepages-"):
        word = "hugepages"
    if word and str(divisor) not in _SIZES:
        errors.invalid(
            f"{path}.divisor",
            resource,
            f"only divisor's values {', '.join(_SIZES)} are supported with the {word} resource",
        )


def env_from(errors: Errors, held: Sequence[Obj] | None, path: str) -> None:
    for where, source in items(held, path):
        if source.get("prefix"):
            errors.invalids(f"{where}.prefix", source["prefix"], names.relaxed_env_var_name(source["prefix"]))
        count = 0
        for name in ("configMapRef", "secretRef"):
            ref = source.get(name)
            if ref is None:
                continue
            count += 1
            if not ref.get("name"):
                errors.required(f"{where}.{name}.name")
            else:
                errors.invalids(f"{where}.{name}.name", ref["name"], names.dns_subdomain(ref["name"]))
        if count == 0:
            errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif count > 1:
            errors.invalid(path, "", "may not have more than one field specified at a time")


# -- resources --------------------------------------------------------------------------------------------------------


def is_native(name: str) -> bool:
    return "/" not in name or "kubernetes.io/" in name


def is_extended(name: str) -> bool:
    return not (is_native(name) or name.startswith("requests.")) and not names.qualified_name(f"requests.{name}")


def is_hugepages(name: str) -> bool:
    return name.startswith("hugepages-")


def resource_name(errors: Errors, name: str, path: str) -> None:
    errors.invalids(path, Raw(name), names.qualified_name(name))
    if "/" not in name and name not in _STANDARD_RESOURCES and not is_hugepages(name):
        errors.invalid(path, Raw(name), "must be a standard resource type or fully qualified")


def container_resource_name(errors: Errors, name: str, path: str) -> None:
    resource_name(errors, name, path)
    if "/" not in name:
        if name not in _CONTAINER_RESOURCES and not is_hugepages(name):
            errors.invalid(path, Raw(name), "must be a standard resource for containers")
    elif not is_native(name) and not is_extended(name):
        errors.invalid(path, Raw(name), "doesn't follow extended resource name standard")


def quantity_text(amount: Quantity) -> Raw:
    """A `resource.Quantity` as Go prints its inside."""
    scale = amount.scale if amount.scale is not None else 0
    value = amount.nanos * 10 ** (9 - 9) // 10 ** (9 + scale) if 9 + scale >= 0 else amount.nanos
    inner = f"i:resource.int64Amount{{value:{value}, scale:{scale}}}"
    return Raw(
        f'resource.Quantity{{{inner}, d:resource.infDecAmount{{Dec:(*inf.Dec)(nil)}}, s:"{amount}", Format:"{amount.format}"}}'
    )


def resource_value(errors: Errors, name: str, amount: Quantity, path: str) -> None:
    if amount.nanos < 0:
        errors.invalid(path, str(amount), "must be greater than or equal to 0")
    whole = "/" not in name and name in (
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    )
    if (whole or is_extended(name)) and amount.nanos % 10**9:
        errors.invalid(path, quantity_text(amount), "must be an integer")


def resources(errors: Errors, held: Obj | None, path: str) -> None:
    held = held or {}
    limits = {k: Quantity.of(v) for k, v in (held.get("limits") or {}).items()}
    requests = {k: Quantity.of(v) for k, v in (held.get("requests") or {}).items()}
    found: set[str] = set()
    for side, amounts in (("limits", limits), ("requests", requests)):
        for name in sorted(amounts):
            where = f"{path}.{side}[{name}]"
            container_resource_name(errors, name, where)
            resource_value(errors, name, amounts[name], where)
            found.add("hugepages" if is_hugepages(name) else name)
            if is_hugepages(name) and side == "limits":
                size = Quantity.of(name.removeprefix("hugepages-")).nanos
                if size and amounts[name].nanos % size:
                    errors.invalid(where, str(amounts[name]), "hugepages must be a multiple of the page size")
            if side == "requests":
                limit = limits.get(name)
                if limit is not None:
                    overcommit = is_native(name) and not is_hugepages(name)
                    if not overcommit and amounts[name] != limit:
                        errors.invalid(
                            f"{path}.requests", str(amounts[name]), f"must be equal to {name} limit of {limit}"
                        )
                    elif overcommit and amounts[name] > limit:
                        errors.invalid(
                            f"{path}.requests",
                            str(amounts[name]),
                            f"must be less than or equal to {name} limit of {limit}",
                        )
                elif not (is_native(name) and not is_hugepages(name)):
                    errors.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
    if "hugepages" in found and not {"cpu", "memory"} & found:
        errors.forbidden(path, "HugePages require cpu or memory")


# -- probes and lifecycle ---------------------------------------------------------------------------------------------


def _port(errors: Errors, port: Any, path: str) -> None:
    if isinstance(port, str):
        errors.invalids(path, port, names.port_name(port))
    else:
        errors.invalids(path, port or 0, names.port_number(port or 0))


def _http(errors: Errors, action: Obj, path: str) -> None:
    if not action.get("path"):
        errors.required(f"{path}.path")
    _port(errors, action.get("port"), f"{path}.port")
    errors.one_of(f"{path}.scheme", action.get("scheme"), ("HTTP", "HTTPS"))
    for header in action.get("httpHeaders") or ():
        name = header.get("name") or ""
        if not re.fullmatch(_HEADER, name):
            errors.invalid(
                f"{path}.httpHeaders",
                name,
                names.regex_error(
                    "a valid HTTP header must consist of alphanumeric characters or '-'", _HEADER, "X-Header-Name"
                ),
            )


def handler(errors: Errors, held: Obj, path: str, grace: int | None = None, *, lifecycle: bool = False) -> None:
    """A probe's or hook's action: exactly one."""
    count = 0
    order = ("exec", "httpGet", "tcpSocket", "sleep") if lifecycle else ("exec", "httpGet", "tcpSocket", "grpc")
    for name in order:
        action = held.get(name)
        if action is None:
            continue
        if count > 0:
            errors.forbidden(f"{path}.{name}", "may not specify more than 1 handler type")
            continue
        count += 1
        if name == "exec" and not action.get("command"):
            errors.required(f"{path}.exec.command")
        elif name == "httpGet":
            _http(errors, action, f"{path}.httpGet")
        elif name == "tcpSocket":
            _port(errors, action.get("port"), f"{path}.tcpSocket.port")
        elif name == "grpc":
            number = action.get("port") or 0
            errors.invalids(f"{path}.grpc.port", number, names.port_number(number))
        elif name == "sleep":
            seconds = action.get("seconds") or 0
            if grace is not None and (seconds < 0 or seconds > grace):
                errors.invalid(
                    f"{path}.sleep",
                    seconds,
                    f"must be non-negative and less than terminationGracePeriodSeconds ({grace})",
                )
    if count == 0:
        errors.required(path, "must specify a handler type")


_COUNTS = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def probe(errors: Errors, held: Obj | None, path: str) -> None:
    if held is None:
        return
    handler(errors, held, path)
    for name in _COUNTS:
        errors.not_negative(f"{path}.{name}", held.get(name))
    grace = held.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        errors.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")


def probes(errors: Errors, container: Obj, path: str) -> None:
    """Liveness, readiness and startup probe of a container that may have them."""
    probe(errors, container.get("livenessProbe"), f"{path}.livenessProbe")
    _success(errors, container.get("livenessProbe"), f"{path}.livenessProbe")
    probe(errors, container.get("readinessProbe"), f"{path}.readinessProbe")
    readiness = container.get("readinessProbe") or {}
    if readiness.get("terminationGracePeriodSeconds") is not None:
        errors.invalid(
            f"{path}.readinessProbe.terminationGracePeriodSeconds",
            readiness["terminationGracePeriodSeconds"],
            "must not be set for readinessProbes",
        )
    probe(errors, container.get("startupProbe"), f"{path}.startupProbe")
    _success(errors, container.get("startupProbe"), f"{path}.startupProbe")


def _success(errors: Errors, held: Obj | None, path: str) -> None:
    if held is not None and held.get("successThreshold") != 1:
        errors.invalid(f"{path}.successThreshold", held.get("successThreshold") or 0, "must be 1")


def hooks(errors: Errors, container: Obj, path: str, grace: int | None) -> None:
    lifecycle = container.get("lifecycle") or {}
    for name in ("postStart", "preStop"):
        if lifecycle.get(name) is not None:
            handler(errors, lifecycle[name], f"{path}.lifecycle.{name}", grace, lifecycle=True)


# -- the whole container ----------------------------------------------------------------------------------------------


def common(errors: Errors, container: Obj, volumes: Mapping[str, Obj], path: str, spec: Obj) -> None:
    """What holds for every kind of container (`validateContainerCommon`)."""
    name = container.get("name") or ""
    if not name:
        errors.required(f"{path}.name")
    else:
        errors.invalids(f"{path}.name", name, names.dns_label(name))
    image = container.get("image") or ""
    if not image:
        errors.required(f"{path}.image")
    elif image != image.strip():
        errors.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    errors.required_one_of(
        f"{path}.terminationMessagePolicy", container.get("terminationMessagePolicy"), MESSAGE_POLICIES
    )
    ports(errors, container.get("ports"), f"{path}.ports")
    env(errors, container.get("env"), f"{path}.env")
    env_from(errors, container.get("envFrom"), f"{path}.envFrom")
    mounts(errors, container, volumes, f"{path}.volumeMounts")
    devices(errors, container, volumes, f"{path}.volumeDevices")
    errors.required_one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), PULL_POLICIES)
    resources(errors, container.get("resources"), f"{path}.resources")
    _resize_policies(errors, container, f"{path}.resizePolicy", spec)
    host_users = spec.get("hostUsers") is not False
    security(errors, container.get("securityContext"), f"{path}.securityContext", host_users=host_users)


def _resize_policies(errors: Errors, container: Obj, path: str, spec: Obj) -> None:
    seen: set[str] = set()
    for where, policy in items(container.get("resizePolicy"), path):
        resource, restart = policy.get("resourceName") or "", policy.get("restartPolicy") or ""
        if resource in seen:
            errors.duplicate(where, resource)
        seen.add(resource)
        errors.required_one_of(path, resource, ("cpu", "memory"))
        errors.required_one_of(path, restart, ("NotRequired", "RestartContainer"))
        if spec.get("restartPolicy") == "Never" and restart != "NotRequired":
            errors.invalid(path, restart, "must be 'NotRequired' when `restartPolicy` is 'Never'")


def _duplicates(errors: Errors, name: str, seen: set[str], path: str) -> None:
    if name in seen:
        errors.duplicate(f"{path}.name", name)
    elif name:
        seen.add(name)


def init(errors: Errors, spec: Obj, volumes: Mapping[str, Obj], path: str, grace: int | None) -> None:
    regular = {c.get("name") for c in spec.get("containers") or ()}
    seen: set[str] = set()
    for where, container in items(spec.get("initContainers"), path):
        common(errors, container, volumes, where, spec)
        sidecar = container.get("restartPolicy") == "Always"
        policy = container.get("restartPolicy")
        if policy is not None and not sidecar:
            errors.unsupported(f"{where}.restartPolicy", policy, ("Always",))
        name = container.get("name")
        if name and (name in seen or name in regular):
            errors.duplicate(f"{where}.name", name)
        elif name:
            seen.add(name)
        _host_ports(errors, container, where, spec)
        if sidecar:
            hooks(errors, container, where, grace)
            probes(errors, container, where)
        else:
            for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
                if container.get(field) is not None:
                    errors.forbidden(
                        f"{where}.{field}", "may not be set for init containers without restartPolicy=Always"
                    )


def _host_ports(errors: Errors, container: Obj, path: str, spec: Obj) -> None:
    if spec.get("hostNetwork"):
        # The server fills in host ports of pods, not of templates: there they may be left out.
        in_template = "template." in path
        for where, port in items(container.get("ports"), f"{path}.ports"):
            if in_template and not port.get("hostPort"):
                continue
            if port.get("hostPort") != port.get("containerPort"):
                errors.invalid(
                    f"{where}.hostPort",
                    port.get("hostPort") or 0,
                    "must match `containerPort` when `hostNetwork` is true",
                )


def regular(errors: Errors, spec: Obj, volumes: Mapping[str, Obj], path: str, grace: int | None) -> None:
    if not spec.get("containers"):
        errors.required(path)
        return
    seen: set[str] = set()
    for where, container in items(spec["containers"], path):
        common(errors, container, volumes, where, spec)
        _duplicates(errors, container.get("name") or "", seen, where)
        hooks(errors, container, where, grace)
        probes(errors, container, where)
        _host_ports(errors, container, where, spec)
        if container.get("restartPolicy") is not None:
            errors.forbidden(f"{where}.restartPolicy", "may not be set for non-init containers")
    bound: set[tuple[Any, Any, Any]] = set()
    for where, container in items(spec["containers"], path):
        for inner, port in items(container.get("ports"), f"{where}.ports"):
            if port.get("hostPort"):
                key = (port.get("protocol"), port.get("hostIP") or "", port["hostPort"])
                if key in bound:
                    errors.duplicate(f"{inner}.hostPort", Raw('"' + "/".join(str(k) for k in key) + '"'))
                bound.add(key)


_EPHEMERAL_ONLY = ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources", "resizePolicy")


def ephemeral(errors: Errors, spec: Obj, volumes: Mapping[str, Obj], path: str) -> None:
    others = {c.get("name") for name in ("containers", "initContainers") for c in spec.get(name) or ()}
    seen: set[str] = set()
    for where, container in items(spec.get("ephemeralContainers"), path):
        common(errors, container, volumes, where, spec)
        name = container.get("name")
        if name and (name in others or name in seen):
            errors.duplicate(f"{where}.name", name)
        elif name:
            seen.add(name)
        target = container.get("targetContainerName")
        if target and target not in others:
            errors.not_found(f"{where}.targetContainerName", target)
        for field in _EPHEMERAL_ONLY:
            if container.get(field):
                errors.forbidden(f"{where}.{field}", "cannot be set for an Ephemeral Container")
        for at_, mount in items(container.get("volumeMounts"), f"{where}.volumeMounts"):
            for field in ("subPath", "subPathExpr"):
                if mount.get(field):
                    errors.forbidden(f"{at_}.{field}", "cannot be set for an Ephemeral Container")
