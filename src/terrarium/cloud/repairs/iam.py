"""IAM: AWS-managed policies on demand, and service-linked roles by their real names.

moto can load all 1,582 managed policies at its start (1.2 s, 75 MB); here each is made when it is first asked for.
"""

from __future__ import annotations

from typing import Any

import orjson

from terrarium.cloud.determinism import Determinism, moto
from terrarium.cloud.hooks import AwsError
from terrarium.cloud.repairs import MotoCall
from terrarium.cloud.wire import Response

_MANAGED = "arn:aws:iam::aws:policy/"

# CreateServiceLinkedRole names a role after the service in no regular way (IAM user guide, "Services that work with IAM").
_SERVICE_LINKED = {
    "eks.amazonaws.com": "AWSServiceRoleForAmazonEKS",
    "eks-nodegroup.amazonaws.com": "AWSServiceRoleForAmazonEKSNodegroup",
    "eks-fargate.amazonaws.com": "AWSServiceRoleForAmazonEKSForFargate",
    "eks-fargate-pods.amazonaws.com": "AWSServiceRoleForAmazonEKSForFargate",
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "autoscaling.amazonaws.com": "AWSServiceRoleForAutoScaling",
    "spot.amazonaws.com": "AWSServiceRoleForEC2Spot",
    "spotfleet.amazonaws.com": "AWSServiceRoleForEC2SpotFleet",
}


class IamRepair:
    def __init__(self) -> None:
        self._documents: dict[str, bytes] | None = None
        self._determinism: Determinism | None = None

    def install(self, determinism: Determinism) -> None:
        models = moto("iam.models")
        create = models.IAMBackend.create_service_linked_role

        def create_service_linked_role(backend: Any, service_name: str, description: str, suffix: str) -> Any:
            name = _SERVICE_LINKED.get(service_name)
            role_name = None if name is None else (f"{name}_{suffix}" if suffix else name)
            if role_name is not None and role_name in {r.name for r in backend.roles.values()}:
                text = f"Service role name {role_name} has been taken in this account, please try a different suffix."
                raise AwsError("InvalidInput", text, 400)
            role = create(backend, service_name, description, suffix)
            if role_name is not None:
                role.name = role_name
            return role

        models.IAMBackend.create_service_linked_role = create_service_linked_role

    def begin(self, determinism: Determinism) -> None:
        self._determinism = determinism

    def before(self, call: MotoCall) -> None:
        arn = call.parameters.get("PolicyArn", "")
        if arn.startswith(_MANAGED):
            self._ensure(call.account, [arn.rsplit("/", 1)[1]])
        elif call.operation == "ListPolicies" and call.parameters.get("Scope", "All") in ("All", "AWS"):
            self._ensure(call.account, list(self._load()))
        elif call.operation in ("CreateRole", "UpdateAssumeRolePolicy"):
            name = "PolicyDocument" if call.operation == "UpdateAssumeRolePolicy" else "AssumeRolePolicyDocument"
            _check_document(call.parameters.get(name, ""))

    def after(self, call: MotoCall, response: Response) -> Response:
        return response

    def _load(self) -> dict[str, bytes]:
        if self._documents is None:
            policies = orjson.loads(moto("iam.aws_managed_policies").aws_managed_policies_data)
            self._documents = {name: orjson.dumps(policy) for name, policy in policies.items()}
        return self._documents

    def _ensure(self, account: str, names: list[str]) -> None:
        models = moto("iam.models")
        backend = models.iam_backends[account]["aws"]
        assert self._determinism is not None
        documents = self._load()
        known = {p.name for p in backend.managed_policies.values() if p.arn.startswith(_MANAGED)}
        for name in names:
            if name in documents and name not in known:
                with self._determinism.apart(account, f"policy/{name}"):
                    policy = models.AWSManagedPolicy.from_data(name, account, "aws", orjson.loads(documents[name]))
                backend.managed_policies[policy.arn] = policy


def _check_document(text: str) -> None:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise AwsError("MalformedPolicyDocument", "This policy contains invalid Json", 400) from None
    statements = document.get("Statement") if isinstance(document, dict) else None
    if not isinstance(statements, list | dict):
        raise AwsError("MalformedPolicyDocument", "Syntax errors in policy.", 400)
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, dict) or "Effect" not in statement or "Action" not in statement:
            raise AwsError("MalformedPolicyDocument", "Syntax errors in policy.", 400)
        if "Principal" not in statement and "NotPrincipal" not in statement:
            raise AwsError("MalformedPolicyDocument", "AssumeRole policy must contain a Principal", 400)
