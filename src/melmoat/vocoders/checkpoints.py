"""Reading and writing our own vocoder weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from melmoat import weights
from melmoat.vocoders.base import Vocoder
from melmoat.vocoders.hifigan import HiFiGAN, HiFiGANConfig
from melmoat.vocoders.mel import MelSpec
from melmoat.vocoders.melgan import MelGAN, MelGANConfig
from melmoat.vocoders.parallel_wavegan import ParallelWaveGAN, ParallelWaveGANConfig
from melmoat.weights import WeightsError

ARCHITECTURES: dict[str, tuple[type[Any], type[Any]]] = {
    "hifigan": (HiFiGAN, HiFiGANConfig),
    "melgan": (MelGAN, MelGANConfig),
    "parallel_wavegan": (ParallelWaveGAN, ParallelWaveGANConfig),
}


def save(path: Path, vocoder: Vocoder, card: Mapping[str, Any]) -> None:
    """Write ``vocoder`` as safetensors with its config, its mel and ``card`` in the header."""
    names = [name for name, (kind, _) in ARCHITECTURES.items() if type(vocoder) is kind]
    if not names:
        raise ValueError(f"a {type(vocoder).__name__} has no weights to save")
    config, mel = asdict(vocoder.config), asdict(vocoder.mel)
    header = {"architecture": names[0], "config": config, "mel": mel, "card": dict(card)}
    weights.write(path, vocoder, header)


def load(path: Path) -> Vocoder:
    """Read a file written by :func:`save`, in eval mode with frozen weights."""
    header = weights.read_header(path)
    try:
        network, settings = ARCHITECTURES[header["architecture"]]
        mel, config = MelSpec(**_tuples(header["mel"])), settings(**_tuples(header["config"]))
        vocoder: Vocoder = network(config, mel)
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not a vocoder of this melmoat ({error!r})") from error
    weights.fill(vocoder, weights.read(path), str(path))
    vocoder.card = header.get("card", {})
    return vocoder


def _tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    """JSON turns tuples into lists; the configs are hashable."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
