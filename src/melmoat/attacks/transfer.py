"""Attacks crafted on one system and judged on another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import torch

from melmoat import defenses, models
from melmoat.attacks.base import Access, Attack, AttackError, Goal, Untargeted, adapt_goal
from melmoat.attacks.budgets import Budget
from melmoat.attacks.oracle import Crafted
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer, kind_of, labels_of, normaliser_of, require_ctc
from melmoat.models.wrappers import Monitored
from melmoat.text import TextError, spell


@dataclass(frozen=True)
class Transfer:
    """Crafts on a system of its own; of the judged one it knows the benign transcript at most.

    Budget, target and what is moved away from are those of the inner attack. It reports no queries:
    the judged system was asked none.

    Args:
        model: spec of the recognizer that the attack is crafted on.
        defense: spec of that recognizer's defense.
        attack: what is crafted.
    """

    access: ClassVar[Access] = "transfer"
    model: str
    defense: str
    attack: Attack

    def __post_init__(self) -> None:
        models.MODELS.parse(self.model)
        defenses.build(self.defense)

    @cached_property
    def system(self) -> Recognizer:
        """What the attack is crafted on, loaded when it is first used."""
        return defenses.build(self.defense).wrap(models.load(self.model))

    @property
    def budget(self) -> Budget | None:
        """The inner attack's."""
        return self.attack.budget

    @property
    def evaluations(self) -> int:
        """The inner attack's."""
        return self.attack.evaluations

    @property
    def against(self) -> str | None:
        """What the inner attack moves away from, if it does."""
        found: str | None = getattr(self.attack, "against", None)
        return found

    def goal(self, *args: Any, **options: Any) -> Goal:
        """The inner attack's, from the transcripts of the judged system."""
        return self.attack.goal(*args, **options)

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        own = self.system
        if own.rate != audio.rate:
            raise AttackError(
                f"{self.model} hears {own.rate} Hz and the judged system {audio.rate}: an attack "
                "on the one is no audio for the other"
            )
        if isinstance(goal, Untargeted) and _phonemic(model) and not _phonemic(own):
            raise AttackError(
                f"the judged system writes phonemes, and {self.model} words: what the one wrote is "
                "no text for the other; let both write phonemes, or both words"
            )
        if isinstance(model, Monitored):  # progress is that of the crafting
            own = Monitored(own, model.tick)
        wav = self.attack(own, audio, _own(goal, own), draws).wav
        return Crafted(wav, audio.lengths, audio.rate, None, torch.zeros_like(audio.lengths))


def _phonemic(model: Recognizer) -> bool:
    normaliser = normaliser_of(model)
    return normaliser is not None and normaliser.name == "phonemes"


def _writes(model: Recognizer, word: str) -> bool:
    try:
        return bool(require_ctc(model).targets([word]))
    except TextError:
        return False


def _own(goal: Goal, model: Recognizer) -> Goal:
    """``goal`` for the system that it is crafted on: Whisper hears small letters and points, a CTC
    recognizer of capitals knows neither. What that one cannot write of a reference is left out; a
    target it has to write whole."""
    goal, labels = adapt_goal(goal, model), labels_of(model)
    if kind_of(model) != "ctc" or not isinstance(goal, Untargeted):
        return goal

    def known(text: str) -> str:
        if labels is None:
            return " ".join(word for word in text.split() if _writes(model, word))
        return " ".join("".join(c for c in spell(text, labels) if c in labels).split())

    return replace(goal, references=[known(text) for text in goal.references])
