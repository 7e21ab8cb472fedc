"""Configuration files as kube-scheduler 1.33 takes and refuses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.kube.scheduler.recordings import bare, cases

from terrarium.kube.scheduler.configuration import Invalid, load


@pytest.mark.parametrize("case", [pytest.param(c, id=c["id"]) for c in cases("config")])
def test_as_recorded(case: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(case["file"])
    if case.get("exit"):
        with pytest.raises(Invalid):
            load(file)
        return
    written = load(file)
    if case.get("written"):
        recorded = case["written"]
        for each in (written, recorded):
            each["clientConnection"].pop("kubeconfig", None)
        assert bare(written) == bare(recorded)


def test_says_where(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.yaml"
    file.write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        "profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hardPodAffinityWeight: 101}}]}]\n"
    )
    with pytest.raises(Invalid) as refused:
        load(file)
    path = "profiles[0].pluginConfig[0].args.hardPodAffinityWeight"
    assert str(refused.value) == f"{path}: Invalid value: 101: not in valid range [0, 100]"
