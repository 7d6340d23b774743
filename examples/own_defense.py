"""A defense of one's own: 8-bit samples. docs/defenses.md says what it is attacked with.

melmoat attack speech.wav bad.wav --defense python:own_defense:Coarse
melmoat attack speech.wav bad.wav --defense python:own_defense:Coarse,gradient=bpda
"""

from melmoat.audio import Audio
from melmoat.defenses import FrontEnd
from melmoat.draws import Draws


class Coarse(FrontEnd):
    """Rounds every sample. A rounding has no gradient: attackers need BPDA."""

    differentiable = False

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio.with_wav((audio.wav * 128).round() / 128)
