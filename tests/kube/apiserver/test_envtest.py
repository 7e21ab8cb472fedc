"""What envtest of controller-runtime does: its own certificates, the two programs by their flags, a client at once."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from terrarium.base.clock import Clock, real_monotonic, real_sleep
from terrarium.base.diagnostics import UsageFailure
from terrarium.cli import kube_envtest
from terrarium.kube.apiserver.pki import Authority


def _free() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@contextmanager
def _running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(20) == 0


def _get(connection: http.client.HTTPConnection, path: str, body: object = None) -> tuple[int, bytes]:
    """Tries until somebody listens, for ten seconds."""
    deadline = real_monotonic() + 10
    while True:
        try:
            data = orjson.dumps(body) if body is not None else None
            connection.request("POST" if data else "GET", path, data, {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except ConnectionRefusedError:
            connection.close()
            if real_monotonic() > deadline:
                raise
            real_sleep(0.05)


def test_the_programs_of_envtest(tmp_path: Path) -> None:
    assets = {path.name: str(path) for path in kube_envtest.write_assets(tmp_path / "bin")}
    assert set(assets) == {"kube-apiserver", "etcd", "kubectl"}
    authority = Authority(tmp_path / "pki", Clock().now())
    authority.server(["127.0.0.1", "localhost"])
    authority.client("admin", "admin", ("system:masters",))
    authority.service_account_key()
    pki, port, store = tmp_path / "pki", _free(), _free()
    flags = [
        "--advertise-address=127.0.0.1",
        "--allow-privileged=true",
        "--authorization-mode=RBAC",
        "--bind-address=127.0.0.1",
        f"--cert-dir={tmp_path}",
        f"--client-ca-file={pki / 'ca.crt'}",
        "--disable-admission-plugins=ServiceAccount",
        f"--etcd-servers=http://127.0.0.1:{store}",
        f"--secure-port={port}",
        f"--service-account-issuer=https://127.0.0.1:{port}/",
        f"--service-account-key-file={pki / 'sa.key'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--tls-cert-file={pki / 'server.crt'}",
        f"--tls-private-key-file={pki / 'server.key'}",
    ]
    urls = [f"--listen-client-urls=http://127.0.0.1:{store}", "--data-dir", str(tmp_path), "--unsafe-no-fsync=true"]
    with _running(assets["etcd"], *urls), _running(assets["kube-apiserver"], *flags):
        well = http.client.HTTPConnection("127.0.0.1", store)
        assert _get(well, "/health") == (200, b'{"health":"true","reason":""}')
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        api = http.client.HTTPSConnection("127.0.0.1", port, context=context)
        assert _get(api, "/readyz") == (200, b"ok")
        # Without the plugin ServiceAccount a pod needs no account.
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        status, made = _get(api, "/api/v1/namespaces/default/pods", pod)
        assert status == 201 and "serviceAccountName" not in orjson.loads(made)["spec"]
        _, service = _get(api, "/api/v1/namespaces/default/services/kubernetes")
        assert orjson.loads(service)["spec"]["clusterIP"] == "10.0.0.1"
        account = {"metadata": {"name": "a"}}
        assert _get(api, "/api/v1/namespaces/default/serviceaccounts", account)[0] == 201
        status, token = _get(api, "/api/v1/namespaces/default/serviceaccounts/a/token", {"spec": {}})
        assert status == 201 and orjson.loads(token)["status"]["token"].count(".") == 2
        api.close()
        well.close()


def test_flags_are_read_as_go_reads_them() -> None:
    flags = kube_envtest.flags_of(["--a=1", "-b", "2", "--c", "--d", "--a=3"])
    assert flags == {"a": ["1", "3"], "b": ["2"], "c": ["true"], "d": ["true"]}
    with pytest.raises(UsageFailure, match="unknown argument 'x'"):
        kube_envtest.flags_of(["--c=1", "x"])
    wanted = kube_envtest.settings(
        ["--feature-gates=WatchList=true,Other=true", "--secure-port=1", "--profiling=false"]
    )
    assert (wanted.gates, wanted.ignored, wanted.port) == ({"WatchList": True}, ("profiling",), 1)


def test_the_programs_name_this_python(tmp_path: Path) -> None:
    for path in kube_envtest.write_assets(tmp_path):
        if path.name != "kubectl":
            assert path.read_text().startswith(f"#!{sys.executable}\n")
