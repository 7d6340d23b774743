"""Small recordings for corpora of tests."""

from pathlib import Path

import numpy as np
import soundfile

LEVELS = (0.1, 0.2, 0.3)


def tone(
    path: Path, seconds: float = 1.0, rate: int = 16_000, levels: tuple[float, ...] = (0.1,)
) -> Path:
    """A tone, of another level in each channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = np.sin(2_000 * np.arange(round(seconds * rate)) / rate)
    soundfile.write(path, wave[:, None] * np.array(levels), rate)
    return path


def steps(path: Path, rate: int = 8_000) -> Path:
    """A second of each of ``LEVELS``: root mean squares of a tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    levels = np.repeat(LEVELS, rate) * np.sqrt(2)
    soundfile.write(path, levels * np.sin(2_000 * np.arange(len(levels)) / rate), rate)
    return path
