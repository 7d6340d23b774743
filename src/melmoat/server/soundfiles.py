"""A file decoded with libsndfile, without torch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from melmoat.errors import MelmoatError

UNKNOWN = 2**62  # frames that libsndfile reports where a header does not say
BLOCK = 2**20  # samples that are decoded at once, all channels together
_CUT_SHORT = re.compile(r"data : (?!4294967295)\d+ \(should be")


@dataclass(frozen=True)
class Decoded:
    """Samples. Shape: ``[L]``."""

    samples: NDArray[np.float32]
    rate: int
    notes: tuple[str, ...] = ()


def decode(
    source: BinaryIO, name: str, *, longest: float = math.inf, rates: int, channels: int
) -> Decoded:
    """The mean of the channels."""
    try:
        with soundfile.SoundFile(source) as file:
            promised, rate = file.frames, file.samplerate
            if rate > rates:
                raise MelmoatError(f"{name}: {rate} samples a second, which no recording has")
            if file.channels > channels:
                raise MelmoatError(f"{name}: {file.channels} channels; {channels} are taken")
            truncated = bool(_CUT_SHORT.search(file.extra_info))
            mono = _mixed(file, name, longest)
    except (soundfile.LibsndfileError, TypeError) as error:
        reason = getattr(error, "error_string", error)
        raise MelmoatError(
            f"{name}: not readable as audio ({reason}); "
            "wav, flac, ogg and mp3 work, other formats need converting first"
        ) from error
    if truncated or len(mono) < promised:
        raise MelmoatError(f"{name}: the file is cut short; copy it again from its source")
    return Decoded(mono, rate)


def _mixed(file: soundfile.SoundFile, name: str, longest: float) -> NDArray[np.float32]:
    if file.frames >= UNKNOWN:
        raise MelmoatError(f"{name}: its header does not say how long it is; convert the file")
    parts, got = [np.zeros(0, np.float32)], 0
    while max(got, file.frames) <= longest * file.samplerate:
        block = file.read(max(1, BLOCK // file.channels), dtype="float32", always_2d=True)
        if not len(block):
            return np.concatenate(parts)
        parts.append(block.mean(axis=1))
        got += len(block)
    raise MelmoatError(
        f"{name}: {max(got, file.frames) / file.samplerate:.1f} s of audio, of which {longest:g} s "
        "are taken at most; cut it at pauses"
    )
