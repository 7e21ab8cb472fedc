"""Where pods may go: tolerations, affinity, spread, node selectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from terrarium.kube.api import gotext, names
from terrarium.kube.api.kinds import Obj
from terrarium.kube.api.validation import meta
from terrarium.kube.api.validation.fields import Errors, Raw, items

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_NODE_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


def tolerations(errors: Errors, held: Sequence[Obj] | None, path: str) -> None:
    for where, toleration in items(held, path):
        key, operator = toleration.get("key") or "", toleration.get("operator") or ""
        if key:
            errors.invalids(f"{where}.key", key, names.qualified_name(key))
        if not key and operator != "Exists":
            errors.invalid(
                f"{where}.operator",
                operator,
                'operator must be Exists when `key` is empty, which means "match all values and all keys"',
            )
        if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
            errors.invalid(
                f"{where}.effect",
                toleration.get("effect") or "",
                "effect must be 'NoExecute' when `tolerationSeconds` is set",
            )
        value = toleration.get("value") or ""
        if operator in ("Equal", ""):
            faults = names.label_value(value)
            if faults:
                errors.invalid(f"{where}.operator", value, ";".join(faults))
        elif operator == "Exists":
            if value:
                errors.invalid(f"{where}.operator", value, "value must be empty when `operator` is 'Exists'")
        else:
            errors.unsupported(f"{where}.operator", operator, ("Equal", "Exists"))
        if toleration.get("effect"):
            errors.one_of(f"{where}.effect", toleration["effect"], EFFECTS)


def node_requirement(errors: Errors, held: Obj, path: str) -> None:
    operator, values = held.get("operator", ""), held.get("values") or ()
    match operator:
        case "In" | "NotIn":
            if not values:
                errors.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        case "Exists" | "DoesNotExist":
            if values:
                errors.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        case "Gt" | "Lt":
            if len(values) != 1:
                errors.required(f"{path}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
        case _:
            errors.invalid(f"{path}.operator", operator, "not a valid selector operator")
    errors.invalids(f"{path}.key", held.get("key", ""), names.qualified_name(held.get("key", "")))
    for at, value in enumerate(values):
        if operator in ("In", "NotIn"):
            errors.invalids(f"{path}.values[{at}]", value, names.label_value(value))


def node_field(errors: Errors, held: Obj, path: str) -> None:
    if held.get("operator") in ("In", "NotIn"):
        if len(held.get("values") or ()) != 1:
            errors.required(
                f"{path}.values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            )
    else:
        errors.invalid(f"{path}.operator", held.get("operator", ""), "not a valid selector operator")
    if held.get("key") == "metadata.name":
        for at, value in enumerate(held.get("values") or ()):
            errors.invalids(f"{path}.values[{at}]", value, names.dns_subdomain(value))
    else:
        errors.invalid(f"{path}.key", held.get("key", ""), "not a valid field selector key")


def node_term(errors: Errors, term: Obj, path: str) -> None:
    for where, held in items(term.get("matchExpressions"), f"{path}.matchExpressions"):
        node_requirement(errors, held, where)
    for where, held in items(term.get("matchFields"), f"{path}.matchFields"):
        node_field(errors, held, where)


def node_selector(errors: Errors, held: Obj, path: str) -> None:
    terms = held.get("nodeSelectorTerms")
    if not terms:
        errors.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
        return
    for where, term in items(terms, f"{path}.nodeSelectorTerms"):
        node_term(errors, term, where)


def _weight(errors: Errors, held: Obj, path: str) -> None:
    weight = held.get("weight") or 0
    if not 1 <= weight <= 100:
        errors.invalid(f"{path}.weight", weight, "must be in the range 1-100")


_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)


def pod_term(errors: Errors, term: Obj, path: str) -> None:
    meta.label_selector(errors, term.get("labelSelector"), f"{path}.labelSelector")
    meta.label_selector(errors, term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for name in term.get("namespaces") or ():
        errors.invalids(f"{path}.namespace", name, names.dns_label(name))
    _label_keys(errors, term, path)
    key = term.get("topologyKey") or ""
    if not key:
        errors.required(f"{path}.topologyKey", "can not be empty")
    errors.invalids(f"{path}.topologyKey", key, names.qualified_name(key))


def _label_keys(errors: Errors, term: Obj, path: str) -> None:
    selector = term.get("labelSelector")
    both = set(term.get("matchLabelKeys") or ()) & set(term.get("mismatchLabelKeys") or ())
    for name in ("matchLabelKeys", "mismatchLabelKeys"):
        keys = term.get(name) or ()
        if keys and selector is None:
            errors.forbidden(f"{path}.{name}", "must not be specified when labelSelector is not set")
            continue
        for at, key in enumerate(keys):
            errors.invalids(f"{path}.{name}[{at}]", key, names.qualified_name(key))
            if name == "matchLabelKeys" and key in both:
                errors.invalid(f"{path}.{name}[{at}]", key, "exists in both matchLabelKeys and mismatchLabelKeys")


def affinity(errors: Errors, held: Obj | None, path: str) -> None:
    if held is None:
        return
    node = held.get("nodeAffinity")
    if node is not None:
        where = f"{path}.nodeAffinity"
        if node.get(_REQUIRED) is not None:
            node_selector(errors, node[_REQUIRED], f"{where}.{_REQUIRED}")
        for inner, term in items(node.get(_PREFERRED), f"{where}.{_PREFERRED}"):
            _weight(errors, term, inner)
            node_term(errors, term.get("preference") or {}, f"{inner}.preference")
    for side in ("podAffinity", "podAntiAffinity"):
        pods = held.get(side)
        if pods is None:
            continue
        for inner, term in items(pods.get(_REQUIRED), f"{path}.{side}.{_REQUIRED}"):
            pod_term(errors, term, inner)
        for inner, term in items(pods.get(_PREFERRED), f"{path}.{side}.{_PREFERRED}"):
            _weight(errors, term, inner)
            pod_term(errors, term.get("podAffinityTerm") or {}, f"{inner}.podAffinityTerm")


_WHEN = ("DoNotSchedule", "ScheduleAnyway")
_POLICIES = ("Honor", "Ignore")


def spread(errors: Errors, held: Sequence[Obj] | None, path: str) -> None:
    pairs = [(c.get("topologyKey") or "", c.get("whenUnsatisfiable") or "") for c in held or ()]
    later = {f"{path}[{at}]": pairs[at + 1 :] for at in range(len(pairs))}
    for where, constraint in items(held, path):
        skew = constraint.get("maxSkew") or 0
        if skew <= 0:
            errors.invalid(f"{where}.maxSkew", skew, "must be greater than zero")
        key = constraint.get("topologyKey") or ""
        if not key:
            errors.required(f"{where}.topologyKey", "can not be empty")
        else:
            errors.invalids(f"{where}.topologyKey", key, names.qualified_name(key))
        when = constraint.get("whenUnsatisfiable") or ""
        errors.one_of(f"{where}.whenUnsatisfiable", when, _WHEN)
        if (key, when) in later.pop(where):
            errors.duplicate(f"{where}.{{topologyKey, whenUnsatisfiable}}", f"{{{key}, {when}}}")
        domains = constraint.get("minDomains")
        if domains is not None:
            if domains <= 0:
                errors.invalid(f"{where}.minDomains", domains, "must be greater than zero")
            if when != "DoNotSchedule":
                errors.invalid(
                    f"{where}.minDomains",
                    domains,
                    f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}",
                )
        for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            if constraint.get(name) is not None:
                errors.one_of(f"{where}.{name}", constraint[name], _POLICIES)
        keys = constraint.get("matchLabelKeys") or ()
        selector = constraint.get("labelSelector")
        if keys and selector is None:
            errors.forbidden(f"{where}.matchLabelKeys", "must not be specified when labelSelector is not set")
        else:
            held_keys = {*((selector or {}).get("matchLabels") or {})}
            held_keys |= {e.get("key") for e in (selector or {}).get("matchExpressions") or ()}
            for at, label in enumerate(keys):
                errors.invalids(f"{where}.matchLabelKeys[{at}]", label, names.qualified_name(label))
                if label in held_keys:
                    errors.invalid(
                        f"{where}.matchLabelKeys[{at}]", label, "exists in both matchLabelKeys and labelSelector"
                    )
        meta.label_selector(errors, selector, f"{where}.labelSelector")


def taints(errors: Errors, held: Sequence[Obj] | None, path: str) -> None:
    seen: set[tuple[Any, Any]] = set()
    for where, taint in items(held, path):
        key, value, effect = taint.get("key") or "", taint.get("value") or "", taint.get("effect") or ""
        errors.invalids(f"{where}.key", key, names.qualified_name(key))
        faults = names.label_value(value)
        if faults:
            errors.invalid(f"{where}.value", value, ";".join(faults))
        if not effect:
            # Told by the check of presence and again by that of known effects.
            errors.required(f"{where}.effect")
            errors.required(f"{where}.effect")
        else:
            errors.one_of(f"{where}.effect", effect, EFFECTS)
        if (key, effect) in seen:
            errors.append(_taint_twice(where, key, value, effect))
        seen.add((key, effect))


def _taint_twice(path: str, key: str, value: str, effect: str) -> Any:
    made = Errors()
    printed = f'core.Taint{{Key:"{key}", Value:"{value}", Effect:"{effect}", TimeAdded:<nil>}}'
    made.duplicate(path, Raw(f"{printed}: taints must be unique by key and effect pair"))
    return made[0]


def requirement_text(held: Mapping[str, Any]) -> str:
    return (
        f"core.NodeSelectorRequirement{{Key:{gotext.quote(held.get('key', ''))}, "
        f"Operator:{gotext.quote(held.get('operator', ''))}, Values:{gotext.strings(held.get('values'))}}}"
    )


def term_text(term: Mapping[str, Any]) -> str:
    """A `NodeSelectorTerm` as Go prints it."""

    def side(name: str) -> str:
        held = term.get(name)
        if not held:
            return "[]core.NodeSelectorRequirement(nil)"
        return "[]core.NodeSelectorRequirement{" + ", ".join(requirement_text(h) for h in held) + "}"

    return f"core.NodeSelectorTerm{{MatchExpressions:{side('matchExpressions')}, MatchFields:{side('matchFields')}}}"
