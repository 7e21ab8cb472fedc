"""Logs, exec, attach, port-forward and proxies: doors to the kubelet of a pod's node."""

from __future__ import annotations

from terrarium.kube.api.hooks import KubeletDoor
from terrarium.kube.apiserver import errors
from terrarium.kube.apiserver.api import Api, Target
from terrarium.kube.apiserver.handlers import Special
from terrarium.kube.apiserver.messages import Receive, Request, Send


class Streams:
    """`kubelet` None: the server has no nodes of its own, and says so."""

    def __init__(self, api: Api, kubelet: KubeletDoor | None) -> None:
        self._api = api
        self._kubelet = kubelet

    def specials(self) -> dict[tuple[str, str], Special]:
        return {}

    async def websocket(self, request: Request, target: Target, receive: Receive, send: Send) -> None:
        raise errors.method_not_allowed()
