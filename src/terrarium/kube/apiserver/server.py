"""One API server: storage, kinds, rules and sockets joined. `ApiServer` is the door of this package.

Theory of operation. `start` recovers the store, writes what a fresh cluster holds, and listens with TLS under the
cluster's own CA. `client` gives the same API in process, acting as any user, through the same authorisation and
admission; `app` is the plain ASGI application.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from terrarium.base.clock import Clock
from terrarium.base.ids import Ids
from terrarium.base.tasks import Tasks
from terrarium.kube.api.hooks import Admission, Authenticator, Authorizer, KubeletDoor, User
from terrarium.kube.api.kinds import Registry
from terrarium.kube.apiserver import admission as plugins
from terrarium.kube.apiserver import bootstrap, services
from terrarium.kube.apiserver.aggregation import Aggregation
from terrarium.kube.apiserver.api import Api
from terrarium.kube.apiserver.audit import Audit
from terrarium.kube.apiserver.authentication import Authentication
from terrarium.kube.apiserver.authorization import Privileged, Union
from terrarium.kube.apiserver.behaviours import behaviours
from terrarium.kube.apiserver.computed import METRICS, ComponentStatuses, metrics, serve_metrics
from terrarium.kube.apiserver.discovery import Discovery
from terrarium.kube.apiserver.documents import Documents
from terrarium.kube.apiserver.expiry import EVENT_SECONDS, EventExpiry
from terrarium.kube.apiserver.handlers import Handlers
from terrarium.kube.apiserver.http import App
from terrarium.kube.apiserver.identity import Identity
from terrarium.kube.apiserver.listener import Listener
from terrarium.kube.apiserver.local import LocalClient
from terrarium.kube.apiserver.metrics import Metrics
from terrarium.kube.apiserver.node import NodeAuthorizer
from terrarium.kube.apiserver.pages import Pages
from terrarium.kube.apiserver.pki import Authority, Given, kubeconfig
from terrarium.kube.apiserver.rbac import Rbac
from terrarium.kube.apiserver.resources import Resources
from terrarium.kube.apiserver.reviews import creators
from terrarium.kube.apiserver.streams import Streams
from terrarium.kube.apiserver.subresources import Bindings, subresources
from terrarium.kube.apiserver.tokens import ServiceAccountTokens
from terrarium.kube.storage.contract import Storage

log = logging.getLogger(__name__)

_PATCH = 13
"""The patch version that is shown when the cluster's owner names none."""
_COMPACT_SECONDS = 300.0
"""Revisions are kept at least this long, as kube-apiserver does."""


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """`folder` holds the CA and keys of the cluster. `host`:`port` is where to listen (0: a free port; None: nowhere,
    in process alone); `names` are further names and addresses in the server's certificate."""

    folder: Path
    host: str = "127.0.0.1"
    port: int | None = 0
    minor: int = 33
    version: str = ""
    """gitVersion of /version; "" for a patch version of `minor`."""
    service_range: str = "10.100.0.0/16"
    node_ports: tuple[int, int] = (30000, 32767)
    issuer: str = "https://kubernetes.default.svc"
    audiences: tuple[str, ...] = ()
    """Of tokens that are accepted; none means the issuer."""
    names: tuple[str, ...] = ()
    enable_admission: tuple[str, ...] = ()
    disable_admission: tuple[str, ...] = ()
    audit_log: Path | None = None
    cluster: str = "terrarium"
    """The cluster's name in kubeconfigs."""
    given: Given | None = None
    """Certificates and keys that are not the cluster's own."""
    components: tuple[str, ...] = ()
    """What of `scheduler` and `controller-manager` runs beside: component statuses show it."""
    metrics: Literal["never", "announced", "always"] = "announced"
    """When metrics.k8s.io is served, from what the kubelets tell: `announced` as long as an APIService names a Service
    for it that has endpoints, as an installed metrics server does."""
    watch_list: bool | None = None
    """The feature gate WatchList; None for what is usual in the version."""
    event_seconds: float = EVENT_SECONDS
    """How long events are kept (`--event-ttl`)."""
    advertise: str = ""
    """The address that the Service `kubernetes` leads to; "" for `host`."""


class ApiServer:
    """See the module. `authenticators`, `authorizers` and `admission` come beside the built-in ones."""

    def __init__(
        self,
        config: ServerConfig,
        storage: Storage,
        registry: Registry,
        clock: Clock,
        ids: Ids,
        authenticators: Sequence[Authenticator] = (),
        authorizers: Sequence[Authorizer] = (),
        admission: Sequence[Admission] = (),
        kubelet: KubeletDoor | None = None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.registry = registry
        self._storage = storage
        self._tasks = Tasks(f"apiserver {config.cluster}")
        self._authority = Authority(config.folder / "pki", clock.now())
        self._listener: Listener | None = None
        self._ready = False
        self._port = 0
        self.resources = Resources(storage, registry, clock, ids, (), config.minor)
        rbac = Rbac(self.resources)
        self.tokens = ServiceAccountTokens(
            lambda: self._authority.service_account_key(config.given), config.issuer, config.audiences, self.resources
        )
        authorizer = Union([Privileged(), *authorizers, NodeAuthorizer(self.resources), rbac])
        self._allocator = services.Allocator(self.resources, config.service_range, config.node_ports)
        self.resources.admission = plugins.chain(
            self.resources, authorizer, admission, config.enable_admission, config.disable_admission
        )
        announced = registry.resource("apiregistration.k8s.io", "v1", "apiservices")
        self._aggregation = (
            Aggregation(self.resources, announced, clock, self._authority.identify) if announced is not None else None
        )
        self.resources.behaviours = behaviours(
            self.resources, rbac, authorizer, self._allocator, self._tasks.start, self._aggregation
        )
        authentication = Authentication([*authenticators, self.tokens])
        self.api = Api(
            self.resources,
            authorizer,
            subresources(self.resources, self.tokens),
            {
                **creators(self.resources, authorizer, rbac, authentication, self.tokens),
                "bindings": Bindings(self.resources),
            },
            {
                "componentstatuses": ComponentStatuses(config.components),
                **(metrics(self.resources, kubelet, clock) if kubelet is not None else {}),
            },
        )
        self._audit = Audit(config.audit_log, clock, ids) if config.audit_log else None
        self._discovery = Discovery(registry, f"{config.host}:0")
        self._discovery.aggregation = self._aggregation
        if kubelet is not None and config.metrics != "never":
            self._offer_metrics()
        self.metrics = Metrics()
        streams = Streams(self.api, kubelet)
        self.app = App(
            self.api,
            authentication,
            Handlers(self.api, streams.specials(), config.watch_list),
            Pages(
                self._discovery,
                self.metrics,
                _version(config),
                config.issuer,
                self.tokens.jwks,
                Documents(registry, config.minor, self.resources.custom_schemas),
                lambda: self._ready,
            ),
            streams.websocket,
            self.metrics,
            self._audit,
            self._aggregation,
        )

    def _offer_metrics(self) -> None:
        always = self.config.metrics == "always"
        if always:
            serve_metrics(self.registry, True)
        if self._aggregation is not None:
            self._aggregation.own = {METRICS: lambda on: None if always else serve_metrics(self.registry, on)}

    @property
    def port(self) -> int:
        """Where it listens; 0 before `start`."""
        return self._port

    @property
    def url(self) -> str:
        return f"https://{self.config.host}:{self._port}"

    @property
    def ca(self) -> bytes:
        """The cluster's CA certificate, PEM."""
        return self._authority.certificate

    async def start(self) -> None:
        """Recovers, fills a fresh cluster, listens. `Failure` when the port is taken."""
        await self._storage.start()
        await bootstrap.run(self.resources)
        await self._allocator.start()
        for behaviour in self.resources.behaviours.values():
            await behaviour.start()
        await services.ensure_kubernetes(self.resources, self._allocator, self.config)
        if self.config.port is not None:
            context = self._authority.context(self._hosts(), self.config.given)
            self._listener = Listener(self.app, self.config.host, self.config.port, context)
            self._port = await self._listener.start()
            self._discovery.address = f"{self.config.host}:{self._port}"
        await services.ensure_endpoints(
            self.resources, self.config.advertise or self.config.host, self._port or 443, self.ca
        )
        identity = Identity(self.resources, self.clock, self.config.host, self._port)
        await identity.announce()
        self._tasks.keep("compaction", self._compact)
        self._tasks.keep("identity", identity.keep)
        self._tasks.keep("events", EventExpiry(self.resources, self.clock, self.config.event_seconds).keep)
        if self._aggregation is not None:
            self._tasks.keep("aggregation", self._aggregation.keep)
        self._ready = True

    async def close(self) -> None:
        """Ends watches, requests and the store."""
        self._ready = False
        if self._listener is not None:
            await self._listener.close()
        await self._tasks.close()
        await self._storage.close()
        if self._audit is not None:
            self._audit.close()

    def client(self, user: str = "system:admin", groups: Sequence[str] = ("system:masters",)) -> LocalClient:
        """The API in process, as `user`."""
        return LocalClient(self.api, User(user, groups=tuple(groups)))

    def admin_kubeconfig(self) -> str:
        """A kubeconfig of a cluster administrator with a client certificate."""
        pair = self._authority.client("admin", "kubernetes-admin", ("system:masters",))
        return kubeconfig(self.url, self.ca, pair, self.config.cluster)

    def kubeconfig(self, user: str, groups: Sequence[str] = ()) -> str:
        """A kubeconfig of any user (a node, a component)."""
        pair = self._authority.client(user.replace(":", "-").replace("/", "-"), user, groups)
        return kubeconfig(self.url, self.ca, pair, self.config.cluster, user)

    def _hosts(self) -> list[str]:
        fixed = ["localhost", "127.0.0.1", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        fixed += ["kubernetes.default.svc.cluster.local", self._allocator.first_address]
        return list(dict.fromkeys([*fixed, self.config.host, *self.config.names]))

    async def _compact(self) -> None:
        """Forgets what is older than one interval."""
        before = self._storage.revision
        while True:
            await self.clock.sleep(_COMPACT_SECONDS)
            await self._storage.compact(before)
            before = self._storage.revision


def _version(config: ServerConfig) -> dict[str, str]:
    minor = str(config.minor)
    return {
        "major": "1",
        "minor": minor,
        "emulationMajor": "1",
        "emulationMinor": minor,
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": str(config.minor - 1),
        "gitVersion": config.version or f"v1.{minor}.{_PATCH}",
        "gitCommit": "$Format:%H$",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "go1.26.8",
        "compiler": "gc",
        "platform": "linux/amd64",
    }
