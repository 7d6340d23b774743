"""Lossy coding: sounds that a codec drops as inaudible do not reach the recognizer.

Compression as a defense comes from Das et al. 2018 (ADAGIO). libsndfile codes and decodes, so no
gradient flows. An attacker treats it as the identity (BPDA).
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
import soundfile
import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.defenses.base import FrontEnd, Gradient, with_gradient
from melmoat.draws import Draws
from melmoat.errors import MelmoatError

Kind = Literal["mp3", "opus", "vorbis"]
FORMATS = {"mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS"), "vorbis": ("OGG", "VORBIS")}
BLOCK = 1 << 16  # samples
SHORTEST = 0.1  # shortest audio for a codec in seconds; shorter audio is followed by silence


@dataclass(frozen=True)
class Codec(FrontEnd):
    """Codes and decodes each recording and keeps its length. Its gradient is zero."""

    kind: Kind
    quality: float
    differentiable = False

    def __post_init__(self) -> None:
        if not 0 <= self.quality <= 1:
            raise ValueError(f"quality must lie between 0 and 1, got {self.quality}")
        file, coding = FORMATS[self.kind]
        if coding not in soundfile.available_subtypes(file):
            raise MelmoatError(
                f"this libsndfile cannot write {self.kind}: pip install -U soundfile"
            )

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        output = torch.zeros_like(audio.wav)
        for row, wave in zip(output, audio, strict=True):
            row[: len(wave)] = self._through(wave.detach(), audio.rate).to(row)
        return audio.with_wav(
            output + 0 * audio.wav
        )  # with a graph, so that the gradient is zero and not missing

    def _through(self, wave: Tensor, rate: int) -> Tensor:
        file, coding = FORMATS[self.kind]
        samples = wave.clamp(-1, 1).float().cpu().numpy()
        long = np.pad(samples, (0, max(0, int(SHORTEST * rate) - len(samples))))
        coded = io.BytesIO()
        level = 0.99 * (1 - self.quality)  # some codecs refuse 1
        try:
            with soundfile.SoundFile(
                coded, "w", rate, 1, coding, format=file, compression_level=level
            ) as writer:
                for start in range(
                    0, len(long), BLOCK
                ):  # vorbis crashes on minutes of audio at once
                    writer.write(long[start : start + BLOCK])
        except soundfile.LibsndfileError as error:
            raise MelmoatError(f"{self.kind} cannot code {rate} Hz audio ({error})") from error
        coded.seek(0)
        decoded, _ = soundfile.read(coded, dtype="float32")
        if len(decoded) < len(samples):
            raise MelmoatError(
                f"{self.kind} of libsndfile {soundfile.__libsndfile_version__} loses "
                f"{len(samples) - len(decoded)} samples; take another kind"
            )
        return torch.from_numpy(decoded[: len(samples)])


def codec(kind: Kind = "mp3", quality: float = 0.5, gradient: Gradient = "exact") -> FrontEnd:
    """Lossy coding, such as MP3, and back.

    No gradient flows through it. Attack it with ``gradient=bpda``.

    Args:
        kind: mp3, opus or vorbis.
        quality: from 0, the fewest bits, to 1.
        gradient: what attackers get in the backward pass.
    """
    return with_gradient(Codec(kind, quality), gradient)
