"""Transcripts of an utterance under noise, and the two smoothed systems made of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.certificates.centers import Center, center_of
from melmoat.certificates.noise import noisy
from melmoat.certificates.plan import Plan
from melmoat.devices import CPU
from melmoat.draws import Draws, derive, secret
from melmoat.models.base import Recognizer, comparison_of, transcribe


def words_only(model: Recognizer, text: str) -> str:
    """A transcript as it is compared: after the recognizer's normaliser, one space between
    words."""
    return " ".join(comparison_of(model)(text).split())


@dataclass(frozen=True)
class Sampler:
    """Draws transcripts of one utterance under noise of a fixed level.

    Each draw has its own key, derived from the seed, the name of its purpose and its number. So
    draws of different purposes are disjoint, and the size of a batch changes nothing but rounding.

    Args:
        model: the recognizer, which may be behind a defense. If it draws numbers itself, each draw
            has its own.
        wave: samples. Shape: ``[T]``.
        sigma: standard deviation of the noise; full scale is 1.
        seed: of all draws. An attacker who knows it can void the guarantee of a call.
        batch: draws that are transcribed together.
        device: where the recognizer computes.
        tick: called with the number of draws that are done.
    """

    model: Recognizer
    wave: Tensor
    sigma: float
    seed: int
    batch: int = 32
    device: str = CPU
    tick: Callable[[int], None] = lambda done: None

    def __call__(self, purpose: str, draws: int) -> Counter[str]:
        """Distinct transcripts of ``draws`` draws, as they are compared, with their numbers."""
        found: Counter[str] = Counter()
        keys = [derive(self.seed, purpose, i) for i in range(draws)]
        for first in range(0, draws, self.batch):
            some = keys[first : first + self.batch]
            waves = noisy(self.wave, self.sigma, some)
            lengths = torch.full((len(some),), waves.shape[1])
            audio = Audio(waves, lengths, self.model.rate).to(self.device)
            own = Draws(derive(key, "model") for key in some)
            with torch.no_grad():
                heard = Counter(transcribe(self.model, audio, own))
            for text, number in heard.items():
                found[words_only(self.model, text)] += number
            self.tick(len(some))
        return found

    def smooth(self, plan: Plan) -> tuple[Center, str]:
        """The center (algorithm 1) and, of the same first draws, the commonest transcript."""
        drawn = self("center", plan.center_draws)
        fresh = self("check", plan.center_draws)
        return center_of(drawn, fresh), min(drawn, key=lambda text: (-drawn[text], text))


def smoothed(
    model: Recognizer, wave: Tensor, plan: Plan, seed: int | None = None, batch: int = 32
) -> str | None:
    """What the center-smoothed system writes: this is the system that has the certificate.

    Args:
        model: the recognizer.
        wave: samples at the recognizer's rate. Shape: ``[T]``.
        plan: as it was certified with.
        seed: of the noise; if None, a fresh secret one, as deployment needs.

    Returns:
        The center's transcript, as it is compared; None if it abstains.
    """
    sampler = Sampler(model, wave, plan.sigma, secret() if seed is None else seed, batch)
    center, _ = sampler.smooth(plan)
    return None if center.abstains(plan) else center.transcript
