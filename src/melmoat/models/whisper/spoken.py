"""The language that a multilingual Whisper hears, as a recognizer of its own.

A Whisper that is not told the language first asks which one is spoken, and then writes in it
(Radford et al. 2022, section 2.3). The answer is a choice, which has no gradient. So attacks on
Whisper do not follow it. They follow it here: the text is the language's code. What was crafted on
this recognizer is judged on Whisper itself by the attack ``transfer``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import Kind, Recognizer
from melmoat.models.whisper.recognizer import Whisper
from melmoat.text import TextError, listed


class SpokenLanguage:
    """Writes the code of the language, such as ``en``.

    Args:
        model: a multilingual Whisper that was not told a language.

    Raises:
        MelmoatError: it is another recognizer, or knows the language.
    """

    kind: ClassVar[Kind] = "text"

    def __init__(self, model: Recognizer) -> None:
        if not isinstance(model, Whisper) or not model.languages:
            raise MelmoatError(
                "spoken-language takes a multilingual Whisper that finds the language itself, such "
                "as whisper:base without language="
            )
        self.model, self.rate = model, model.rate
        self.codes = list(model.languages)

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        """The likeliest language of each utterance."""
        with torch.no_grad():
            likely = self.model.spoken(audio).argmax(-1)
        return [self.codes[i] for i in likely.tolist()]

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        """Negative log probability of each language among those that Whisper knows, in nats.

        Shape: ``[B]``.

        Raises:
            TextError: a text is not the code of one of these languages.
        """
        codes = [text.strip().lower() for text in listed(texts)]
        if unknown := [code for code in codes if code not in self.codes]:
            raise TextError(
                f"{unknown[0]!r} is not the code of a language that this Whisper knows: "
                f"{', '.join(self.codes)}"
            )
        wanted = torch.tensor([self.codes.index(code) for code in codes], device=audio.wav.device)
        return -self.model.spoken(audio).gather(1, wanted[:, None])[:, 0]
