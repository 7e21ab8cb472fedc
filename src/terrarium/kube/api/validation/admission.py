"""Webhook configurations and admission policies, with their expressions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from terrarium.kube.api import gotext, names, policies
from terrarium.kube.api.kinds import Context, Obj
from terrarium.kube.api.validation import meta
from terrarium.kube.api.validation.fields import Errors, Raw, items

OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")
REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
SEGMENTS = "should be a domain with at least three segments separated by dots"


def _qualified(errors: Errors, name: str, path: str) -> None:
    if not name:
        errors.required(path)
        return
    faults = names.dns_subdomain(name)
    if faults:
        errors.invalids(path, name, faults)
    elif len(name.split(".")) < 3:
        errors.invalid(path, name, SEGMENTS)


def webhooks(errors: Errors, obj: Obj, context: Context) -> None:
    seen: set[str] = set()
    for where, hook in items(obj.get("webhooks"), "webhooks"):
        _webhook(errors, hook, where, mutating=obj.get("kind") == "MutatingWebhookConfiguration")
        name = hook.get("name") or ""
        if name and name in seen:
            errors.duplicate(f"{where}.name", name)
        seen.add(name)


def _webhook(errors: Errors, hook: Obj, path: str, *, mutating: bool) -> None:
    _qualified(errors, hook.get("name") or "", f"{path}.name")
    for where, rule in items(hook.get("rules"), f"{path}.rules"):
        rule_with_operations(errors, rule, where)
    if hook.get("failurePolicy") is not None:
        errors.one_of(f"{path}.failurePolicy", hook["failurePolicy"], ("Fail", "Ignore"))
    if hook.get("matchPolicy") is not None:
        errors.one_of(f"{path}.matchPolicy", hook["matchPolicy"], ("Equivalent", "Exact"))
    effects = hook.get("sideEffects")
    if effects is None:
        errors.required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun")
    else:
        errors.one_of(f"{path}.sideEffects", effects, ("None", "NoneOnDryRun"))
    seconds = hook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= 30:
        errors.invalid(f"{path}.timeoutSeconds", seconds, "the timeout value must be between 1 and 30 seconds")
    for name in ("namespaceSelector", "objectSelector"):
        meta.label_selector(errors, hook.get(name), f"{path}.{name}")
    client_config(errors, hook.get("clientConfig") or {}, f"{path}.clientConfig")
    if mutating and hook.get("reinvocationPolicy") is not None:
        errors.one_of(f"{path}.reinvocationPolicy", hook["reinvocationPolicy"], ("IfNeeded", "Never"))
    versions = hook.get("admissionReviewVersions") or []
    if not versions:
        errors.required(f"{path}.admissionReviewVersions", "must specify one of v1, v1beta1")
    elif not set(versions) & {"v1", "v1beta1"}:
        errors.invalid(
            f"{path}.admissionReviewVersions", Raw(gotext.strings(versions)), "must include at least one of v1, v1beta1"
        )
    match_conditions(errors, hook.get("matchConditions"), f"{path}.matchConditions")
    held = policies.conditions(hook.get("matchConditions"), f"{path}.matchConditions", policies.environment())
    expressions(errors, held)


def match_conditions(errors: Errors, held: Any, path: str) -> None:
    if len(held or ()) > 64:
        errors.too_many(path, len(held), 64)
    seen: set[str] = set()
    for where, condition in items(held, path):
        name = condition.get("name") or ""
        if not (condition.get("expression") or "").strip():
            errors.required(f"{where}.expression")
        if not name:
            errors.required(f"{where}.name")
        else:
            errors.invalids(f"{where}.name", name, names.qualified_name(name))
            if name in seen:
                errors.duplicate(f"{where}.name", name)
            seen.add(name)


def expressions(errors: Errors, held: Iterable[policies.Expression]) -> None:
    """Says of those that do not compile why."""
    for expression in held:
        if expression.error and expression.source.strip():
            errors.invalid(expression.path, expression.source, expression.error)


def client_config(errors: Errors, config: Obj, path: str) -> None:
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        errors.required(path, "exactly one of url or service is required")
        return
    if url is not None:
        _url(errors, url, f"{path}.url")
        return
    assert service is not None
    for name in ("name", "namespace"):
        if not service.get(name):
            errors.required(f"{path}.service.{name}", f"service {name} is required")
    text = service.get("path")
    if text is not None and not text.startswith("/"):
        errors.invalid(f"{path}.service.path", text, "must start with a '/'")
    port = service.get("port")
    if port is not None and names.port_number(port):
        errors.invalid(f"{path}.service.port", port, "port is not valid: " + names.port_number(port)[0])


def _url(errors: Errors, text: str, path: str) -> None:
    form = "; desired format: https://host[/path]"
    try:
        parts = urlsplit(text)
    except ValueError as wrong:
        errors.required(path, f"url must be a valid URL: {wrong}{form}")
        return
    if parts.scheme != "https":
        errors.invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{form}")
    if not parts.netloc:
        errors.invalid(path, "", f"host must be specified{form}")
    if parts.username is not None:
        errors.invalid(path, parts.username, "user information is not permitted in the URL")
    if parts.fragment:
        errors.invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        errors.invalid(path, parts.query, "query parameters are not permitted in the URL")


def rule_with_operations(errors: Errors, rule: Obj, path: str) -> None:
    for name in ("apiGroups", "apiVersions"):
        held = rule.get(name) or []
        if not held:
            errors.required(f"{path}.{name}")
        if len(held) > 1 and "*" in held:
            errors.invalid(
                f"{path}.{name}",
                Raw(gotext.strings(held)),
                f"if '*' is present, must not specify other {'API groups' if name == 'apiGroups' else 'API versions'}",
            )
        if name == "apiVersions":
            for index, version in enumerate(held):
                if not version:
                    errors.required(f"{path}.apiVersions[{index}]")
    _resources(errors, rule.get("resources") or [], f"{path}.resources")
    if rule.get("scope") is not None:
        errors.one_of(f"{path}.scope", rule["scope"], SCOPES)
    operations = rule.get("operations") or []
    if not operations:
        errors.required(f"{path}.operations")
    if len(operations) > 1 and "*" in operations:
        errors.invalid(
            f"{path}.operations",
            Raw(gotext.strings(operations).replace("[]string", "[]admissionregistration.OperationType")),
            "if '*' is present, must not specify other operations",
        )
    for index, operation in enumerate(operations):
        if operation not in OPERATIONS:
            errors.unsupported(f"{path}.operations[{index}]", operation, OPERATIONS)


def _resources(errors: Errors, held: list[str], path: str) -> None:
    if not held:
        errors.required(path)
    whole = set()
    for index, resource in enumerate(held):
        if not resource:
            errors.required(f"{path}[{index}]")
        if resource == "*/*" and len(held) > 1:
            errors.invalid(path, Raw(gotext.strings(held)), "if '*/*' is present, must not specify other resources")
        base, slash, sub = resource.partition("/")
        if slash and sub == "*":
            whole.add(base)
    for index, resource in enumerate(held):
        base, slash, sub = resource.partition("/")
        if slash and sub != "*" and base in whole:
            errors.invalid(f"{path}[{index}]", resource, f"if '{base}/*' is present, must not specify {resource}")


def policy(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    errors.required_one_of("spec.failurePolicy", spec.get("failurePolicy"), ("Fail", "Ignore"))
    kind = spec.get("paramKind")
    if kind is not None:
        _param_kind(errors, kind, "spec.paramKind")
    constraints = spec.get("matchConstraints")
    if constraints is None:
        errors.required("spec.matchConstraints")
    else:
        match_resources(errors, constraints, "spec.matchConstraints")
        if not constraints.get("resourceRules"):
            errors.required("spec.matchConstraints.resourceRules")
    match_conditions(errors, spec.get("matchConditions"), "spec.matchConditions")
    _variables(errors, spec)
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        text = "validations or auditAnnotations must contain at least one item"
        errors.required("spec.validations", text)
        errors.required("spec.auditAnnotations", text)
    for where, validation in items(spec.get("validations"), "spec.validations"):
        _validation(errors, validation, where)
    for where, audit in items(spec.get("auditAnnotations"), "spec.auditAnnotations"):
        _audit_key(errors, audit.get("key") or "", (obj.get("metadata") or {}).get("name") or "", where)
        if not (audit.get("valueExpression") or "").strip():
            errors.required(f"{where}.valueExpression", "valueExpression is not specified")
    expressions(errors, policies.compile_policy(spec).expressions())


def _param_kind(errors: Errors, held: Obj, path: str) -> None:
    version, kind = held.get("apiVersion") or "", held.get("kind") or ""
    group, _, plain = version.rpartition("/")
    where = f"{path}.apiVersion"
    if not version:
        errors.required(where)
    elif version.count("/") > 1:
        errors.invalid(where, version, f"unexpected GroupVersion string: {version}")
    else:
        if group and (faults := names.dns_subdomain(group)):
            errors.invalid(where, group, ",".join(faults))
        if not plain:
            errors.invalid(where, version, "version must be specified")
        elif faults := names.dns_label_1035(plain):
            errors.invalid(where, plain, ",".join(faults))
    if not kind:
        errors.required(f"{path}.kind")
    elif faults := names.dns_label_1035(kind.lower()):
        text = "may have mixed case, but should otherwise match: " + ",".join(faults)
        errors.invalid(f"{path}.kind", kind, text)


def _audit_key(errors: Errors, key: str, policy: str, path: str) -> None:
    """Keys are told apart by the policy's name."""
    if not key:
        errors.required(f"{path}.key")
    else:
        errors.invalids(f"{path}.key", key, names.qualified_name(f"{policy}/{key}" if policy else key))


def _variables(errors: Errors, spec: Obj) -> None:
    for where, variable in items(spec.get("variables"), "spec.variables"):
        name = variable.get("name") or ""
        if not name:
            errors.required(f"{where}.name", "name is not specified")
        elif not name.isidentifier():
            errors.invalid(f"{where}.name", name, "name is not a valid CEL identifier")
        if not (variable.get("expression") or "").strip():
            errors.required(f"{where}.expression", "expression is not specified")


def _validation(errors: Errors, held: Obj, path: str) -> None:
    if not (held.get("expression") or "").strip():
        errors.required(f"{path}.expression", "expression is not specified")
    message = held.get("message") or ""
    if message and not message.strip():
        errors.invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif "\n" in message:
        errors.invalid(f"{path}.message", message, "message must not contain line breaks")
    elif "\n" in (held.get("expression") or "") and not message:
        errors.required(f"{path}.message", "message must be specified if expression contains line breaks")
    if held.get("reason") is not None:
        errors.one_of(f"{path}.reason", held["reason"], REASONS)


def match_resources(errors: Errors, held: Obj, path: str) -> None:
    if held.get("matchPolicy") is not None:
        errors.one_of(f"{path}.matchPolicy", held["matchPolicy"], ("Equivalent", "Exact"))
    for name in ("namespaceSelector", "objectSelector"):
        if held.get(name) is None:
            errors.required(f"{path}.{name}")
        meta.label_selector(errors, held.get(name), f"{path}.{name}")
    for name in ("resourceRules", "excludeResourceRules"):
        for where, rule in items(held.get(name), f"{path}.{name}"):
            rule_with_operations(errors, rule, where)


def policy_binding(errors: Errors, obj: Obj, context: Context) -> None:
    spec = obj.get("spec") or {}
    if not spec.get("policyName"):
        errors.required("spec.policyName")
    else:
        errors.invalids("spec.policyName", spec["policyName"], names.dns_subdomain(spec["policyName"]))
    ref = spec.get("paramRef")
    if ref is not None:
        if ref.get("name") and ref.get("selector") is not None:
            errors.forbidden("spec.paramRef.name", "name and selector are mutually exclusive")
        elif not ref.get("name") and ref.get("selector") is None:
            errors.required("spec.paramRef", "one of name or selector must be specified")
        if ref.get("parameterNotFoundAction") is None:
            errors.required("spec.paramRef.parameterNotFoundAction")
        else:
            errors.one_of("spec.paramRef.parameterNotFoundAction", ref["parameterNotFoundAction"], ("Deny", "Allow"))
    if spec.get("matchResources") is not None:
        match_resources(errors, spec["matchResources"], "spec.matchResouces")
    actions = spec.get("validationActions") or []
    if not actions:
        errors.required("spec.validationActions", "at least one validation action is required")
    seen: set[str] = set()
    for index, action in enumerate(actions):
        where = f"spec.validationActions[{index}]"
        if action not in ("Audit", "Deny", "Warn"):
            errors.unsupported(where, action, ("Audit", "Deny", "Warn"))
        if action in seen:
            errors.duplicate(where, action)
        seen.add(action)
    if {"Deny", "Warn"} <= seen:
        errors.invalid(
            "spec.validationActions",
            Raw(gotext.strings(actions).replace("[]string", "[]admissionregistration.ValidationAction")),
            "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)",
        )
