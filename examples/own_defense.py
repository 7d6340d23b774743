"""A defense of one's own: coarser samples. docs/defenses.md says what it is attacked with.

melmoat attack speech.wav bad.wav --defense python:own_defense:Coarse
melmoat attack speech.wav bad.wav --defense python:own_defense:Coarse,bits=6,gradient=bpda
"""

from melmoat.audio import Audio
from melmoat.defenses import FrontEnd
from melmoat.draws import Draws


class Coarse(FrontEnd):
    """Rounds every sample to ``bits`` bits. A rounding has no gradient: attackers need BPDA."""

    differentiable = False

    def __init__(self, bits: int = 8) -> None:
        self.steps = 2 ** (bits - 1)

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio.with_wav((audio.wav * self.steps).round() / self.steps)
