"""The server for tests of others: in a thread, named by KUBECONFIG, with a clock that can be moved."""

from __future__ import annotations

import os

import pytest

from terrarium.kube.client.contract import CONFIG_MAPS, EVENTS
from terrarium.kube.testing import serving

pytest_plugins = ["pytester"]


def test_a_server_in_a_thread() -> None:
    before = os.environ.get("KUBECONFIG")
    with serving(minor=32, components=("controllers",)) as kube:
        assert os.environ["KUBECONFIG"] == str(kube.kubeconfig)
        assert kube.server.config.minor == 32 and kube.url in kube.kubeconfig.read_text()
        made = kube.run(lambda s: s.client().create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "default"))
        assert made["metadata"]["uid"]
        event = {"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}, "reason": "R", "message": "m"}
        kube.run(lambda s: s.client().create(EVENTS, event, "default"))
        kube.advance(2 * 3600)
        assert kube.run(lambda s: s.client().list(EVENTS, "default")).items == []
        assert "client-certificate-data" in kube.kubeconfig_of("alice", "dev")
    assert os.environ.get("KUBECONFIG") == before


def test_components_there_are_not() -> None:
    with (
        pytest.raises(ValueError, match="no component 'kubelet'; there are controllers, scheduler"),
        serving(components=("kubelet",)),
    ):
        pass


def test_the_fixture(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest('pytest_plugins = ["terrarium.kube.pytest_plugin"]')
    pytester.makepyfile(
        """
        import os

        def test_it(kube):
            assert os.environ["KUBECONFIG"] == str(kube.kubeconfig)
            assert kube.server.config.minor == 31
        """
    )
    result = pytester.runpytest_subprocess("--kube-version", "1.31", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
