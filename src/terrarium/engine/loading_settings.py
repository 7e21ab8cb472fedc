"""Reads `terraform` blocks (versions, required providers, backends) and `provider` blocks."""

from __future__ import annotations

from terrarium.base.diagnostics import error, warning
from terrarium.engine import static
from terrarium.engine.addresses import default_source
from terrarium.engine.configuration import Backend, CoreVersion, ProviderBlock, ProviderRef, RequiredProvider
from terrarium.engine.loading_reader import BAD_CONSTRAINT, NAME_DETAIL, Loader, attributes, blocks, merged
from terrarium.engine.provider_names import local_name_problem, part_problem, read_source
from terrarium.engine.versions import is_constraint
from terrarium.language import nodes
from terrarium.language.bodies import BodySchema
from terrarium.language.types import STRING, Primitive

_TERRAFORM = BodySchema(
    attributes=attributes("required_version", "experiments", "language"),
    blocks=blocks("required_providers", "cloud", backend=("type",), provider_meta=("provider",)),
)

_PROVIDER = BodySchema(
    attributes=attributes("alias", "version", "count", "depends_on", "for_each", "source"),
    blocks=blocks("_", "lifecycle", "locals"),
)


def read_terraform(loader: Loader, block: nodes.Block) -> None:
    found = loader.content(block.body, _TERRAFORM)
    at = found.attributes
    if "required_version" in at:
        constraint = loader.version_constraint(at["required_version"])
        if constraint is not None:
            loader.module.core_versions.append(CoreVersion(constraint, at["required_version"].range))
    if "experiments" in at:
        loader.say(
            error(
                "Module uses experimental features",
                "Experimental features are intended only for gathering early feedback on new language designs, and "
                "so are available only in alpha releases of Terraform.",
                at["experiments"].name_range,
            )
        )
    for inner in found.blocks:
        match inner.type:
            case "required_providers":
                _required_providers(loader, inner)
            case "backend":
                _backend(loader, inner)
            case "cloud":
                _cloud(loader, inner)


def read_misplaced_requirements(loader: Loader, block: nodes.Block) -> None:
    loader.say(
        error(
            "Invalid required_providers block",
            'A "required_providers" block must be nested inside a "terraform" block.',
            block.type_range,
        )
    )


def _required_providers(loader: Loader, block: nodes.Block) -> None:
    if loader.module.required_range is not None and not loader.override:
        loader.say(
            error(
                "Duplicate required providers configuration",
                "A module may have only one required providers configuration. The required providers were previously "
                f"configured at {loader.module.required_range}.",
                block.header_range,
            )
        )
        return
    loader.module.required_range = block.header_range
    for name, attribute in loader.just_attributes(block.body).items():
        required = _required_provider(loader, name, attribute)
        if required is not None:
            loader.module.required[name] = required


def _required_provider(loader: Loader, name: str, attribute: nodes.Attribute) -> RequiredProvider | None:
    expression = attribute.expression
    value, _ = static.constant(expression)
    if value is not None and isinstance(value.type, Primitive):
        constraint = loader.version_constraint(attribute)
        if problem := part_problem(name):
            loader.say(error("Invalid provider name", problem, expression.range))
            return None
        return RequiredProvider(
            name, default_source(name), constraint or "", range=expression.range, version_range=expression.range
        )
    if (wrong := local_name_problem(name)) is not None:
        loader.say(wrong.at(expression.range))
        return None
    if not isinstance(expression, nodes.ObjectExpression):
        loader.say(
            error(
                "Invalid required_providers object",
                "required_providers entries must be strings or objects.",
                expression.range,
            )
        )
        return None
    source, version, version_range = default_source(name), "", None
    aliases: list[ProviderRef] = []
    for key, written in expression.items:
        match static.constant_string(key) or static.keyword(key)[0]:
            case "version":
                version_range = written.range
                version = _stated(loader, written, "Invalid version constraint", "Version") or ""
                if version and not is_constraint(version):
                    loader.say(error("Invalid version constraint", BAD_CONSTRAINT, written.range))
                    version = ""
            case "source":
                given = _stated(loader, written, "Invalid source", "Source")
                if given is not None:
                    found, problem_ = read_source(given)
                    source = found or source
                    if problem_ is not None:
                        loader.say(problem_.at(written.range))
            case "configuration_aliases":
                aliases = _aliases(loader, name, written)
            case _:
                loader.say(
                    error(
                        "Invalid required_providers object",
                        'required_providers objects can only contain "version", "source" and "configuration_aliases" '
                        'attributes. To configure a provider, use a "provider" block.',
                        key.range,
                    )
                )
    return RequiredProvider(name, source, version, tuple(aliases), expression.range, version_range)


def _stated(loader: Loader, expression: nodes.Expression, summary: str, what: str) -> str | None:
    """A string written out."""
    value, _ = static.constant(expression)
    if value is not None and isinstance(value.data, str) and value.type == STRING:
        return value.data
    loader.say(error(summary, f"{what} must be specified as a string.", expression.range))
    return None


def _aliases(loader: Loader, name: str, expression: nodes.Expression) -> list[ProviderRef]:
    members, diagnostics = static.items(expression)
    loader.extend(diagnostics)
    found: list[ProviderRef] = []

    def refuse(detail: str) -> None:
        loader.say(error("Invalid configuration_aliases value", detail, expression.range))

    for member in members:
        reference, diagnostics = static.traversal(member, quoted=False)
        loader.extend(diagnostics)
        if reference is None:
            continue
        names = [s.name for s in reference.steps if isinstance(s, nodes.Attr)]
        if len(reference.steps) > 1 or len(names) != len(reference.steps):
            refuse(
                "Configuration aliases can only contain references to local provider configuration names in the format of "
                "provider.alias"
            )
        elif reference.root != name:
            refuse(
                f'Configuration aliases must be prefixed with the provider name. Expected "{name}", but found '
                f'"{reference.root}".'
            )
        else:
            found.append(ProviderRef(name, names[0] if names else "", member.range))
    return found


def _backend(loader: Loader, block: nodes.Block) -> None:
    backend = Backend(block.labels[0].text, block.body, block.header_range, type_range=block.label_range(0))
    if loader.override:
        loader.module.backend, loader.module.cloud = backend, None
        return
    if loader.module.backend is not None:
        loader.say(
            error(
                "Duplicate backend configuration",
                f"A module may have only one backend configuration. The backend was previously configured at {loader.module.backend.range}.",
                block.header_range,
            )
        )
        return
    loader.module.backend = backend


def _cloud(loader: Loader, block: nodes.Block) -> None:
    cloud = Backend("cloud", block.body, block.header_range, cloud=True)
    if loader.override:
        loader.module.cloud, loader.module.backend = cloud, None
        return
    if loader.module.cloud is not None:
        loader.say(
            error(
                "Duplicate HCP Terraform configurations",
                f"A module may have only one 'cloud' block configuring HCP Terraform or Terraform Enterprise. The 'cloud' block was previously configured at {loader.module.cloud.range}.",
                block.header_range,
            )
        )
        return
    loader.module.cloud = cloud


def read_provider(loader: Loader, block: nodes.Block) -> None:
    name = block.labels[0].text
    found = loader.content(block.body, _PROVIDER, partial=True)
    if (problem := local_name_problem(name)) is not None:
        loader.say(problem.at(block.header_range))
        return
    at = found.attributes
    provider = ProviderBlock(name, "", loader.escaped(found, "provider-specific", "provider"), block.header_range)
    if "alias" in at:
        provider.alias = loader.text(at["alias"].expression) or ""
        if not static.valid_name(provider.alias):
            loader.say(error("Invalid provider configuration alias", f"An alias must be a valid name. {NAME_DETAIL}"))
    if "version" in at:
        loader.say(
            warning(
                "Version constraints inside provider configuration blocks are deprecated",
                "Terraform 0.13 and earlier allowed provider version constraints inside the provider configuration "
                "block, but that is now deprecated and will be removed in a future version of Terraform. To silence "
                "this warning, move the provider version constraint into the required_providers block.",
                at["version"].expression.range,
            )
        )
        provider.version = loader.version_constraint(at["version"])
        provider.version_range = at["version"].expression.range
    for reserved in ("count", "depends_on", "for_each", "source"):
        if reserved in at:
            loader.say(
                error(
                    "Reserved argument name in provider block",
                    f'The provider argument name "{reserved}" is reserved for use by Terraform in a future version.',
                    at[reserved].name_range,
                )
            )
    loader.reserved([b for b in found.blocks if b.type != "_"], "provider")
    key = (name, provider.alias)
    known = loader.module.providers.get(key)
    if loader.override:
        if known is None:
            if provider.alias:
                loader.say(
                    error(
                        "Missing base provider configuration for override",
                        f'There is no {name} provider configuration with the alias "{provider.alias}". An override file can only override an aliased provider configuration that was already defined in a primary configuration file.',
                        block.header_range,
                    )
                )
            else:
                loader.module.providers[key] = provider
            return
        known.version = provider.version or known.version
        known.body = merged(known.body, provider.body)
    elif known is not None:
        if provider.alias:
            detail = f'A provider configuration for "{name}" with alias "{provider.alias}" was already given at {{}}. Each configuration for the same provider must have a distinct alias.'
        else:
            detail = f'A default (non-aliased) provider configuration for "{name}" was already given at {{}}. If multiple configurations are required, set the "alias" argument for alternative configurations.'
        loader.duplicate("provider configuration", detail, known.range, block.header_range)
    else:
        loader.module.providers[key] = provider
