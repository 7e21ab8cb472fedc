"""Kubernetes versions of EKS, with their dates (EKS user guide, "Understand the Kubernetes version lifecycle").

A version stays creatable here after its end of support: what a course or a test needs must not depend on the day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Version:
    name: str
    patch: str
    platform: str
    released: str
    standard_until: str
    extended_until: str

    @property
    def minor(self) -> int:
        return int(self.name.partition(".")[2])


_TABLE = (
    Version("1.29", "1.29.15", "eks.54", "2024-01-23", "2025-03-23", "2026-03-23"),
    Version("1.30", "1.30.14", "eks.49", "2024-05-23", "2025-07-23", "2026-07-23"),
    Version("1.31", "1.31.13", "eks.45", "2024-09-26", "2025-11-26", "2026-11-26"),
    Version("1.32", "1.32.9", "eks.29", "2025-01-23", "2026-03-23", "2027-03-23"),
    Version("1.33", "1.33.5", "eks.22", "2025-05-29", "2026-07-29", "2027-07-29"),
    Version("1.34", "1.34.1", "eks.9", "2025-10-02", "2026-12-02", "2027-12-02"),
    Version("1.35", "1.35.0", "eks.3", "2026-01-27", "2027-03-27", "2028-03-27"),
)
VERSIONS: Mapping[str, Version] = {v.name: v for v in _TABLE}
DEFAULT_VERSION = "1.34"


def _moment(date: str) -> datetime:
    return datetime.fromisoformat(date).replace(tzinfo=UTC)


def describe(version: Version, now: datetime) -> dict[str, Any]:
    """`ClusterVersionInformation` of DescribeClusterVersions."""
    standard = now < _moment(version.standard_until)
    return {
        "clusterVersion": version.name,
        "clusterType": "eks",
        "defaultPlatformVersion": version.platform,
        "defaultVersion": version.name == DEFAULT_VERSION,
        "releaseDate": _moment(version.released),
        "endOfStandardSupportDate": _moment(version.standard_until),
        "endOfExtendedSupportDate": _moment(version.extended_until),
        "status": "standard-support" if standard else "extended-support",
        "versionStatus": "STANDARD_SUPPORT" if standard else "EXTENDED_SUPPORT",
        "kubernetesPatchVersion": version.patch,
    }
