"""The chapters of the workshop, in order. What each one shows is the workshop's table; what it must see stands here."""

from __future__ import annotations

import json
import re

from terrarium.workshop.checks import exits, has, holds, is_true, matches, prints_nothing, says, silent_on
from terrarium.workshop.player import Chapter, Lab

FARGATE_NODE = r"^fargate-ip-10-10-\d+-\d+\.ap-northeast-2\.compute\.internal$"


def ec2(lab: Lab) -> None:
    lab.enter("ec2", "ec2-own")
    outcome = lab.result("ec2")
    try:
        outcome.set_result(_ec2_life(lab, "terrarium tf"))
    finally:
        if not outcome.done():
            outcome.set_result({})


def ec2_real(lab: Lab) -> None:
    lab.enter("ec2", "ec2-real")
    outcome = lab.result("ec2")
    real = _ec2_life(lab, "terraform")
    own = outcome.result()
    other = [k for k in real if own.get(k) != real[k]]
    lab.run(
        "true",
        is_true(
            not other, "both programs came to the same outcome", _differences(real, other), _differences(own, other)
        ),
    )


def _differences(outcome: dict[str, object], keys: list[str]) -> str:
    return json.dumps({k: outcome.get(k) for k in keys})


def _ec2_life(lab: Lab, terraform: str) -> dict[str, object]:
    """Creates, tags and destroys the instance; gives what another program must come to as well."""
    lab.run(f"{terraform} init", exits(0), says("Terraform has been successfully initialized!", "initialised"), show=2)
    lab.run(
        f"{terraform} plan -out=tfplan",
        says('resource "aws_instance" "example"'),
        says("Plan: 1 to add, 0 to change, 0 to destroy."),
        show=r"# aws_instance|\+ (ami|instance_type) |Plan:",
    )
    lab.run(
        f"{terraform} apply tfplan",
        says("Apply complete! Resources: 1 added, 0 changed, 0 destroyed."),
        show=r"aws_instance|Apply complete",
    )
    instance = lab.ask(f"{terraform} output -raw instance_id").stdout.strip()
    lab.run(
        f"aws ec2 describe-instances --instance-ids {instance} --output table --query "
        "'Reservations[].Instances[].{Id:InstanceId,Type:InstanceType,State:State.Name,Zone:Placement.AvailabilityZone}'",
        says(instance, "the instance is there"),
        says("t2.micro"),
        says("running"),
        show=12,
    )
    tagged = "-var 'tags={Name=\"study\"}'"
    lab.run(
        f"{terraform} plan -out=tfplan {tagged}",
        says("will be updated in-place"),
        says("Plan: 0 to add, 1 to change, 0 to destroy."),
        show=r"will be|~|\+ .*Name|Plan:",
    )
    lab.run(
        f"{terraform} apply tfplan",
        says("Apply complete! Resources: 0 added, 1 changed, 0 destroyed."),
        show="Apply complete",
    )
    described = lab.run(
        f"aws ec2 describe-instances --instance-ids {instance} --query 'Reservations[0].Instances[0]'",
        has("InstanceId", instance, "the instance id is unchanged"),
        holds("Tags", lambda tags: {"Key": "Name", "Value": "study"} in tags, "the tag Name=study is there"),
        show=0,
    )
    state = lab.ask(f"{terraform} state pull").json or {}
    instances = (state.get("resources") or [{}])[0].get("instances") or [{}]
    values = instances[0].get("attributes") or {}
    lab.run(
        f"{terraform} destroy -auto-approve {tagged}",
        says("Destroy complete! Resources: 1 destroyed."),
        show="Destroy complete",
    )
    lab.run(
        f"aws ec2 describe-instances --instance-ids {instance} --query 'Reservations[].Instances[].State.Name'",
        has("", ["terminated"], "the instance runs no more"),
        show=0,
    )
    seen = described.json or {}
    outcome: dict[str, object] = {
        k: values.get(k)
        for k in (
            "ami",
            "instance_type",
            "tags",
            "tags_all",
            "availability_zone",
            "tenancy",
            "ebs_optimized",
            "monitoring",
        )
    }
    return outcome | {"type in EC2": seen.get("InstanceType"), "image in EC2": seen.get("ImageId")}


def hcl(lab: Lab) -> None:
    lab.enter("hcl")
    lab.run("terrarium tf init", exits(0), show=0)
    lab.run(
        "terrarium tf apply -auto-approve",
        says("Apply complete! Resources: 0 added, 0 changed, 0 destroyed."),
        show=r"^(greets|numbers|size|listed|roundabout)| {2}[\d\"]",
    )
    ours = lab.run(
        "terrarium tf output -json",
        has("greets.value", "HELLO, TERRARIUM!"),
        has("numbers.value.0", 123, "0123 is the number 123"),
        has("numbers.value.1", 10_000_000_000, "1e10 is 10000000000"),
        has("poem.value", "Under glass\n  a cloud\ngrows.\n", "the heredoc lost its indentation"),
        has("subnets.value.b", "10.10.1.0/24"),
        has("size.value", "large"),
        has("listed.value", "A, C"),
        show=0,
    )
    lab.run(
        "cp untidy.tf.txt untidy.tf && terrarium tf fmt -diff",
        says("+  first      = 1"),
        says("+  third      = [1, 2, 3]"),
        show=12,
    )
    lab.run("terrarium tf fmt -check", exits(0))
    lab.run(
        "echo 'format(\"%s has %d letters\", local.name, length(local.name))' | terrarium tf console",
        says('"terrarium has 9 letters"'),
    )
    lab.run("echo '{ for z in local.zones : z => upper(z) }' | terrarium tf console", says('"c" = "C"'), show=6)
    if lab.clients.terraform is not None:
        lab.enter("hcl", "hcl-real")
        lab.ask("terraform init && terraform apply -auto-approve")
        real = lab.ask("terraform output -json").json
        lab.run(
            "terraform output -json",
            is_true(real == ours.json, "the real terraform gives the same outputs", real, ours.json),
            show=0,
        )
    else:
        lab.note("terraform is not on this machine: the values are compared with recorded ones only.")


def fargate(lab: Lab) -> None:
    lab.enter("fargate")
    lab.run("terrarium tf init", says("Terraform has been successfully initialized!", "initialised"), show=r"^- ")
    lab.run("terrarium tf validate", says("Success! The configuration is valid."))
    lab.run("terrarium tf plan -out=tfplan", matches(r"Plan: \d+ to add, 0 to change, 0 to destroy\."), show=r"Plan:")
    lab.run(
        "terrarium tf apply tfplan",
        matches(r"Apply complete! Resources: \d+ added, 0 changed, 0 destroyed\."),
        show=r"module.eks.*complete|Apply complete|configure_kubectl",
    )
    lab.applied.add("fargate")
    lab.run("terrarium tf plan -detailed-exitcode", exits(0), says("No changes."), show="No changes")
    lab.run(
        "terrarium tf state list",
        says("module.eks.aws_eks_cluster.this"),
        says('module.eks.aws_eks_fargate_profile.this["study_wildcard"]'),
        says('module.vpc.aws_subnet.private["ap-northeast-2a"]'),
        show=10,
    )
    lab.run(
        "terrarium tf state show 'module.eks.aws_eks_cluster.this'",
        matches(r'name +=\s"study"'),
        matches(r'status +=\s"ACTIVE"'),
        matches(r'endpoint +=\s"https://'),
        show=r"^    (arn|endpoint|name|status|version) ",
    )
    lab.run('eval "$(terrarium tf output -raw configure_kubectl)"', matches("(Added new|Updated) context"))
    lab.run("kubectl config rename-context study glass && kubectl config current-context", says("glass"))
    lab.run("kubectl get nodes -o wide", says("fargate-ip-10-10-"), says("Ready"), within=20.0, show=6)
    lab.note("From here on with a client certificate: with EKS tokens each kubectl waits for the aws program.")
    lab.run(f"terrarium kubeconfig study -o {lab.root}/study.kubeconfig", says("Wrote "))
    lab.use(KUBECONFIG=f"{lab.root}/study.kubeconfig")
    lab.run(
        "kubectl wait deployment/coredns -n kube-system --for=condition=Available --timeout=60s",
        says("condition met"),
    )
    lab.run(
        "kubectl get nodes -o json",
        holds(
            "items.*.metadata.name",
            lambda names: bool(names) and all(_matches(FARGATE_NODE, n) for n in names),
            "every node is fargate-ip-10-10-…",
        ),
        show=0,
    )
    lab.run(
        "kubectl get pods -n kube-system -l k8s-app=kube-dns -o json",
        holds(
            "items.*.spec.schedulerName",
            lambda names: set(names) == {"fargate-scheduler"},
            "CoreDNS has schedulerName fargate-scheduler",
        ),
        holds("items.*.status.phase", lambda phases: set(phases) == {"Running"}, "CoreDNS runs"),
        show=0,
    )
    lab.run(
        "aws ec2 describe-instances --filters Name=vpc-id,Values=$(terrarium tf output -raw vpc_id) "
        "--query 'Reservations[]'",
        has("", [], "no EC2 instance exists in its VPC"),
        show=0,
    )


def _matches(pattern: str, text: str) -> bool:
    return re.match(pattern, text) is not None


def netshoot(lab: Lab) -> None:
    lab.enter("manifests")
    lab.run("kubectl create namespace study-aews", says("namespace/study-aews created"))
    lab.run("kubectl apply -f netshoot.yaml", says("deployment.apps/netshoot-pod created"))
    lab.run(
        "kubectl rollout status deployment/netshoot-pod -n study-aews --timeout=60s", says("successfully rolled out")
    )
    lab.run("kubectl get pods -n study-aews -o wide", says("Running"), says("fargate-ip-10-10-"), show=4)
    lab.run(
        "kubectl get pods -n study-aews -l app=netshoot-pod -o json",
        has("items.0.metadata.annotations.CapacityProvisioned", "0.5vCPU 1GB"),
        holds(
            "items.0.metadata.annotations.Logging",
            lambda v: v.startswith("Logging"),
            "the annotation Logging says whether logs are routed",
        ),
        has("items.0.metadata.labels.eks\\.amazonaws\\.com/fargate-profile", "study_wildcard"),
        has("items.0.spec.priority", 2_000_001_000),
        has("items.0.spec.schedulerName", "fargate-scheduler"),
        show=0,
    )
    lab.run(
        "kubectl get deployment netshoot-pod -n study-aews -o json",
        has("spec.template.spec.schedulerName", "default-scheduler", "the Deployment's template is untouched"),
        has("spec.template.metadata.annotations", None, "its template has no annotation"),
        show=0,
    )
    lab.run("kubectl logs -n study-aews deployment/netshoot-pod", says("alive on netshoot-pod"), within=10.0, show=2)
    lab.run("kubectl exec -n study-aews deployment/netshoot-pod -- hostname", says("netshoot-pod"))


def takeover(lab: Lab) -> None:
    lab.enter("manifests")
    lab.run("kubectl apply -f takeover.yaml", says("pod/root-shell created"))
    refusal = (
        "Pod not supported on Fargate: fields not supported: HostNetwork, HostPID, HostIPC, "
        "invalid SecurityContext fields: Privileged, volumes not supported: noderoot is of an unsupported volume Type"
    )
    lab.run(
        "kubectl get events -n study-aews --field-selector involvedObject.name=root-shell -o json",
        holds("items.*.message", lambda texts: refusal in texts, "the event names each forbidden field"),
        within=10.0,
        show=0,
    )
    lab.run(
        "kubectl describe pod root-shell -n study-aews",
        says("Pending"),
        says("Pod not supported on Fargate"),
        show=r"^(Name|Status|Node):|FailedScheduling",
    )
    lab.run("kubectl get pod root-shell -n study-aews", matches(r"root-shell +0/1 +Pending"))
    lab.run("kubectl delete pod root-shell -n study-aews", says("deleted"))


def jobs(lab: Lab) -> None:
    lab.enter("manifests")
    lab.run("kubectl apply -f jobs.yaml", says("job.batch/busybox1 created"), says("job.batch/busybox2 created"))
    lab.run(
        "kubectl get pods -n study-aews -l job-name -o json",
        holds("items.*.status.phase", lambda phases: phases == ["Running", "Running"], "both pods run"),
        within=15.0,
        show=0,
    )
    lab.run("terrarium clock advance 15s", exits(0), show=1)
    lab.run(
        "kubectl wait -n study-aews --for=condition=Complete job/busybox1 job/busybox2 --timeout=30s",
        says("busybox1 condition met"),
        says("busybox2 condition met"),
    )
    lab.run("kubectl logs -n study-aews job/busybox1", says("done"))
    lab.run("kubectl get jobs -n study-aews", matches(r"busybox1 .*1/1"), matches(r"busybox2 .*1/1"))
    lab.run("terrarium clock advance 60s", exits(0), show=1)
    lab.run(
        "kubectl get jobs -n study-aews",
        silent_on("busybox1", "the Job with ttlSecondsAfterFinished: 60 is gone"),
        says("busybox2", "the other stays"),
        within=10.0,
    )
    lab.run("kubectl delete job busybox2 -n study-aews", says("deleted"))


def scheduling(lab: Lab) -> None:
    lab.enter("fargate")
    lab.enter("scheduling")
    lab.run("terrarium tf init", exits(0), show=0)
    lab.run(
        "terrarium tf apply -auto-approve",
        matches(r"Apply complete! Resources: \d+ added"),
        show=r"node_group.*complete|Apply complete",
    )
    lab.applied.add("scheduling")
    lab.run("terrarium kubeconfig nodes -o nodes.kubeconfig", says("Wrote nodes.kubeconfig"))
    lab.use(KUBECONFIG=str(lab.here / "nodes.kubeconfig"))
    nodes = lab.run(
        "kubectl get nodes -o json",
        holds("items", lambda items: len(items) == 6, "six nodes"),
        holds(
            "items.*.metadata.labels.topology\\.kubernetes\\.io/zone",
            lambda zones: {z: zones.count(z) for z in zones} == {f"ap-northeast-2{z}": 2 for z in "abc"},
            "two in each of three zones",
        ),
        within=20.0,
        show=0,
    )
    lab.run("kubectl get nodes -L topology.kubernetes.io/zone", says("Ready"), show=7)
    names = sorted(item["metadata"]["name"] for item in nodes.json["items"])

    lab.run("kubectl apply -f gates.yaml", says("pod/gated created"))
    lab.run("kubectl get pod gated", says("SchedulingGated"), within=5.0)
    lab.run("terrarium explain pod gated", says("example.com/quota", "explain names the gate"), show=4)
    lab.run(
        'kubectl patch pod gated --type=json -p \'[{"op": "remove", "path": "/spec/schedulingGates"}]\'',
        says("patched"),
    )
    lab.run(
        "kubectl wait pod/gated --for=condition=Ready --timeout=30s",
        says("condition met", "once the gate is open, the pod runs"),
    )

    pinned = names[3]
    lab.run(
        f'kubectl run pinned --image=registry.k8s.io/pause:3.10 --overrides=\'{{"spec": {{"nodeName": "{pinned}"}}}}\'',
        says("pod/pinned created"),
    )
    lab.run("kubectl get pod pinned -o json", has("spec.nodeName", pinned, "nodeName goes past the scheduler"), show=0)

    lab.run("kubectl apply -f selector.yaml", says("pod/on-ssd created"))
    lab.run(
        "kubectl get events --field-selector involvedObject.name=on-ssd,reason=FailedScheduling -o json",
        holds(
            "items.*.message",
            lambda texts: any(
                t.startswith("0/6 nodes are available: 6 node(s) didn't match Pod's node affinity/selector.")
                for t in texts
            ),
            "no node has the label, and the event says so",
        ),
        within=10.0,
        show=0,
    )
    lab.run("terrarium explain pod on-ssd", says("disk=ssd", "explain names the selector"), show=8)
    lab.run(f"kubectl label node {names[1]} disk=ssd", says("labeled"))
    lab.run("kubectl wait pod/on-ssd --for=condition=Ready --timeout=30s", says("condition met"))
    lab.run("kubectl get pod on-ssd -o json", has("spec.nodeName", names[1], "it lands on the labelled node"), show=0)

    lab.run(
        f"kubectl label node {names[5]} dedicated=batch && kubectl taint node {names[5]} dedicated=batch:NoSchedule",
        says("tainted"),
    )
    lab.run("kubectl apply -f tolerates.yaml", says("pod/tolerant created"), says("pod/intolerant created"))
    lab.run("kubectl wait pod/tolerant --for=condition=Ready --timeout=30s", says("condition met"))
    lab.run(
        "kubectl get pod tolerant -o json",
        has("spec.nodeName", names[5], "the tolerant pod is on the tainted node"),
        show=0,
    )
    lab.run(
        "kubectl describe pod intolerant",
        says("1 node(s) had untolerated taint {dedicated: batch}", "the other one hears about the taint"),
        within=10.0,
        show="FailedScheduling",
    )

    lab.run("kubectl apply -f spread.yaml", says("deployment.apps/spread created"))
    lab.run(
        "kubectl get pods -l app=spread -o json",
        holds(
            "items.*.status.phase", lambda phases: phases.count("Running") == 5, "five of six run: one node is tainted"
        ),
        holds("items.*.spec.nodeName", lambda n: len({x for x in n if x}) == 5, "never two on one node"),
        within=15.0,
        show=0,
    )
    lab.run(f"kubectl taint node {names[5]} dedicated-", says("untainted"))
    lab.run(
        "kubectl rollout status deployment/spread --timeout=60s",
        says("successfully rolled out", "without the taint the sixth runs as well"),
    )


def destroy(lab: Lab) -> None:
    lab.use(KUBECONFIG=str(lab.root / "home/.kube/config"))
    for name in ("scheduling", "fargate"):
        if name in lab.applied:
            lab.enter(name)
            lab.run(
                "terrarium tf destroy -auto-approve",
                matches(r"Destroy complete! Resources: \d+ destroyed\."),
                show="Destroy complete",
            )
    lab.run("aws eks list-clusters", has("clusters", [], "no cluster is left"), show=0)
    lab.run(
        "aws ec2 describe-vpcs --query 'Vpcs[?IsDefault==`false`]'",
        has("", [], "no VPC but the default one"),
        show=0,
    )
    for name in ("scheduling", "fargate"):
        lab.here = lab.root / name
        if lab.here.exists():
            lab.run("terrarium tf state list", exits(0), prints_nothing("the state is empty"), show=0)
    lab.here = lab.root
    lab.run(
        "for c in $(kubectl config get-contexts -o name); do kubectl config delete-context $c; done; "
        "for c in $(kubectl config get-clusters | tail -n +2); do kubectl config delete-cluster $c; done; "
        "for u in $(kubectl config get-users | tail -n +2); do kubectl config delete-user $u; done",
        exits(0),
        show=0,
    )
    lab.run(
        "kubectl config get-contexts -o name",
        exits(0),
        prints_nothing("the kubeconfig knows no cluster any more"),
        show=0,
    )


CHAPTERS: dict[str, Chapter] = {
    chapter.name: chapter
    for chapter in (
        Chapter("ec2", "One instance: plan, apply, tag, destroy", ec2),
        Chapter(
            "ec2-real",
            "The same with the real terraform and aws provider",
            ec2_real,
            ("ec2",),
            clients=("terraform", "provider_mirror"),
            beside=True,
        ),
        Chapter("hcl", "The language, from comments to console", hcl),
        Chapter("fargate", "VPC, EKS and Fargate profiles through modules", fargate),
        Chapter("netshoot", "A pod gets a Fargate size", netshoot, ("fargate",)),
        Chapter("takeover", "A pod that wants its node is refused", takeover, ("fargate", "netshoot")),
        Chapter("jobs", "Two Jobs, one of which clears itself away", jobs, ("fargate", "netshoot")),
        Chapter("scheduling", "Where the scheduler puts pods, and why", scheduling),
        Chapter("destroy", "Everything goes", destroy),
    )
}
