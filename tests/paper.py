"""Stand-ins for what the paper's bench downloads: the same layouts, small random weights."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
import torch
import yaml

from melmoat.fetching import CATALOGUE
from melmoat.models import DeepSpeech2
from melmoat.vocoders import MelGAN, MelGANConfig, MelSpec, ParallelWaveGAN, ParallelWaveGANConfig
from tests.conftest import tiny_config
from tests.fetching.serving import packed, site
from tests.models.test_checkpoints import SpectrogramWindow, published
from tests.vocoders.test_published import renamed

BANDS = 80
SPEAKERS = {"test-clean": 5, "dev-clean": 5, "train-clean-100": 8}  # an utterance each
TEXTS = ("GO ON", "HE'S HERE", "A FEW", "TWO OF US", "YES SIR", "SO IT IS", "NO ONE", "OH NO")
SETTINGS = {  # egs/libritts/voc1/conf/parallel_wavegan.v1.long.yaml, but for the sizes
    "sampling_rate": 24_000,
    "fft_size": 2048,
    "hop_size": 300,
    "win_length": 1200,
    "window": "hann",
    "num_mels": BANDS,
    "fmin": 80,
    "fmax": 7_600,
    "generator_type": "ParallelWaveGANGenerator",
    "generator_params": {
        "stacks": 1,
        "upsample_net": "ConvInUpsampleNetwork",
        "upsample_params": {"upsample_scales": [4, 5, 3, 5]},
    },
}


def corpus(part: str) -> dict[str, bytes]:
    """Files of LibriSpeech's layout: half a second of noise for each speaker."""
    rng = np.random.default_rng(len(part))
    made = {"LibriSpeech/LICENSE.TXT": b"CC BY 4.0"}
    for number in range(SPEAKERS[part]):
        name = f"{100 + number}-7-0000"
        folder = f"LibriSpeech/{part}/{100 + number}/7"
        sound = io.BytesIO()
        wave = 0.05 * rng.standard_normal(8_000 + 320 * number)
        soundfile.write(sound, wave, 16_000, format="FLAC")
        made[f"{folder}/{name}.flac"] = sound.getvalue()
        made[f"{folder}/{100 + number}-7.trans.txt"] = f"{name} {TEXTS[number]}\n".encode()
    return made


def deepspeech2(config: dict[str, object] | None = None) -> bytes:
    """A Lightning file of release 3."""
    model = DeepSpeech2(tiny_config(**(config or {})))
    settings = {
        "labels": list(model.labels),
        "spect_cfg": {
            "sample_rate": 16_000,
            "window_size": 0.02,
            "window_stride": 0.01,
            "window": SpectrogramWindow.hamming,
        },
    }
    return _saved({"state_dict": published(model), "hyper_parameters": settings})


def melgan(config: MelGANConfig) -> bytes:
    """The bare state of descriptinc/melgan-neurips."""
    return _saved(renamed(MelGAN(config, MelSpec()), "descriptinc"))


def parallel_wavegan(config: ParallelWaveGANConfig) -> dict[str, bytes]:
    """The files of a checkpoint of kan-bayashi/ParallelWaveGAN."""
    network = ParallelWaveGAN(config, replace(MelSpec(), hop=300))
    settings = dict(SETTINGS)
    settings["generator_params"] = {**SETTINGS["generator_params"], "stacks": config.stacks}  # type: ignore[dict-item]
    stats = io.BytesIO()
    with h5py.File(stats, "w") as file:
        file["mean"], file["scale"] = np.full(BANDS, -2.0), np.full(BANDS, 0.8)
    root = "libritts_parallel_wavegan.v1.long"
    weights = {"model": {"generator": renamed(network, "kan-bayashi")}, "steps": 1_000_000}
    return {
        f"{root}/checkpoint-1000000steps.pkl": _saved(weights),
        f"{root}/config.yml": yaml.safe_dump(settings).encode(),
        f"{root}/stats.h5": stats.getvalue(),
    }


def _saved(content: object) -> bytes:
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def contents() -> dict[str, bytes]:
    """Every file of the catalogue, small."""
    torch.manual_seed(0)
    small_pwg = ParallelWaveGANConfig(3, 1, residual=4, gate=6, skip=4, scales=(4, 5, 3, 5))
    return {
        **{part: packed(corpus(part)) for part in SPEAKERS},
        "deepspeech2-librispeech": deepspeech2(),
        "melgan-multi-speaker": melgan(MelGANConfig(16, (8, 8, 2, 2), 1)),
        "pwg-libritts": packed(parallel_wavegan(small_pwg)),
    }


@contextmanager
def served(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let ``melmoat fetch`` find the stand-ins, and ``home`` be its folder."""
    monkeypatch.setenv("MELMOAT_CACHE", str(home))
    files = {f"/{name}": content for name, content in contents().items()}
    with site(files) as made:
        for name, one in CATALOGUE.items():
            small = replace(one, url=f"{made.url}/{name}", sha256=None, size=1)
            monkeypatch.setitem(CATALOGUE, name, small)
        yield
