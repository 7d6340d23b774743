"""Shared fixtures. Speech and goldens that are not in the repository are skipped where absent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from melmoat.attacks import ATTACKS
from melmoat.audio import Audio
from melmoat.defenses import DEFENSES
from melmoat.models import MODELS, DeepSpeech2, DeepSpeech2Config, hub
from melmoat.objects import OBJECT
from tests.elsewhere import elsewhere

SHARED = Path(os.environ.get("MELMOAT_SHARED", Path(__file__).parents[2] / "shared"))

# Tests ask no hub. Its client reads this when it is imported.
os.environ["HF_HUB_OFFLINE"] = "1"
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


@pytest.fixture(autouse=True)
def _forget_objects() -> Iterator[None]:
    """Objects that a test hands over are no parts of the others' tables."""
    yield
    for family in (MODELS, DEFENSES, ATTACKS):
        family.table.pop(OBJECT, None)


@pytest.fixture(autouse=True)
def _forget_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What names of the hub stand for in a test is not so in the others."""
    monkeypatch.setattr(hub, "_settled", {})


@pytest.fixture
def device() -> Iterator[str]:
    """A second device, which refuses to mix with the processor."""
    with elsewhere() as name:
        yield name


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"needs the development data in {SHARED} (or MELMOAT_SHARED)")
    return SHARED


def tiny_config(**changes: object) -> DeepSpeech2Config:
    return DeepSpeech2Config(**{"hidden": 24, "layers": 2, "channels": 4, **changes})  # type: ignore[arg-type]


@pytest.fixture
def tiny() -> DeepSpeech2:
    """A small random DeepSpeech2 whose batch norms are not the identity."""
    torch.manual_seed(0)
    model = DeepSpeech2(tiny_config())
    for name, buffer in model.named_buffers():
        if "running_var" in name:
            buffer.copy_(0.5 * torch.rand_like(buffer) + 0.1)
        elif "running_mean" in name:  # small, or the Hardtanh after it would shut everything
            buffer.copy_(0.2 * torch.rand_like(buffer) - 0.1)
    return model.eval().requires_grad_(False)


@pytest.fixture
def ragged() -> Audio:
    """Three tones in noise of different length, 16 kHz."""
    generator = torch.Generator().manual_seed(1)
    waves = []
    for length, hz in ((3_000, 300), (6_400, 500), (4_321, 900)):
        t = torch.arange(length) / 16_000
        noise = 0.02 * torch.randn(length, generator=generator)
        waves.append(0.1 * torch.sin(2 * torch.pi * hz * t) + noise)
    return Audio.of(waves)
