"""The paper's defense: speech to log-mel, noise on it, and back with a vocoder."""

from __future__ import annotations

from typing import Annotated, Literal

import torch.nn.functional as F
from torch import Tensor

from melmoat import vocoders
from melmoat.audio import Audio
from melmoat.defenses.base import FrontEnd, Gradient, with_gradient
from melmoat.defenses.flooding import Flooding
from melmoat.defenses.shaping import load_curve, shaping_file
from melmoat.defenses.streaming import STREAMABLE, Resynthesised, Stage
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.facts import NamesFile, Part
from melmoat.resampling import resample
from melmoat.vocoders.base import Vocoder, synthesise

Noise = Literal["fresh", "fixed"]
VocoderSpec = Annotated[str, Part("vocoder", keyed=False)]


class Resynthesis(FrontEnd):
    """Resynthesis by a vocoder, with or without noise on the log-mel spectrogram.

    One graph runs through every step: rate conversion, spectrogram, the noise that was drawn,
    generator, and rate conversion back. Length and rate are kept exactly.

    Args:
        vocoder: the generator.
        flooding: noise on the log-mel spectrogram, before the vocoder's own normalisation.
        noise: for a vocoder with a noise input: whether this input is drawn afresh at each call or
            fixed.

    Raises:
        ValueError: the noise of a vocoder without such an input is to be fixed.
    """

    def __init__(
        self, vocoder: Vocoder, flooding: Flooding | None = None, noise: Noise = "fresh"
    ) -> None:
        if noise == "fixed" and not vocoder.noisy:
            raise ValueError("noise=fixed is for vocoders that take noise, and this one takes none")
        self.vocoder, self.flooding, self.noise = vocoder, flooding, noise
        drawn = vocoder.noisy and noise == "fresh"
        self.stochastic = drawn or (flooding is not None and flooding.level > 0)

    @property
    def dilutes(self) -> bool:
        """Whether the noise is spread over the utterance, including silence."""
        return self.flooding is not None and self.flooding.norm == "utterance"

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        speech = resample(audio, self.vocoder.mel.rate)
        mel, frames = self.vocoder.mel(speech)
        if self.flooding is not None:
            mel = self.flooding(mel, frames, draws.fork("flooding"))
        wav = synthesise(self.vocoder, mel, frames, self._vocoder_draws(draws))
        back = resample(fitted(speech, wav), audio.rate)
        return fitted(audio, back.wav)

    def _vocoder_draws(self, draws: Draws) -> Draws:
        return Draws([0] * len(draws)) if self.noise == "fixed" else draws.fork("vocoder")

    def stream(self, rate: int, draws: Draws) -> Stage:
        if self.vocoder.reach is None:
            raise MelmoatError(
                "this vocoder cannot be streamed: it computes a recording as a whole. These can "
                f"be: {STREAMABLE}"
            )
        if self.dilutes:
            raise MelmoatError(
                "norm=utterance cannot be streamed: its noise is spread over the whole recording. "
                "norm=frame, the default, can be"
            )
        if rate != (own := self.vocoder.mel.rate):
            raise MelmoatError(
                f"this vocoder hears {own} Hz, and a stream is not resampled: send {own} Hz, not "
                f"{rate} Hz"
            )
        flood = self.flooding.pieces(draws.fork("flooding")) if self.flooding else None
        return Resynthesised(self.vocoder, flood, self._vocoder_draws(draws))


def fitted(audio: Audio, wav: Tensor) -> Audio:
    """``audio`` with the samples of ``wav``. ``wav`` covers every utterance, but may be longer or
    shorter than the padded batch."""
    excess = wav.shape[1] - audio.wav.shape[1]
    return audio.with_wav(F.pad(wav, (0, -excess)))


def resynth(
    vocoder: VocoderSpec = "melgan-lab", noise: Noise = "fresh", gradient: Gradient = "exact"
) -> FrontEnd:
    """Resynthesis by a vocoder alone (the paper's MG and WG).

    ``vocoder=griffin-lim`` is WaveGuard's mel extraction and inversion (Hussain et al. 2021).
    """
    return with_gradient(Resynthesis(vocoders.load(vocoder), None, noise), gradient)


def mdnf(
    vocoder: VocoderSpec = "melgan-lab",
    level: float | None = None,
    shaping: Annotated[str, NamesFile(shaping_file)] = "an4",
    norm: Literal["frame", "utterance"] = "frame",
    shape: Literal["amplitude", "variance"] = "amplitude",
    noise: Noise = "fresh",
    gradient: Gradient = "exact",
) -> FrontEnd:
    """Noise on the log-mel spectrogram, then resynthesis by a vocoder.

    ``shaping`` is ``flat``, a shipped curve, or the file of a curve. By default ``level`` is 0.05
    per frame or 20 per utterance, as in its authors' configurations. ``norm=utterance`` is their
    earlier definition, for comparison. Silence around the speech weakens its noise, so do not
    deploy it.
    """
    if level is None:
        level = {"frame": 0.05, "utterance": 20.0}[norm]
    made = vocoders.load(vocoder)
    file = shaping_file(shaping)
    if file is None and shape != "amplitude":
        raise ValueError(f"shape={shape} says what a curve shapes, and shaping={shaping} has none")
    curve = load_curve(file).at(made.mel) if file else None
    return with_gradient(Resynthesis(made, Flooding(level, curve, norm, shape), noise), gradient)
