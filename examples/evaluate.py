"""One's own recognizer and one's own defense, with parameters, on a folder of a.wav and a.txt.

python evaluate.py FOLDER
"""

import sys
from dataclasses import dataclass

from own_recognizer import load

import melmoat
from melmoat.defenses import FrontEnd


@dataclass
class Hiss(FrontEnd):
    """Adds white noise."""

    level: float = 0.01
    stochastic = True

    def __call__(self, audio, draws):
        """The noise of each utterance comes from a stream of its own."""
        return audio.with_wav(audio.wav + self.level * draws.normal(audio.wav))


folder = sys.argv[1] if sys.argv[1:] else sys.exit(__doc__)
attacks = {"clean": "none", "PGD 20 dB": "pgd:db=20,steps=5"}
print(melmoat.evaluate(load(), ["none", Hiss(), Hiss(0.1)], attacks, f"folder:{folder}"))
