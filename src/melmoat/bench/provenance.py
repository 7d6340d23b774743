"""The versions, code and machine of a measurement."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import melmoat
from melmoat.devices import CPU
from melmoat.models import hub


def versions() -> dict[str, str]:
    """Versions that a number may depend on, also of networks that names of the hub stand for."""
    names = ("torch", "numpy", "lhotse", "soundfile", "soxr", "jiwer")
    installed = {name: metadata.version(name) for name in names}
    return {"melmoat": melmoat.__version__, "python": platform.python_version(), **installed} | {
        commit.name if commit.revision is None else f"{commit.name}@{commit.revision}": commit.sha
        for commit in hub.settled()
        if commit.sha is not None
    }


def machine(device: str = CPU) -> dict[str, Any]:
    """The machine, as far as it matters for results on ``device``."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "cuda": _gpu(device),
    }


def _gpu(device: str) -> str | None:
    """The name of a GPU; None if ``device`` is not a GPU, or only workers of a cluster have it."""
    try:
        return torch.cuda.get_device_name(device) if device.startswith("cuda") else None
    except (RuntimeError, AssertionError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")


@cache
def revision() -> str | None:
    """The git revision of this code, with ``+`` where it was changed; None outside a checkout."""
    here = Path(melmoat.__file__).parent

    def git(*words: str) -> str:
        command = ["git", "-C", str(here), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
