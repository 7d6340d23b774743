"""Shaping curves: the strength of the noise in each mel band, relative to the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from melmoat import files
from melmoat.assets import asset
from melmoat.errors import MelmoatError
from melmoat.spectral import hz_to_mel, mel_to_hz
from melmoat.vocoders.mel import MelSpec


@dataclass(frozen=True)
class Curve:
    """Relative strength over frequency.

    Args:
        hz: centres of the measured bands, rising.
        values: strength in each band, at least 0; the largest is 1.
        card: its origin.
    """

    hz: tuple[float, ...]
    values: tuple[float, ...]
    card: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not self.values or len(self.hz) != len(self.values):
            raise ValueError(f"a curve needs as many hz as values, got {len(self.hz)} hz")
        if not (np.isfinite(self.values).all() and min(self.values) >= 0 < max(self.values)):
            raise ValueError("a curve's values must be finite, at least 0, and not all 0")
        if not (np.isfinite(self.hz).all() and (np.diff(self.hz) > 0).all()):
            raise ValueError("a curve's hz must be finite and rise")

    def at(self, mel: MelSpec) -> tuple[float, ...]:
        """The strength in each band of ``mel``, interpolated between band centres.

        Raises:
            ValueError: it is 0 in all of them.
        """
        strengths = np.interp(centres(mel), self.hz, self.values)
        if not strengths.any():
            raise ValueError(f"the curve is 0 in every band of {mel.fmin:g} to {mel.fmax:g} Hz")
        return tuple(strengths.tolist())

    def save(self, path: Path) -> None:
        """Write it as JSON; the folder is made if needed.

        Raises:
            MelmoatError: the disk is full or the folder read-only.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.replacing(path) as partial:
                partial.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise MelmoatError(f"cannot write {path}: {error.strerror or error}") from error


def centres(mel: MelSpec) -> list[float]:
    """Centre of each band in Hz."""
    low, high = hz_to_mel(mel.fmin), hz_to_mel(mel.fmax)
    step = (high - low) / (mel.bands + 1)
    return [mel_to_hz(low + step * (i + 1)) for i in range(mel.bands)]


def shaping_file(name: str) -> Path | None:
    """The file that ``name`` stands for: a shipped curve or a path; None for ``flat``.

    Raises:
        MelmoatError: there is no such curve; the message lists the shipped ones.
    """
    if name == "flat":
        return None
    shipped = asset("shaping")
    for path in (shipped / f"{name}.json", Path(name)):
        if path.is_file():
            return path
    known = ", ".join(["flat", *sorted(p.stem for p in shipped.glob("*.json"))])
    raise MelmoatError(f"unknown shaping {name!r}; known: {known}, or the path of a curve's file")


def load_curve(path: Path) -> Curve:
    """Read a file of :meth:`Curve.save`.

    Raises:
        MelmoatError: it is not such a file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Curve(tuple(content["hz"]), tuple(content["values"]), content.get("card", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MelmoatError(f"{path}: not a shaping curve ({error})") from error
