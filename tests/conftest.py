"""What every test may rely on: the machine's own settings reach none of them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

SETTINGS = ("AWS_", "TF_", "TERRARIUM_", "KUBE")
SINGLE = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "XDG_DATA_HOME"}


@pytest.fixture(scope="session", autouse=True)
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No variable that the product or a client of it reads, and a HOME without an AWS profile or a kubeconfig.

    For the whole session, so that fixtures of a module or a session are made in it too.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith(SETTINGS) or name.upper() in SINGLE:
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield
