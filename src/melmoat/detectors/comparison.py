"""Detectors that compare what is heard in the audio before and after a defense.

A perturbation is crafted for one path through the recognizer. A transformation that hardly changes
the transcript of speech often changes that of adversarial audio (Hussain et al. 2021, WaveGuard).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated

import torch
from torch import Tensor

from melmoat import defenses
from melmoat.audio import Audio
from melmoat.defenses import Defense, NoDefense
from melmoat.defenses.custom import Own
from melmoat.detectors.base import Detector
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.facts import Part
from melmoat.metrics.errors import char_edits
from melmoat.models.base import Recognizer, comparison_of, transcribe
from melmoat.models.seq2seq import readable

DefenseSpec = Annotated[str, Part("defense")]


class _Comparison(Detector):
    """A recognizer, and the same behind a defense."""

    def __init__(self, defense: DefenseSpec) -> None:
        self.defense = defense
        self._made = defenses.build(defense)
        if not isinstance(self._made, Own):  # whose code runs at first use
            _ = self.inner

    @cached_property
    def inner(self) -> Defense:
        """The defense.

        Raises:
            MelmoatError: it is none, so there is nothing to compare.
        """
        made = self._made.made if isinstance(self._made, Own) else self._made
        if isinstance(made, NoDefense):
            raise MelmoatError(
                f"a detector needs a defense that changes the audio; {self.defense!r} does not"
            )
        return made

    def _plain(self, model: Recognizer, audio: Audio, draws: Draws) -> list[str]:
        with torch.no_grad():
            return transcribe(model, audio, draws.fork("plain"))

    def _read(self, model: Recognizer, audio: Audio, draws: Draws) -> list[str]:
        """What is heard, as far as its likelihood can be computed."""
        return [readable(model, text) for text in self._plain(model, audio, draws)]

    def _behind(self, model: Recognizer) -> Recognizer:
        return self.inner.wrap(model)

    def evasion(
        self, model: Recognizer, audio: Audio, draws: Draws, targets: Sequence[str] | None
    ) -> Tensor:
        """The loss behind the defense, of the target or else of what is heard without it now.

        Low loss there means that both paths write the same. With ``weight=1`` a targeted attack
        lowers the sum of both losses of its target. Shape: ``[B]``.

        Raises:
            MelmoatError: no gradient flows through the defense, so the sum would be blind to it.
        """
        _, differentiable = defenses.declared(self.inner)
        if differentiable is False and not defenses.approximates(self.inner):
            raise MelmoatError(
                f"no gradient flows through {self.defense}, so an attack that follows one cannot "
                "evade this detector; give the defense another gradient (gradient=bpda)"
            )
        texts = self._read(model, audio, draws) if targets is None else list(targets)
        return self._behind(model).loss(audio, texts, draws.fork("behind"))


class Disagreement(_Comparison):
    """How far the transcripts before and after a defense differ (WaveGuard).

    The score is the number of character edits between the two transcripts, divided by the length
    of the longer one. Both are compared after the recognizer's normaliser. The score is 0 if they
    are equal and at most 1. Source: Hussain et al. 2021, section 4.

    Args:
        defense: the transformation; a spec with commas stands in parentheses.
    """

    def __init__(self, defense: DefenseSpec) -> None:
        super().__init__(defense)

    def score(self, model: Recognizer, audio: Audio, draws: Draws) -> Tensor:
        """The normalised edit distance. Shape: ``[B]``."""
        same = comparison_of(model)
        plain = self._plain(model, audio, draws)
        behind = transcribe(self._behind(model), audio, draws.fork("behind"))
        pairs = [(same(a), same(b)) for a, b in zip(plain, behind, strict=True)]
        rates = [char_edits(a, b)[0] / max(len(a), len(b), 1) for a, b in pairs]
        return torch.tensor(rates, dtype=torch.float64)


class Likelihood(_Comparison):
    """Drop of the transcript's log likelihood through a defense.

    The score is ``log p(y | x) - log p(y | g(x))`` in nats per character of ``y``, where ``y`` is
    the transcript of the audio ``x`` and ``g`` the defense. So it also sees what does not change a
    transcript yet. It needs no probabilities of frames or tokens, only the recognizer's loss.

    Args:
        defense: the transformation; a spec with commas stands in parentheses.
    """

    def __init__(self, defense: DefenseSpec) -> None:
        super().__init__(defense)

    def score(self, model: Recognizer, audio: Audio, draws: Draws) -> Tensor:
        """The drop. Shape: ``[B]``."""
        texts = self._read(model, audio, draws)
        before = model.loss(audio, texts, draws.fork("plain"))
        after = self._behind(model).loss(audio, texts, draws.fork("behind"))
        lengths = torch.tensor([max(len(text), 1) for text in texts]).to(before)
        return (after - before) / lengths
