"""The commands that look: get, describe, events, logs, exec, api-resources, auth and the like."""

from __future__ import annotations

import asyncio
import sys

import orjson

from terrarium.base.clock import Clock
from terrarium.base.diagnostics import Failure, UsageFailure
from terrarium.cli.kubectl import printing, streaming
from terrarium.cli.kubectl.cluster import TABLE, Cluster, ResourceType
from terrarium.cli.kubectl.selection import (
    Args,
    namespace_of,
    objects,
    qualified_names,
    selectors,
)
from terrarium.kube.api import times
from terrarium.kube.api.kinds import Obj
from terrarium.kube.client.contract import ApiError


async def get(cluster: Cluster, args: Args) -> int:
    if args.output in ("", "wide"):
        return await _get_tables(cluster, args)
    try:
        found = await objects(cluster, args, args.words)
    except ApiError as error:
        if error.code == 404 and args.ignore_not_found:
            return 0
        raise
    items = [obj for _, obj in found]
    single = len(args.words) == 2 or (len(args.words) == 1 and "/" in args.words[0])
    value = (
        items[0]
        if single
        else {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items}
    )
    for item in items:
        item["metadata"].pop("managedFields", None)
    text = printing.in_format(args.output, value, items, qualified_names(await cluster.types()))
    print(text, end="")
    return 0


async def _get_tables(cluster: Cluster, args: Args) -> int:
    named = await cluster.named(args.words)
    printed = False
    grouped: dict[ResourceType, list[str]] = {}
    for entry in named:
        grouped.setdefault(entry.type, []).append(entry.name)
    for kind, names in grouped.items():
        table: Obj = {"columnDefinitions": [], "rows": []}
        for name in names:
            path = kind.path(namespace_of(args, kind), name)
            try:
                part = await cluster.ask("GET", path, selectors(args), accept=TABLE)
            except ApiError as error:
                if error.code == 404 and args.ignore_not_found:
                    continue
                raise
            table = {**part, "rows": [*table["rows"], *(part.get("rows") or [])]}
        if not table["rows"] and not args.watch:
            continue
        if printed:
            print()
        _print_table(table, args, kind, prefixed=len(grouped) > 1)
        printed = True
        if args.watch:
            await _watch_table(cluster, args, kind, names[0], table)
    if not printed and not args.ignore_not_found:
        spaces = any(kind.namespaced for kind in grouped) and not args.all_namespaces
        print(f"No resources found in {args.namespace} namespace." if spaces else "No resources found", file=sys.stderr)
    return 0


def _print_table(table: Obj, args: Args, kind: ResourceType, prefixed: bool = False, header: bool = True) -> None:
    labels = [name for given in args.label_columns for name in given.split(",")]
    spaces = args.all_namespaces and kind.namespaced
    if args.sort_by:
        path = args.sort_by
        table["rows"].sort(key=lambda row: str(printing._find(path.strip("{}"), row.get("object") or {})))
    titles, rows = printing.cells(
        table, wide=args.output == "wide", namespaces=spaces, labels=labels, show_labels=args.show_labels
    )
    if prefixed:
        for row in rows:
            row[1 if spaces else 0] = f"{kind.qualified}/{row[1 if spaces else 0]}"
    lines = printing.columns([titles, *rows])
    print("\n".join(lines if header and not args.no_headers else lines[1:]), flush=True)


async def _watch_table(cluster: Cluster, args: Args, kind: ResourceType, name: str, table: Obj) -> None:
    query = selectors(args)
    if name:
        query["fieldSelector"] = f"metadata.name={name}"
    query |= {"watch": "true", "resourceVersion": (table.get("metadata") or {}).get("resourceVersion", "")}
    definitions = table["columnDefinitions"]
    async for line in cluster.lines(kind.path(namespace_of(args, kind)), query, TABLE):
        event = orjson.loads(line)
        if event["type"] == "ERROR":
            raise ApiError(event["object"])
        definitions = event["object"].get("columnDefinitions") or definitions
        _print_table({**event["object"], "columnDefinitions": definitions}, args, kind, header=False)


async def describe(cluster: Cluster, args: Args) -> int:
    def age(moment: str) -> str:
        return times.age((Clock().now() - times.parse_time(moment.partition(".")[0].rstrip("Z") + "Z")).total_seconds())

    texts = []
    events = await cluster.type("events")
    for named, obj in await objects(cluster, args, args.words):
        meta = obj["metadata"]
        about = f"involvedObject.name={meta['name']},involvedObject.kind={named.type.kind}"
        space = meta.get("namespace", "") or "default"
        listed = await cluster.ask("GET", events.path(space), {"fieldSelector": about})
        texts.append(printing.description(obj, listed["items"], age))
    if not texts:
        print("No resources found", file=sys.stderr)
    print("\n\n".join(texts), end="")
    return 0


async def events(cluster: Cluster, args: Args) -> int:
    args.words, args.no_headers, args.show_labels, args.label_columns, args.sort_by = ["events"], False, False, [], ""
    args.ignore_not_found = False
    kind, _, name = getattr(args, "for").partition("/")
    if name:
        found = await cluster.type(kind)
        args.field_selector = f"involvedObject.kind={found.kind},involvedObject.name={name}"
    return await get(cluster, args)


async def logs(cluster: Cluster, args: Args) -> int:
    if args.selector:
        kind = await cluster.type("pods")
        listed = await cluster.ask("GET", kind.path(args.namespace), {"labelSelector": args.selector})
        pods = listed["items"]
    else:
        if not args.words:
            raise UsageFailure("expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.")
        pods = [await _pod_of(cluster, args, args.words[0])]
        args.container = args.container or (args.words[1] if len(args.words) > 1 else "")
    query = {
        "follow": "true" if args.follow else "",
        "previous": "true" if args.previous else "",
        "timestamps": "true" if args.timestamps else "",
        "tailLines": "" if args.tail in ("", "-1") else args.tail,
        "limitBytes": args.limit_bytes,
        "sinceSeconds": str(times.duration_nanos(args.since) // 10**9) if args.since else "",
    }
    sources = []
    for pod in pods:
        containers = [c["name"] for c in pod["spec"]["containers"]]
        wanted = containers if args.all_containers else [args.container or containers[0]]
        if len(containers) > 1 and not args.container and not args.all_containers:
            print(f'Defaulted container "{containers[0]}" out of: {", ".join(containers)}', file=sys.stderr)
        sources += [(pod["metadata"]["name"], name) for name in wanted]
    kind = await cluster.type("pods")

    async def one(pod: str, container: str) -> None:
        path = kind.path(args.namespace, pod, "log")
        prefix = f"[pod/{pod}/{container}] ".encode() if args.prefix else b""
        if args.follow:
            async for line in cluster.lines(path, {**query, "container": container}):
                sys.stdout.buffer.write(prefix + line + b"\n")
                sys.stdout.flush()
        else:
            text = await cluster.request("GET", path, {**query, "container": container}, accept="*/*")
            sys.stdout.buffer.write(b"".join(prefix + line for line in text.splitlines(keepends=True)))
            sys.stdout.flush()

    if args.follow:
        await asyncio.gather(*(one(*source) for source in sources))
    else:
        for source in sources:
            await one(*source)
    return 0


async def _pod_of(cluster: Cluster, args: Args, word: str) -> Obj:
    """A pod by name, or one of a workload's."""
    (named,) = await cluster.named([word] if "/" in word else ["pods", word])
    try:
        obj = await cluster.ask("GET", named.type.path(args.namespace, named.name))
    except ApiError as error:
        if error.code != 404:
            raise
        raise Failure(f'error from server (NotFound): {error} in namespace "{args.namespace}"') from None
    if named.type.kind == "Pod":
        return obj
    selector = (obj.get("spec") or {}).get("selector") or {}
    labels = selector.get("matchLabels", selector)
    if not labels:
        raise Failure(f"{named} selects no pods")
    pods = await cluster.type("pods")
    query = {"labelSelector": ",".join(f"{k}={v}" for k, v in labels.items())}
    found = (await cluster.ask("GET", pods.path(args.namespace), query))["items"]
    if not found:
        raise Failure(f"{named} has no pods")
    found.sort(key=lambda p: ((p.get("status") or {}).get("phase") != "Running", p["metadata"]["creationTimestamp"]))
    return dict(found[0])


async def execute(cluster: Cluster, args: Args) -> int:
    command = args.command_line or args.words[1:]
    if not args.words or not command:
        raise UsageFailure("you must specify a pod and at least one command", "kubectl exec POD -- COMMAND")
    pod = await _pod_of(cluster, args, args.words[0])
    container = args.container or pod["spec"]["containers"][0]["name"]
    kind = await cluster.type("pods")
    query = [("command", word) for word in command] + [("container", container), ("stdout", "true")]
    query += [("stdin", "true")] if args.stdin else []
    query += [("tty", "true")] if args.tty else [("stderr", "true")]
    path = kind.path(args.namespace, pod["metadata"]["name"], "exec")
    return await streaming.run(cluster.login, path, query, stdin=args.stdin, terminal=args.tty)


async def version(cluster: Cluster, args: Args) -> int:
    found = await cluster.ask("GET", "/version")
    print(f"Client Version: v1.33.0 (terrarium)\nServer Version: {found['gitVersion']}")
    return 0


async def cluster_info(cluster: Cluster, args: Args) -> int:
    print(f"Kubernetes control plane is running at {cluster.login.server}")
    return 0


async def api_resources(cluster: Cluster, args: Args) -> int:
    rows = [["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]]
    seen = set()
    for t in sorted(await cluster.types(), key=lambda t: (t.group, t.plural)):
        if (t.group, t.plural) in seen or (args.api_group and t.group != args.api_group):
            continue
        seen.add((t.group, t.plural))
        if args.namespaced and t.namespaced != (args.namespaced == "true"):
            continue
        rows.append([t.plural, ",".join(t.short), t.api_version, str(t.namespaced).lower(), t.kind])
    if args.output == "name":
        print("\n".join(f"{row[0]}.{row[2].rpartition('/')[0]}".rstrip(".") for row in rows[1:]))
    else:
        print("\n".join(printing.columns(rows)[1 if args.no_headers else 0 :]))
    return 0


async def auth(cluster: Cluster, args: Args) -> int:
    reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    if args.words[:1] == ["whoami"]:
        answer = await cluster.ask(
            "POST", reviews, body={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        )
        user = answer["status"]["userInfo"]
        rows = [
            ["ATTRIBUTE", "VALUE"],
            ["Username", user["username"]],
            ["Groups", "[" + " ".join(user.get("groups") or []) + "]"],
        ]
        print("\n".join(printing.columns(rows)))
        return 0
    if args.words[:1] != ["can-i"] or len(args.words) < 3:
        raise UsageFailure("auth has: whoami, can-i VERB TYPE[/NAME]")
    named = (await cluster.named([args.words[2]]))[0]
    asked = {
        "verb": args.words[1],
        "group": named.type.group,
        "resource": named.type.plural,
        "name": named.name,
        "namespace": namespace_of(args, named.type),
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    answer = await cluster.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body)
    allowed = bool(answer["status"].get("allowed"))
    print("yes" if allowed else "no")
    return 0 if allowed else 1


async def top(cluster: Cluster, args: Args) -> int:
    what = args.words[0].rstrip("s") if args.words else ""
    if what not in ("node", "pod", "no", "po"):
        raise UsageFailure("top has: node, pod")
    pods = what in ("pod", "po")
    space = f"namespaces/{args.namespace}/" if pods and not args.all_namespaces else ""
    found = await cluster.ask(
        "GET", f"/apis/metrics.k8s.io/v1beta1/{space}{'pods' if pods else 'nodes'}", selectors(args)
    )
    print(printing.as_yaml(found["items"]), end="")
    return 0
