"""Attacks crafted on one system and judged on another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch

from melmoat import defenses, models
from melmoat.attacks.base import Access, Attack, AttackError, Goal, Nested, Untargeted, adapt_goal
from melmoat.attacks.oracle import Crafted
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer, kind_of, labels_of, normaliser_of, require_ctc
from melmoat.models.wrappers import Monitored
from melmoat.text import TextError, spell


@dataclass(frozen=True)
class Transfer(Nested):
    """Crafts on its own system; of the judged system it knows at most the benign transcript.

    Budget and goal are those of the inner attack. It reports no queries, because it does not query
    the judged system.

    Args:
        model: spec of the recognizer that the attack is crafted on.
        defense: spec of that recognizer's defense.
        attack: the attack that is crafted.
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
        """The system that the attack is crafted on, loaded at first use."""
        return defenses.build(self.defense).wrap(models.load(self.model))

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        system = self.system
        if system.rate != audio.rate:
            raise AttackError(
                f"{self.model} hears {system.rate} Hz and the judged system {audio.rate}: they "
                "need the same rate"
            )
        if isinstance(goal, Untargeted) and _phonemic(model) and not _phonemic(system):
            raise AttackError(
                f"the judged system writes phonemes, and {self.model} writes words: a text of "
                "the one is no text for the other; let both write phonemes, or both words"
            )
        if isinstance(model, Monitored):  # progress is that of the crafting
            system = Monitored(system, model.tick)
        wav = self.attack(system, audio, _goal_for_own_system(goal, system), draws).wav
        return Crafted(wav, audio.lengths, audio.rate, None, torch.zeros_like(audio.lengths))


def _phonemic(model: Recognizer) -> bool:
    normaliser = normaliser_of(model)
    return normaliser is not None and normaliser.name == "phonemes"


def _writes(model: Recognizer, word: str) -> bool:
    try:
        return bool(require_ctc(model).targets([word]))
    except TextError:
        return False


def _goal_for_own_system(goal: Goal, model: Recognizer) -> Goal:
    """``goal`` for the system that it is crafted on: Whisper writes lower case and
    punctuation, and a CTC recognizer of capitals can write neither. Parts of a reference that the
    system cannot write are left out. A target must be written completely."""
    goal, labels = adapt_goal(goal, model), labels_of(model)
    if kind_of(model) != "ctc" or not isinstance(goal, Untargeted):
        return goal

    def known(text: str) -> str:
        if labels is None:
            return " ".join(word for word in text.split() if _writes(model, word))
        return " ".join("".join(c for c in spell(text, labels) if c in labels).split())

    return replace(goal, references=[known(text) for text in goal.references])
