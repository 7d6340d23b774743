"""An attack of one's own: the sign of one gradient. docs/attacks.md says what an attack has.

melmoat attack speech.wav bad.wav --attack python:own_attack:Sign,db=30
"""

from dataclasses import dataclass

import torch

from melmoat.attacks import Goal, ThreatModel
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models import Recognizer


@dataclass(frozen=True)
class Sign(ThreatModel):
    """``ThreatModel`` brings the options of budget and goal, such as ``norm`` and ``target``."""

    size: float = 1.0  # of the step, in radii of the budget

    access = "white-box"  # it asks the judged system for its gradient
    evaluations = 1

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        wav = audio.wav.detach().requires_grad_()
        with torch.enable_grad():
            goal.loss(model, audio.with_wav(wav), draws).sum().backward()
        radius = self.size * self.budget.radius(audio)[:, None]
        delta = -radius * self.budget.step(wav.grad.sign() * audio.mask, audio)
        return audio.with_wav(audio.wav + self.budget.project(delta, audio))
