"""Flags of `terrarium kube serve` that are wrong: told before anything starts."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from terrarium.base.diagnostics import UsageFailure
from terrarium.cli.kube import gates_of, kube, minor_of


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        pytest.param(["--feature-gates", "Other=true"], "unrecognized feature gate: Other", id="gate there is not"),
        pytest.param(["--feature-gates", "WatchList=yes"], "invalid value of WatchList: yes", id="gate that says yes"),
        pytest.param(["--advertise-address", "x"], "--advertise-address 'x' is no address", id="address"),
        pytest.param(
            ["--service-cluster-ip-range", "10.0.0.1/8"], "is no range of addresses", id="range with host bits"
        ),
        pytest.param(["--event-ttl", "soon"], "--event-ttl 'soon' is no duration", id="duration"),
        pytest.param(
            ["--allocate-node-cidrs", "--cluster-cidr", "10.0.0.0/28"],
            "--node-cidr-mask-size 24 does not fit --cluster-cidr 10.0.0.0/28",
            id="parts that do not fit",
        ),
        pytest.param(["--with", "etcd"], "there is no component 'etcd'", id="component"),
        pytest.param(["--kubernetes-version", "new"], "'new' is no Kubernetes version", id="version"),
    ],
)
def test_wrong_flags(flags: list[str], said: str) -> None:
    result = CliRunner().invoke(kube, ["serve", *flags])
    assert isinstance(result.exception, UsageFailure) and said in str(result.exception)


def test_flags_are_read() -> None:
    assert gates_of("WatchList=true") == {"WatchList": True}
    assert gates_of(None) == {}
    assert [minor_of(text) for text in ("1.30", "v1.31.4", "32")] == [30, 31, 32]
