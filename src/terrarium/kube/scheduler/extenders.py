"""Scheduler extenders: foreign programs that are asked over HTTP to filter, to score, to agree to victims, to bind.

The wire format is that of `k8s.io/kube-scheduler/extender/v1`: JSON with Go's field names, one POST for each verb at
`urlPrefix/verb`. An extender which is `ignorable` may be away; any other failure ends the pod's cycle with an error.
(kube-scheduler extender.go, schedule_one.go `findNodesThatPassExtenders`)
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from terrarium.kube.api.kinds import Obj
from terrarium.kube.scheduler.configuration_decoding import parse_go_duration
from terrarium.kube.scheduler.cycle import Decision, Sampling, decide
from terrarium.kube.scheduler.framework import Code, Cycle, CycleError, Framework, Rejection, fit_message
from terrarium.kube.scheduler.preemption import Candidate, Preemption, best, preempt
from terrarium.kube.scheduler.snapshot import Snapshot
from terrarium.kube.scheduler.views import Pod

log = logging.getLogger(__name__)

EXTENDER = "Extender"
"""Under this name a pod remembers that an extender rejected nodes: every event may help it."""
_PRIORITY_SCALE = 10
"""Extenders score 0…10, plugins 0…100."""


@dataclass(frozen=True, slots=True)
class Extender:
    """One extender of a KubeSchedulerConfiguration."""

    url: str
    filter_verb: str = ""
    prioritize_verb: str = ""
    preempt_verb: str = ""
    bind_verb: str = ""
    weight: int = 1
    seconds: float = 5.0
    knows_nodes: bool = False
    """nodeCacheCapable: it is sent names in place of nodes."""
    resources: frozenset[str] = frozenset()
    ignorable: bool = False
    tls: ssl.SSLContext | None = None

    def cares_for(self, pod: Pod) -> bool:
        """Whether the pod asks for one of the resources it manages; without such a list, it cares for all."""
        if not self.resources:
            return True
        spec = pod.obj.get("spec") or {}
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
            written = container.get("resources") or {}
            if self.resources & {*(written.get("requests") or ()), *(written.get("limits") or ())}:
                return True
        return False

    async def ask(self, verb: str, question: Obj) -> Any:
        """One POST; `CycleError` when there is no answer that can be read."""
        url = f"{self.url.rstrip('/')}/{verb}"
        try:
            async with asyncio.timeout(self.seconds):
                status, body = await _post(url, json.dumps(question).encode(), self.tls)
        except TimeoutError:
            raise CycleError(f'Post "{url}": context deadline exceeded') from None
        except (OSError, ValueError, asyncio.IncompleteReadError) as failure:
            raise CycleError(f'Post "{url}": {failure}') from None
        if status != 200:
            raise CycleError(f"failed {verb} with extender at URL {self.url}, code {status}")
        try:
            return json.loads(body)
        except ValueError as failure:
            raise CycleError(f"the answer of extender {url} is no JSON: {failure}") from None


async def _post(url: str, body: bytes, tls: ssl.SSLContext | None) -> tuple[int, bytes]:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    context = (tls or ssl.create_default_context()) if secure else None
    reader, writer = await asyncio.open_connection(
        parts.hostname or "", parts.port or (443 if secure else 80), ssl=context, limit=64 * 1024 * 1024
    )
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        head = (
            f"POST {target or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        status = int((await reader.readline()).split(b" ", 2)[1])
        headers: dict[str, str] = {}
        while line := (await reader.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding", "").lower() != "chunked":
            length = headers.get("content-length")
            return status, await (reader.readexactly(int(length)) if length else reader.read())
        parts_read = bytearray()
        while size := int((await reader.readline()).strip() or b"0", 16):
            parts_read += await reader.readexactly(size)
            await reader.readline()
        return status, bytes(parts_read)
    except IndexError:
        raise ConnectionResetError("the extender closed the connection") from None
    finally:
        writer.transport.abort()


def read_extenders(configuration: Obj | None) -> Sequence[Extender]:
    """The extenders of a (valid) configuration."""
    return [_read(written) for written in (configuration or {}).get("extenders") or ()]


def _read(written: Obj) -> Extender:
    url = written.get("urlPrefix") or ""
    tls = written.get("tlsConfig") or {}
    secure = bool(written.get("enableHTTPS") or url.startswith("https"))
    return Extender(
        url=url if "://" in url else f"{'https' if secure else 'http'}://{url}",
        filter_verb=written.get("filterVerb") or "",
        prioritize_verb=written.get("prioritizeVerb") or "",
        preempt_verb=written.get("preemptVerb") or "",
        bind_verb=written.get("bindVerb") or "",
        weight=written.get("weight") or 1,
        seconds=parse_go_duration(str(written.get("httpTimeout") or "5s")) / 1e9 or 5.0,
        knows_nodes=bool(written.get("nodeCacheCapable")),
        resources=frozenset(r["name"] for r in written.get("managedResources") or ()),
        ignorable=bool(written.get("ignorable")),
        tls=_tls(tls) if secure else None,
    )


def _tls(written: Obj) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=written.get("caFile") or None)
    if written.get("caData"):
        import base64

        context.load_verify_locations(cadata=base64.b64decode(written["caData"]).decode())
    if written.get("insecure"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if written.get("certFile"):
        context.load_cert_chain(written["certFile"], written.get("keyFile") or None)
    elif written.get("certData"):
        import base64

        # A certificate can be loaded from a file only.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(base64.b64decode(written["certData"]) + b"\n" + base64.b64decode(written.get("keyData") or ""))
            file.flush()
            context.load_cert_chain(file.name)
    return context


# --- a decision with extenders ---------------------------------------------------------------------------------------


async def decide_with(
    extenders: Sequence[Extender],
    framework: Framework,
    pod: Pod,
    snapshot: Snapshot,
    choose: Callable[[Sequence[str]], str],
    sampling: Sampling | None = None,
) -> Decision:
    """The decision of the plugins, then what the extenders that care for the pod make of it."""
    asked = [e for e in extenders if e.cares_for(pod)]
    decision = decide(framework, pod, snapshot, choose, sampling)
    if decision.error:
        return decision
    try:
        if not decision.node:
            return await _agree(asked, pod, snapshot, decision)
        return await _narrow(asked, framework, pod, snapshot, choose, decision)
    except CycleError as failure:
        return Decision(pod, error=str(failure), message=str(failure))


async def _narrow(
    asked: Sequence[Extender],
    framework: Framework,
    pod: Pod,
    snapshot: Snapshot,
    choose: Callable[[Sequence[str]], str],
    decision: Decision,
) -> Decision:
    names = list(decision.feasible)
    refused: dict[str, Rejection] = {}
    for extender in asked:
        if not extender.filter_verb or not names:
            continue
        try:
            names, no = await _filter(extender, pod, snapshot, names)
        except CycleError as failure:
            if not extender.ignorable:
                raise
            log.info("an extender is left out: %s", failure)
            continue
        refused |= no
    rejected = {**decision.rejected, **refused}
    if not names:
        return await _agree(asked, pod, snapshot, _nowhere(framework, snapshot, choose, decision, rejected))
    at = {name: index for index, name in enumerate(decision.feasible)}
    kept = [at[name] for name in names]
    totals = [decision.totals[i] for i in kept] if decision.totals else [0] * len(names)
    if len(names) > 1:
        more = await _prioritize(asked, pod, snapshot, names)
        totals = [t + more.get(name, 0) * _PRIORITY_SCALE for t, name in zip(totals, names, strict=True)]
    highest = max(totals)
    winners = [name for name, total in zip(names, totals, strict=True) if total == highest]
    scores = {
        plugin: ([raw[i] for i in kept], [normal[i] for i in kept]) for plugin, (raw, normal) in decision.scores.items()
    }
    return replace(
        decision,
        node=decision.node if decision.node in winners else choose(winners),
        feasible=names,
        rejected=rejected,
        scores=scores,
        totals=totals,
        best=winners,
    )


def _nowhere(
    framework: Framework,
    snapshot: Snapshot,
    choose: Callable[[Sequence[str]], str],
    decision: Decision,
    rejected: Mapping[str, Rejection],
) -> Decision:
    """No node is left: perhaps preemption helps on one."""
    pod, preemption = decision.pod, None
    if framework.preempts:
        cycle = Cycle(pod, snapshot)
        framework.pre_filter(cycle)
        preemption = preempt(framework, cycle, rejected, choose)
    text = preemption.message if preemption is not None else ""
    message = fit_message(len(snapshot.nodes), rejected, decision.absent, text)
    return Decision(
        pod,
        rejected=rejected,
        absent=decision.absent,
        message=message,
        preemption=preemption,
        evaluated=decision.evaluated,
    )


def _nodes(extender: Extender, snapshot: Snapshot, names: Sequence[str]) -> Obj:
    if extender.knows_nodes:
        return {"Nodes": None, "NodeNames": list(names)}
    return {"Nodes": {"metadata": {}, "items": [snapshot.by_name[n].node.obj for n in names]}, "NodeNames": None}


def _field(answer: Any, name: str) -> Any:
    """A field by Go's rules: its name in any case."""
    if not isinstance(answer, dict):
        return None
    return next((value for key, value in answer.items() if key.lower() == name), None)


async def _filter(
    extender: Extender, pod: Pod, snapshot: Snapshot, names: Sequence[str]
) -> tuple[list[str], dict[str, Rejection]]:
    answer = await extender.ask(extender.filter_verb, {"Pod": pod.obj, **_nodes(extender, snapshot, names)})
    if _field(answer, "error"):
        raise CycleError(str(_field(answer, "error")))
    if extender.knows_nodes and _field(answer, "nodenames") is not None:
        kept = [str(name) for name in _field(answer, "nodenames")]
    else:
        items = _field(_field(answer, "nodes"), "items") or ()
        kept = [str(node["metadata"]["name"]) for node in items]
    strangers = [name for name in kept if name not in names]
    if strangers:
        raise CycleError(
            f'extender "{extender.url}" claims a filtered node "{strangers[0]}" which is not found in the input node list'
        )
    refused = {
        str(name): Rejection(Code.UNSCHEDULABLE, (str(text),), EXTENDER)
        for name, text in (_field(answer, "failednodes") or {}).items()
    }
    refused |= {
        str(name): Rejection(Code.UNRESOLVABLE, (str(text),), EXTENDER)
        for name, text in (_field(answer, "failedandunresolvablenodes") or {}).items()
    }
    for name in names:
        if name not in kept:
            refused.setdefault(name, Rejection(Code.UNSCHEDULABLE, (f"rejected by extender {extender.url}",), EXTENDER))
    return kept, refused


async def _prioritize(
    asked: Sequence[Extender], pod: Pod, snapshot: Snapshot, names: Sequence[str]
) -> Mapping[str, int]:
    totals: dict[str, int] = {}
    for extender in asked:
        if not extender.prioritize_verb:
            continue
        try:
            answer = await extender.ask(extender.prioritize_verb, {"Pod": pod.obj, **_nodes(extender, snapshot, names)})
            given = {str(_field(entry, "host")): int(_field(entry, "score") or 0) for entry in answer or ()}
        except (CycleError, TypeError, ValueError) as failure:
            # Scores are wishes: without them the pod still goes somewhere good.
            log.info("an extender's scores are left out: %s", failure)
            continue
        for name, score in given.items():
            totals[name] = totals.get(name, 0) + score * extender.weight
    return totals


async def _agree(asked: Sequence[Extender], pod: Pod, snapshot: Snapshot, decision: Decision) -> Decision:
    """Asks the extenders which of the candidates for preemption they accept."""
    found = decision.preemption
    if found is None or not found.candidates:
        return decision
    candidates: dict[str, Candidate] = dict(found.candidates)
    for extender in asked:
        if not extender.preempt_verb or not candidates:
            continue
        try:
            candidates = await _accepted(extender, pod, candidates)
        except CycleError as failure:
            if not extender.ignorable:
                raise
            log.info("an extender is left out: %s", failure)
    chosen = best(list(candidates.values())) if candidates else ()
    return replace(decision, preemption=_chosen(found, candidates, chosen))


def _chosen(found: Preemption, candidates: Mapping[str, Candidate], chosen: Sequence[str]) -> Preemption:
    return replace(found, candidates=candidates, chosen=chosen)


async def _accepted(extender: Extender, pod: Pod, candidates: Mapping[str, Candidate]) -> dict[str, Candidate]:
    question: Obj = {"Pod": pod.obj, "NodeNameToVictims": None, "NodeNameToMetaVictims": None}
    if extender.knows_nodes:
        question["NodeNameToMetaVictims"] = {
            name: {"Pods": [{"UID": v.uid} for v in c.victims], "NumPDBViolations": c.pdb_violations}
            for name, c in candidates.items()
        }
    else:
        question["NodeNameToVictims"] = {
            name: {"Pods": [v.obj for v in c.victims], "NumPDBViolations": c.pdb_violations}
            for name, c in candidates.items()
        }
    answer = await extender.ask(extender.preempt_verb, question)
    kept: dict[str, Candidate] = {}
    for name, victims in (_field(answer, "nodenametometavictims") or {}).items():
        known = candidates.get(str(name))
        if known is None:
            raise CycleError(f'extender "{extender.url}" claims a candidate "{name}" that it was not given')
        wanted = {str(_field(meta, "uid")) for meta in _field(victims, "pods") or ()}
        kept[known.node] = Candidate(
            known.node,
            tuple(v for v in known.victims if v.uid in wanted),
            int(_field(victims, "numpdbviolations") or 0),
        )
    return kept


async def bind_through(extender: Extender, pod: Pod, node: str) -> None:
    """Lets the extender bind the pod; `CycleError` when it says that it could not."""
    question = {"PodName": pod.name, "PodNamespace": pod.namespace, "PodUID": pod.uid, "Node": node}
    answer = await extender.ask(extender.bind_verb, question)
    if _field(answer, "error"):
        raise CycleError(str(_field(answer, "error")))
