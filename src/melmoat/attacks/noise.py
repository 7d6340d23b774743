"""White noise at the edge of a budget: the control of every table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from melmoat.attacks.base import Access, Goal, ThreatModel
from melmoat.attacks.budgets import within_scale
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer


@dataclass(frozen=True)
class Noise(ThreatModel):
    """White noise that fills the budget: the control of every table.

    An attack that is no better than this is useless. Options as for :class:`ThreatModel`. For linf
    the noise is ``+-eps``, the largest that fits.
    """

    access: ClassVar[Access] = "control"
    evaluations = 0

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        ball = self.budget
        white = draws.normal(audio.wav) * audio.mask
        delta = ball.step(white, audio) * ball.radius(audio)[:, None]
        delta = within_scale(ball.project(delta, audio), audio.wav)
        return audio.with_wav(audio.wav + delta)
