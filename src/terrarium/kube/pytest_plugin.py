"""The fixture `kube`: `pytest_plugins = ["terrarium.kube.pytest_plugin"]` in the outermost conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from terrarium.kube.testing import COMPONENTS, Kube, serving


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kube", "a Kubernetes API server for tests")
    group.addoption("--kube-version", default="1.33", help="The version of Kubernetes that the fixture kube serves.")
    group.addoption("--kube-with", default="", help=f"What runs beside it: {','.join(COMPONENTS)}.")


@pytest.fixture(scope="session")
def kube(request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A Kubernetes API server for the whole run, named by KUBECONFIG."""
    version = str(request.config.getoption("--kube-version"))
    wanted = str(request.config.getoption("--kube-with"))
    with serving(int(version.split(".")[1]), tuple(filter(None, wanted.split(",")))) as running:
        yield running
