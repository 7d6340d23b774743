"""Measures at which frequencies an attack puts its perturbation (the paper's Figure 2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from melmoat import __version__, attacks, data, models
from melmoat.attacks import ATTACKS
from melmoat.audio import Audio, AudioError
from melmoat.bench.cell import identity
from melmoat.bench.judge import judge
from melmoat.bench.worker import choose, plan
from melmoat.defenses.shaping import Curve, centres
from melmoat.devices import CPU, usable
from melmoat.draws import Draws, derive
from melmoat.errors import MelmoatError
from melmoat.models import MODELS
from melmoat.models.base import as_written_by
from melmoat.resampling import resample
from melmoat.spectral import frame_mask
from melmoat.training.splits import provenance
from melmoat.vocoders.mel import MelSpec

Scale = Literal["log", "linear"]


def measure_shaping(
    model: str,
    attack: str,
    corpus: str,
    mel: MelSpec,
    scale: Scale = "log",
    limit: int = 100,
    batch: int = 8,
    seed: int = 0,
    tick: Callable[[float], None] = lambda _: None,
    device: str = CPU,
) -> Curve:
    """Attack ``limit`` utterances and average the change in each mel band.

    The value of a band is the mean absolute difference of the mel spectrograms of adversarial and
    benign audio, over all frames of all pairs, divided by that of the strongest band.

    Args:
        model, attack, corpus: specs; the utterances are spread evenly over the corpus.
        mel: the bands.
        scale: whether to compare the magnitudes or their logarithms. In logarithms a perturbation
            is largest where speech is weak, in magnitudes where both are strong.
        tick: called with the number of utterances that were just finished.
        device: device to compute on, such as ``cuda``.

    Raises:
        AudioError: an utterance is too short for the spectrogram; this is checked before any
            attack.
    """
    usable(device)
    recognizer, made = models.load(model), attacks.build(attack)
    cuts = choose(list(data.load(corpus)), limit, "spread")
    fewest = mel.shortest / mel.rate
    short = [cut.id for cut in cuts if cut.duration < fewest]
    if short:
        raise AudioError(
            f"{len(short)} utterance(s) are shorter than the {fewest:.2g} s that the spectrogram "
            f"needs; leave them out (shortest={2 * fewest:.1g}): {', '.join(short[:5])}"
        )
    total, frames_seen = torch.zeros(mel.bands, dtype=torch.float64), 0
    for group in plan(cuts, batch):
        references = [as_written_by(recognizer, data.written(cut)) for cut in group]
        draws = Draws(derive(seed, cut.id) for cut in group)
        share = len(group) / (made.evaluations + 1)
        audio = data.read(group, recognizer.rate).to(device)
        out = judge(recognizer, audio, made, references, draws, partial(tick, share))
        differences, frames = difference(out.clean, out.adversarial, mel, scale)
        total, frames_seen = total + differences, frames_seen + frames
        tick(share)
    return curve_of(
        total / frames_seen,
        mel,
        {
            "model": identity(MODELS.parse(model)),
            "attack": identity(ATTACKS.parse(attack)),
            "measured_on": provenance(corpus),
            "pairs": len(cuts),
            "scale": scale,
            "seed": seed,
            "melmoat": __version__,
        },
    )


def difference(
    clean: Audio, adversarial: Audio, mel: MelSpec, scale: Scale = "log"
) -> tuple[Tensor, int]:
    """Absolute mel difference of each band, summed over all frames, and their number.

    Shape: ``[bands]``, float64.
    """
    x, frames = mel(resample(clean, mel.rate))
    y, _ = mel(resample(adversarial, mel.rate))
    if scale == "linear":
        base = 10.0 if mel.log == "10" else math.e
        x, y = base**x, base**y
    inside = frame_mask(frames, x.shape[-1])[:, None]
    return ((y - x).abs() * inside).double().sum((0, 2)).to(CPU), int(frames.sum())


def curve_of(differences: Tensor, mel: MelSpec, card: dict[str, object]) -> Curve:
    """A curve from mean absolute differences. Shape: ``[bands]``."""
    largest = float(differences.max())
    if not (math.isfinite(largest) and largest > 0):
        raise MelmoatError("the attack changed nothing, so there is no curve to measure")
    values = [round(value, 6) for value in (differences / largest).tolist()]
    rounded = [round(hz, 3) for hz in centres(mel)]
    return Curve(tuple(rounded), tuple(values), {**card, "largest": round(largest, 6)})
