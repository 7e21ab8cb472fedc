"""Images beside moto's own list: those that courses and examples name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    name: str
    description: str
    created: str
    owner: str = "137112412989"
    architecture: str = "x86_64"
    root_device: str = "/dev/xvda"
    boot_mode: str | None = None


IMAGES: Mapping[str, Sequence[Image]] = {
    "ap-northeast-2": (
        Image(
            "ami-084e92d3e117f7692",
            "amzn2-ami-hvm-2.0.20240306.2-x86_64-gp2",
            "Amazon Linux 2 AMI 2.0.20240306.2 x86_64 HVM gp2",
            "2024-03-07T18:28:41.000Z",
        ),
    ),
}
