"""EKS clusters: the resource, the data sources around it, and what all EKS types share."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from terrarium.language.types import STRING
from terrarium.language.values import unknown
from terrarium.providers.aws import tags
from terrarium.providers.aws.planning import Rules
from terrarium.providers.aws.rows import Amend, DataSource, Plain, Resource, limit
from terrarium.providers.aws.session import WHOLE, ApiError, AwsFailure, Cloud

GONE = ("ResourceNotFoundException",)


def pair(id: str, what: str) -> tuple[str, str]:
    """The two parts of an id such as `cluster:profile`."""
    cluster, _, name = id.partition(":")
    if not cluster or not name:
        raise ValueError(f"unexpected format for ID ({id}), expected {what}")
    return cluster, name


def waiting(doing: str, act: Any) -> None:
    try:
        act()
    except AwsFailure as failure:
        raise AwsFailure(f"{doing}: {failure}", WHOLE) from None


def found(cloud: Cloud, operation: str, result: str | None, **parameters: Any) -> dict[str, Any] | None:
    """The object a describe call answers with, None when it doesn't exist."""
    try:
        answer = cloud.call("eks", operation, **parameters)
    except ApiError as failure:
        if failure.means(*GONE) or (failure.means("ClientException") and "No cluster found" in failure.text):
            return None
        raise
    inner: dict[str, Any] | None = answer[result] if result else answer
    return inner


def retag(cloud: Cloud, obj: Plain, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    arn = obj.get("arn") or obj.get("access_entry_arn") or obj.get("association_arn")
    gone, changed = tags.removed(old, new), tags.changed(old, new)
    if gone:
        cloud.call("eks", "untag_resource", resourceArn=arn, tagKeys=list(gone))
    if changed:
        cloud.call("eks", "tag_resource", resourceArn=arn, tags=changed)


def wanted_tags(cloud: Cloud, new: Plain) -> dict[str, str] | None:
    return tags.wanted(new, cloud.settings) or None


def issues(about: Mapping[str, Any] | None) -> str:
    """The health issues of an object, one a line, as messages end with them."""
    listed = ((about or {}).get("health") or {}).get("issues") or ()
    lines = [f"{', '.join(i.get('resourceIds') or ())}: {i.get('code')}: {i.get('message')}" for i in listed]
    return "\n".join(lines)


def settled_state(
    cloud: Cloud,
    look: Callable[[], dict[str, Any] | None],
    target: str,
    pending: tuple[str, ...],
    seconds: float,
) -> None:
    """Waits for a status; the health issues of the object explain a failure. `target` "" means gone."""
    last: list[dict[str, Any] | None] = [None]

    def state() -> str:
        last[0] = look()
        return "" if last[0] is None else str(last[0].get("status", ""))

    try:
        cloud.wait(state, [target], pending, seconds)
    except AwsFailure as failure:
        why = issues(last[0])
        text = str(failure)
        if why:
            text = (
                text.removesuffix(" last error: %!s(<nil>)") + f" last error: {why}"
                if "last error" in text
                else f"{text}: {why}"
            )
        raise AwsFailure(text, failure.detail) from None


def updated(cloud: Cloud, answer: Mapping[str, Any], seconds: float, **where: Any) -> None:
    """Waits for an update object to be successful."""
    update = answer.get("update") or {}
    if not update.get("id"):
        return

    def look() -> str:
        seen = cloud.call("eks", "describe_update", updateId=update["id"], **where)["update"]
        if seen["status"] in ("Cancelled", "Failed"):
            errors = "\n".join(
                f"* {', '.join(e.get('resourceIds') or ())}: {e.get('errorCode')}: {e.get('errorMessage')}"
                for e in seen.get("errors") or ()
            )
            raise AwsFailure(f"unexpected state '{seen['status']}', wanted target 'Successful'. last error: {errors}")
        return str(seen["status"])

    cloud.wait(look, ["Successful"], ["InProgress"], seconds)


_ROLE_DELAYS = (
    "does not exist",
    "Error in role params",
    "Role could not be assumed because the trusted entity is not correct",
    "The provided role doesn't have the Amazon EKS Managed Policies associated with it",
    "IAM role's policy must include",
)


def role_not_seen(failure: ApiError) -> bool:
    """IAM changes need a moment to be seen by EKS."""
    return failure.means("InvalidParameterException") and any(text in failure.text for text in _ROLE_DELAYS)


# --- requests


def first(blocks: Any) -> Plain:
    """The only element of a block that may be given once."""
    return blocks[0] if blocks and isinstance(blocks[0], dict) else {}


def _logging(types: list[str] | None) -> dict[str, Any]:
    every = ("api", "audit", "authenticator", "controllerManager", "scheduler")
    on = [t for t in every if t in (types or ())]
    off = [t for t in every if t not in on]
    groups = [{"types": names, "enabled": enabled} for names, enabled in ((on, True), (off, False)) if names]
    return {"clusterLogging": groups}


def _without_nulls(data: Any) -> Any:
    if isinstance(data, dict):
        return {k: _without_nulls(v) for k, v in data.items() if v is not None}
    return data


def _access(new: Plain) -> dict[str, Any] | None:
    block = first(new.get("access_config"))
    if not block:
        return None
    return {
        "authenticationMode": block.get("authentication_mode"),
        "bootstrapClusterCreatorAdminPermissions": block.get("bootstrap_cluster_creator_admin_permissions"),
    }


def _compute(new: Plain) -> dict[str, Any] | None:
    block = first(new.get("compute_config"))
    if not block:
        return None
    return {
        "enabled": bool(block.get("enabled")),
        "nodePools": block.get("node_pools") or [],
        "nodeRoleArn": block.get("node_role_arn") or None,
    }


def _storage(new: Plain) -> dict[str, Any] | None:
    block = first(first(new.get("storage_config")).get("block_storage"))
    return {"blockStorage": {"enabled": bool(block.get("enabled"))}} if block else None


def _network(new: Plain, creating: bool) -> dict[str, Any] | None:
    block = first(new.get("kubernetes_network_config"))
    if not block:
        return None
    balancing = first(block.get("elastic_load_balancing"))
    made: dict[str, Any] = {}
    if balancing:
        made["elasticLoadBalancing"] = {"enabled": bool(balancing.get("enabled"))}
    if creating:
        made["ipFamily"] = block.get("ip_family") or None
        made["serviceIpv4Cidr"] = block.get("service_ipv4_cidr") or None
    return made or None


def _upgrade(new: Plain) -> dict[str, Any] | None:
    block = first(new.get("upgrade_policy"))
    return {"supportType": block["support_type"]} if block.get("support_type") else None


def _shift(new: Plain) -> dict[str, Any] | None:
    block = first(new.get("zonal_shift_config"))
    return {"enabled": bool(block.get("enabled"))} if block else None


def _remote(new: Plain) -> dict[str, Any] | None:
    block = first(new.get("remote_network_config"))
    if not block:
        return None
    nodes, pods = first(block.get("remote_node_networks")), first(block.get("remote_pod_networks"))
    return {
        "remoteNodeNetworks": [{"cidrs": nodes.get("cidrs") or []}] if nodes else [],
        "remotePodNetworks": [{"cidrs": pods.get("cidrs") or []}] if pods else [],
    }


def _encryption(new: Plain) -> list[dict[str, Any]] | None:
    block = first(new.get("encryption_config"))
    if not block:
        return None
    return [{"resources": block["resources"], "provider": {"keyArn": first(block.get("provider")).get("key_arn")}}]


def create_cluster(cloud: Cloud, new: Plain) -> None:
    vpc = first(new["vpc_config"])
    request = {
        "name": new["name"],
        "version": new.get("version") or None,
        "roleArn": new["role_arn"],
        "bootstrapSelfManagedAddons": new.get("bootstrap_self_managed_addons"),
        "accessConfig": _access(new),
        "computeConfig": _compute(new),
        "storageConfig": _storage(new),
        "kubernetesNetworkConfig": _network(new, creating=True),
        "upgradePolicy": _upgrade(new),
        "zonalShiftConfig": _shift(new),
        "remoteNetworkConfig": _remote(new),
        "encryptionConfig": _encryption(new),
        "logging": _logging(new["enabled_cluster_log_types"]) if new.get("enabled_cluster_log_types") else None,
        "resourcesVpcConfig": {
            "subnetIds": vpc["subnet_ids"],
            "securityGroupIds": vpc.get("security_group_ids") or None,
            "endpointPublicAccess": vpc.get("endpoint_public_access"),
            "endpointPrivateAccess": vpc.get("endpoint_private_access"),
            "publicAccessCidrs": vpc.get("public_access_cidrs") or None,
        },
        "tags": wanted_tags(cloud, new),
    }
    cloud.retry(lambda: cloud.call("eks", "create_cluster", **_without_nulls(request)), role_not_seen)
    new["id"] = new["name"]
    try:
        settled_state(
            cloud, lambda: _cluster(cloud, new["id"]), "ACTIVE", ("PENDING", "CREATING"), limit(new, "create", 1800)
        )
    except AwsFailure as failure:
        raise AwsFailure(f"waiting for EKS Cluster ({new['name']}) create: {failure}", WHOLE) from None


def _cluster(cloud: Cloud, name: str) -> dict[str, Any] | None:
    return found(cloud, "describe_cluster", "cluster", name=name)


def _shown(cluster: dict[str, Any]) -> Plain:
    vpc = cluster.get("resourcesVpcConfig") or {}
    network = cluster.get("kubernetesNetworkConfig")
    logs = [
        kind
        for group in (cluster.get("logging") or {}).get("clusterLogging") or ()
        if group.get("enabled")
        for kind in group["types"]
    ]
    compute, storage = cluster.get("computeConfig"), cluster.get("storageConfig")
    remote, shift = cluster.get("remoteNetworkConfig"), cluster.get("zonalShiftConfig")
    balancing = (network or {}).get("elasticLoadBalancing")
    issuer = ((cluster.get("identity") or {}).get("oidc") or {}).get("issuer")
    return {
        "id": cluster["name"],
        "arn": cluster["arn"],
        "access_config": [_access_shown(cluster["accessConfig"])] if cluster.get("accessConfig") else [],
        "certificate_authority": [{"data": cluster["certificateAuthority"].get("data", "")}]
        if cluster.get("certificateAuthority")
        else [],
        "cluster_id": cluster.get("id"),
        "compute_config": [
            {
                "enabled": bool(compute.get("enabled")),
                "node_pools": compute.get("nodePools") or [],
                "node_role_arn": compute.get("nodeRoleArn", ""),
            }
        ]
        if compute
        else [],
        "created_at": cluster.get("createdAt"),
        "enabled_cluster_log_types": logs,
        "endpoint": cluster.get("endpoint") or "",
        "identity": [{"oidc": [{"issuer": issuer}]}] if issuer else [],
        "kubernetes_network_config": [
            {
                "elastic_load_balancing": [{"enabled": bool(balancing.get("enabled"))}] if balancing else [],
                "ip_family": network.get("ipFamily", ""),
                "service_ipv4_cidr": network.get("serviceIpv4Cidr", ""),
                "service_ipv6_cidr": network.get("serviceIpv6Cidr", ""),
            }
        ]
        if network
        else [],
        "name": cluster["name"],
        "platform_version": cluster.get("platformVersion", ""),
        "remote_network_config": [
            {
                "remote_node_networks": [
                    {"cidrs": n.get("cidrs") or []} for n in remote.get("remoteNodeNetworks") or ()
                ],
                "remote_pod_networks": [{"cidrs": n.get("cidrs") or []} for n in remote.get("remotePodNetworks") or ()],
            }
        ]
        if remote and (remote.get("remoteNodeNetworks") or remote.get("remotePodNetworks"))
        else [],
        "role_arn": cluster.get("roleArn", ""),
        "status": cluster.get("status", ""),
        "storage_config": [{"block_storage": [{"enabled": bool((storage.get("blockStorage") or {}).get("enabled"))}]}]
        if storage
        else [],
        "upgrade_policy": [{"support_type": cluster["upgradePolicy"].get("supportType", "")}]
        if cluster.get("upgradePolicy")
        else [],
        "version": cluster.get("version", ""),
        "vpc_config": [
            {
                "cluster_security_group_id": vpc.get("clusterSecurityGroupId", ""),
                "endpoint_private_access": bool(vpc.get("endpointPrivateAccess")),
                "endpoint_public_access": bool(vpc.get("endpointPublicAccess")),
                "public_access_cidrs": vpc.get("publicAccessCidrs") or [],
                "security_group_ids": vpc.get("securityGroupIds") or [],
                "subnet_ids": vpc.get("subnetIds") or [],
                "vpc_id": vpc.get("vpcId", ""),
            }
        ],
        "zonal_shift_config": [{"enabled": bool(shift.get("enabled"))}] if shift else [],
        "tags": cluster.get("tags") or {},
    }


def _access_shown(config: dict[str, Any]) -> Plain:
    return {
        "authentication_mode": config.get("authenticationMode", ""),
        "bootstrap_cluster_creator_admin_permissions": True,
    }


def read_cluster(cloud: Cloud, old: Plain) -> Plain | None:
    cluster = _cluster(cloud, old["id"])
    if cluster is None:
        return None
    seen = _shown(cluster)
    configured = first(old.get("access_config"))
    for access in seen["access_config"]:
        # Given once, at creation, and never shown again; the default when nothing is configured.
        kept = configured.get("bootstrap_cluster_creator_admin_permissions", True)
        access["bootstrap_cluster_creator_admin_permissions"] = bool(kept)
    if old.get("bootstrap_self_managed_addons") is None:
        seen["bootstrap_self_managed_addons"] = True
    seen["encryption_config"] = [
        {"resources": e.get("resources") or [], "provider": [{"key_arn": (e.get("provider") or {}).get("keyArn", "")}]}
        for e in cluster.get("encryptionConfig") or ()
    ]
    return seen


def update_cluster(cloud: Cloud, old: Plain, new: Plain) -> None:
    name, seconds = new["id"], limit(new, "update", 3600)

    def change(**request: Any) -> None:
        answer = cloud.call("eks", "update_cluster_config", name=name, **_without_nulls(request))
        updated(cloud, answer, seconds, name=name)

    if new.get("version") and old.get("version") != new["version"]:
        answer = cloud.call(
            "eks", "update_cluster_version", name=name, version=new["version"], force=new.get("force_update_version")
        )
        updated(cloud, answer, seconds, name=name)
    before, after = first(old.get("access_config")), first(new.get("access_config"))
    if after and before.get("authentication_mode") != after.get("authentication_mode"):
        change(accessConfig={"authenticationMode": after["authentication_mode"]})
    automatic = (_compute(old), _storage(old), (_network(old, False) or {}).get("elasticLoadBalancing"))
    wanted = (_compute(new), _storage(new), (_network(new, False) or {}).get("elasticLoadBalancing"))
    if automatic != wanted:
        change(
            computeConfig=wanted[0] or {"enabled": False},
            storageConfig=wanted[1] or {"blockStorage": {"enabled": False}},
            kubernetesNetworkConfig={"elasticLoadBalancing": wanted[2] or {"enabled": False}},
        )
    if not _encryption(old) and _encryption(new):
        answer = cloud.call("eks", "associate_encryption_config", clusterName=name, encryptionConfig=_encryption(new))
        updated(cloud, answer, seconds, name=name)
    if sorted(old.get("enabled_cluster_log_types") or ()) != sorted(new.get("enabled_cluster_log_types") or ()):
        change(logging=_logging(new.get("enabled_cluster_log_types")))
    if _remote(old) != _remote(new):
        change(remoteNetworkConfig=_remote(new) or {"remoteNodeNetworks": [], "remotePodNetworks": []})
    if _upgrade(new) and _upgrade(old) != _upgrade(new):
        change(upgradePolicy=_upgrade(new))
    was, vpc = first(old.get("vpc_config")), first(new.get("vpc_config"))

    def differs(*names: str) -> bool:
        return any(_set(was.get(n)) != _set(vpc.get(n)) for n in names)

    if differs("endpoint_private_access", "endpoint_public_access", "public_access_cidrs"):
        change(
            resourcesVpcConfig={
                "endpointPrivateAccess": vpc.get("endpoint_private_access"),
                "endpointPublicAccess": vpc.get("endpoint_public_access"),
                "publicAccessCidrs": vpc.get("public_access_cidrs") or None,
            }
        )
    if differs("subnet_ids", "security_group_ids"):
        change(
            resourcesVpcConfig={
                "subnetIds": vpc.get("subnet_ids"),
                "securityGroupIds": vpc.get("security_group_ids") or [],
            }
        )
    if _shift(old) != _shift(new):
        change(zonalShiftConfig=_shift(new) or {"enabled": False})


def _set(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


def delete_cluster(cloud: Cloud, old: Plain) -> None:
    name = old["id"]

    def busy(failure: ApiError) -> bool:
        return failure.means("ResourceInUseException") and "in progress" in failure.text

    cloud.retry(lambda: found(cloud, "delete_cluster", None, name=name), busy, 3600)
    try:
        settled_state(cloud, lambda: _cluster(cloud, name), "", ("ACTIVE", "DELETING"), limit(old, "delete", 900))
    except AwsFailure as failure:
        raise AwsFailure(f"waiting for EKS Cluster ({name}) delete: {failure}", WHOLE) from None


def amend_cluster(amend: Amend) -> None:
    """What follows from the version, and what can't be taken back in place."""
    drawn, prior = amend.drawn, amend.prior
    if prior is None:
        return
    if "version" in drawn.changed:
        drawn.members["platform_version"] = unknown(STRING)
    had, wants = prior.data["encryption_config"], amend.config.data["encryption_config"]
    if had.is_known and wants.is_known and len(had) and not len(wants):
        drawn.replace.append(("encryption_config",))


CLUSTER = Resource(
    "EKS Cluster",
    create_cluster,
    read_cluster,
    delete_cluster,
    update_cluster,
    retag,
    rules=Rules(computed=frozenset({"access_config", "kubernetes_network_config", "upgrade_policy"})),
    amend=amend_cluster,
    named="name",
)

# --- data sources


def read_cluster_data(cloud: Cloud, given: Plain) -> Plain:
    cluster = _cluster(cloud, given["name"])
    if cluster is None:
        raise AwsFailure("couldn't find resource")
    return {**_shown(cluster), "outpost_config": []}


CLUSTER_DATA = DataSource("reading EKS Cluster", read_cluster_data)


def read_cluster_auth(cloud: Cloud, given: Plain) -> Plain:
    """A token for the cluster: a presigned GetCallerIdentity which names it in a signed header. No request is made."""
    client = cloud.client("sts")

    def name_cluster(request: Any, **_: Any) -> None:
        request.headers["x-k8s-aws-id"] = given["name"]

    client.meta.events.register_first("before-sign.sts.GetCallerIdentity", name_cluster)
    try:
        url = client.generate_presigned_url("get_caller_identity", Params={}, ExpiresIn=60, HttpMethod="GET")
    finally:
        client.meta.events.unregister("before-sign.sts.GetCallerIdentity", name_cluster)
    token = base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    return {"id": given["name"], "token": f"k8s-aws-v1.{token}"}


CLUSTER_AUTH = DataSource("reading EKS Cluster Authentication", read_cluster_auth)


def read_addon_version(cloud: Cloud, given: Plain) -> Plain:
    listed = cloud.pages(
        "eks",
        "describe_addon_versions",
        "addons",
        addonName=given["addon_name"],
        kubernetesVersion=given["kubernetes_version"],
    )
    versions = [v for addon in listed for v in addon.get("addonVersions") or ()]
    for version in versions:
        default = any(c.get("defaultVersion") for c in version.get("compatibilities") or ())
        if given.get("most_recent") or default:
            return {
                "id": given["addon_name"],
                "most_recent": bool(given.get("most_recent")),
                "version": version["addonVersion"],
            }
    raise AwsFailure("couldn't find resource")


ADDON_VERSION = DataSource("reading EKS Add-On version info", read_addon_version)
