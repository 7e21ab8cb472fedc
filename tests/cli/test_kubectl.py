"""Our own small kubectl: it says what the real one says, word for word, against a server of ours on a real socket."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from terrarium.base.clock import real_sleep

OWN = [sys.executable, "-m", "terrarium.cli.kubectl"]

MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {colour: green}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "nginx:1.27"}]}
"""


class Shell:
    """Runs kubectl command lines, ours or the real ones, with one kubeconfig."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "KUBECONFIG": str(folder / "kubeconfig"), "HOME": str(folder)}

    def run(self, program: list[str], line: list[str], text: str = "") -> tuple[int, str, str]:
        done = subprocess.run(
            [*program, *line],
            cwd=self.folder,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("kubectl")
    (folder / "web.yaml").write_text(MANIFEST)
    kubeconfig = folder / "kubeconfig"
    serve = [sys.executable, "-m", "terrarium", "kube", "serve", "--port", "0", "--kubeconfig", str(kubeconfig)]
    server = subprocess.Popen(
        [*serve, "--storage", "memory", "--with", "controllers,scheduler"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not kubeconfig.exists():
            assert server.poll() is None, "the server ended before it was ready"
            real_sleep(0.05)
        shell = Shell(folder)
        for line in (["apply", "-f", "web.yaml"], ["wait", "--for=create", "serviceaccount/default"]):
            code, out, err = shell.run(OWN, line)
            assert code == 0, out + err
        assert shell.run(OWN, ["wait", "--for=jsonpath={.status.replicas}=2", "deployment/web"])[0] == 0
        yield shell
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)


SAME_WORDS = [
    "get configmaps",
    "get cm settings -o yaml",
    "get deployment web -o json",
    "get deploy,rs -l app=web -o name",
    "get pods -l app=web --no-headers -o name",
    "get ns",
    "get deployments -o wide",
    "get deploy -A",
    "get cm -l app=web --show-labels",
    "get cm -L app",
    "get cm settings -o jsonpath={.data.colour}",
    "get pods -l app=web -o jsonpath={range.items[*]}{.metadata.namespace}/{.spec.containers[0].image};{end}",
    "get cm settings -o custom-columns=NAME:.metadata.name,COLOUR:.data.colour",
    "get pods -l app=none",
    "get pod nowhere",
    "get nonsense",
    "get cm nowhere --ignore-not-found",
    "auth can-i create pods",
    "config get-contexts",
    "config get-contexts -o name",
    "config get-clusters",
    "config current-context",
    "config view",
    "wait --for=condition=Available deployment/web --timeout=0s",
    "rollout status deployment/web --timeout=100ms",
    "label cm settings app=other",
    "logs web-none -c web",
]


@pytest.mark.parametrize("line", SAME_WORDS)
def test_the_same_words_as_the_real_one(shell: Shell, line: str) -> None:
    real = shutil.which("kubectl")
    if real is None:
        pytest.skip("there is no kubectl on this machine")
    # The template of a range holds a space of its own; ages go on between the two programs.
    words = [word.replace("{range.", "{range .") for word in line.split(" ")]
    ours, theirs = shell.run(OWN, words), shell.run([real], words)
    assert (ours[0] == 0, _ageless(ours[1])) == (theirs[0] == 0, _ageless(theirs[1]))
    if theirs[0]:
        assert ours[2].splitlines()[:1] == theirs[2].splitlines()[:1]


def _ageless(text: str) -> str:
    return re.sub(r" +(\d+[smh])+(?= *$| )", " AGE", text, flags=re.MULTILINE)


STORY: list[tuple[str, str, str]] = [
    ("create namespace team", "", "namespace/team created\n"),
    ("create configmap one -n team --from-literal=a=1", "", "configmap/one created\n"),
    ("apply -f web.yaml", "", "configmap/settings unchanged\ndeployment.apps/web unchanged\n"),
    ("apply -n team -f -", MANIFEST.partition("---")[0], "configmap/settings created\n"),
    ("apply -n team -f -", MANIFEST.partition("---")[0].replace("green", "red"), "configmap/settings configured\n"),
    ("get cm settings -n team -o jsonpath={.data.colour}", "", "red"),
    ("label cm settings -n team tier=back", "", "configmap/settings labeled\n"),
    ("label cm settings -n team tier-", "", "configmap/settings unlabeled\n"),
    ("annotate cm settings -n team note=x", "", "configmap/settings annotated\n"),
    ('patch cm settings -n team --type=merge -p {"data":{"colour":"blue"}}', "", "configmap/settings patched\n"),
    ("scale deployment/web --replicas=3", "", "deployment.apps/web scaled\n"),
    ("wait --for=jsonpath={.status.replicas}=3 deployment/web", "", "deployment.apps/web condition met\n"),
    ("run one -n team --image=busybox --restart=Never -- sleep 5", "", "pod/one created\n"),
    ("get pod one -n team -o jsonpath={.spec.containers[0].args}", "", '["sleep","5"]'),
    ("delete pod one -n team --grace-period=0 --force", "", 'pod "one" force deleted\n'),
    ("delete cm settings -n team", "", 'configmap "settings" deleted\n'),
    ("delete cm -n team -l app=web --ignore-not-found", "", "No resources found\n"),
    ("config set-context --current --namespace=team", "", 'Context "terrarium" modified.\n'),
    ("get cm one -o name", "", "configmap/one\n"),
    ("config set-context --current --namespace=default", "", 'Context "terrarium" modified.\n'),
]


def test_a_story_of_changes(shell: Shell) -> None:
    context = shell.run(OWN, ["config", "current-context"])[1].strip()
    told = []
    for line, text, _ in STORY:
        code, out, err = shell.run(OWN, line.split(" "), text)
        told.append((line, text, out.replace(f'"{context}"', '"terrarium"')) if code == 0 else (line, text, err))
    assert told == STORY


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        pytest.param("frobnicate", 'unknown command "frobnicate" for "kubectl"', id="command"),
        pytest.param("get pods --colour", "unknown flag or argument: --colour", id="flag"),
        pytest.param("apply", "must specify one of -f and -k", id="nothing-to-apply"),
        pytest.param("apply -f nowhere.yaml", 'the path "nowhere.yaml" can\'t be read', id="no-file"),
        pytest.param("get pods -o jsonpath={.items", "error parsing jsonpath", id="template"),
        pytest.param("get cm -o pretty", "unable to match a printer", id="format"),
        pytest.param("wait --for=weather deploy/web", 'unrecognized condition: "weather"', id="condition"),
        pytest.param("get pods --context nowhere", "there is no context 'nowhere'", id="context"),
        pytest.param("get pods --kubeconfig nowhere", "the kubeconfig nowhere can't be read", id="kubeconfig"),
    ],
)
def test_a_mistake_is_named(shell: Shell, line: str, complaint: str) -> None:
    code, _, err = shell.run(OWN, line.split(" "))
    assert code == 1
    assert complaint in err
    assert "Traceback" not in err
