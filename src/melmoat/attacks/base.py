"""The interfaces of attacks and their goals."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol, cast, get_args, get_type_hints

from torch import Tensor

from melmoat.attacks.budgets import Budget, budget
from melmoat.attacks.endless import ENDLESS, Endless, for_recognizer
from melmoat.audio import Audio
from melmoat.draws import Draws, derive
from melmoat.errors import MelmoatError
from melmoat.metrics.errors import char_edits, word_edits
from melmoat.models.base import Recognizer, as_written_by, comparison_of
from melmoat.text import canonical, listed, normalise, same_text
from melmoat.writing_systems import unspaced

MATCHED, SHORTER = "matched", "shorter"
_FROM_CORPUS = re.compile(rf"{MATCHED}(?:-([1-9]\d*))?|{SHORTER}")

# What an attack knows of the judged system: its gradient; only another system; at most its
# transcripts or scores; nothing, because it is a comparison.
Access = Literal["white-box", "transfer", "black-box", "control"]
ACCESSES: tuple[Access, ...] = get_args(Access)


class AttackError(MelmoatError):
    """An attack cannot continue. Continuing silently would make the defense look better."""


class Goal(Protocol):
    """The attacker's goal for each utterance."""

    def loss(self, model: Recognizer, audio: Audio, draws: Draws) -> Tensor:
        """What the attacker lowers, per utterance. Shape: ``[B]``."""
        ...

    def reached(self, hypotheses: Sequence[str]) -> list[bool]:
        """Whether each transcript reaches the goal."""
        ...

    def distances(self, hypotheses: Sequence[str]) -> list[int]:
        """Distance of each transcript to the goal, for attackers that see transcripts only."""
        ...

    def scores(self, hypotheses: Sequence[str]) -> list[float]:
        """How little each transcript does of what the attacker wants: points are kept by it."""
        ...

    def enough(self) -> list[float]:
        """The score of each utterance from which on nothing that counts is left to gain."""
        ...

    def pick(self, rows: Sequence[int]) -> Goal:
        """The same for some of the utterances."""
        ...


@dataclass(frozen=True)
class Untargeted:
    """Any transcript except the reference; the attacker raises the reference's loss.

    ``same`` maps equal texts to one spelling (a recognizer's normaliser).

    Raises:
        TextError: a single text came, but one per utterance is expected.
    """

    references: Sequence[str]
    same: Callable[[str], str] = canonical

    def __post_init__(self) -> None:
        listed(self.references)

    def loss(self, model: Recognizer, audio: Audio, draws: Draws) -> Tensor:
        """The negative loss of the references. Shape: ``[B]``."""
        return -model.loss(audio, self.references, draws)

    def reached(self, hypotheses: Sequence[str]) -> list[bool]:
        """Whether the transcript differs from the reference in any word."""
        pairs = zip(self.references, hypotheses, strict=True)
        return [word_edits(self.same(a), self.same(b))[0] > 0 for a, b in pairs]

    def distances(self, hypotheses: Sequence[str]) -> list[int]:
        """The negative number of character edits from the reference."""
        pairs = zip(self.references, hypotheses, strict=True)
        return [-char_edits(self.same(a), self.same(b))[0] for a, b in pairs]

    def scores(self, hypotheses: Sequence[str]) -> list[float]:
        """Lower with more words wrong, at most all of each reference; then with more characters.
        These alone count where a text has no spaces between its words."""
        pairs = [
            (self.same(a), self.same(b)) for a, b in zip(self.references, hypotheses, strict=True)
        ]
        chars = [min(*char_edits(a, b)) for a, b in pairs]
        return [
            -float(wrong) if unspaced(a) else -min(*word_edits(a, b)) - wrong / (len(a) + 1)
            for (a, b), wrong in zip(pairs, chars, strict=True)
        ]

    def enough(self) -> list[float]:
        """The scores with all words wrong, or all characters."""
        texts = map(self.same, self.references)
        return [-float(len(text) if unspaced(text) else len(text.split())) for text in texts]

    def pick(self, rows: Sequence[int]) -> Untargeted:
        """The same for some of the utterances."""
        return Untargeted([self.references[i] for i in rows], self.same)


@dataclass(frozen=True)
class Targeted:
    """A certain transcript; the attacker lowers its loss. ``same`` and errors as for
    :class:`Untargeted`. ``asked`` has the targets before they are written in a recognizer's
    spelling."""

    targets: Sequence[str]
    same: Callable[[str], str] = canonical
    asked: Sequence[str] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        listed(self.targets)

    def loss(self, model: Recognizer, audio: Audio, draws: Draws) -> Tensor:
        """The loss of the targets. Shape: ``[B]``."""
        return model.loss(audio, self.targets, draws)

    def reached(self, hypotheses: Sequence[str]) -> list[bool]:
        """Whether the transcript equals the target, word for word."""
        pairs = zip(self.targets, hypotheses, strict=True)
        return [word_edits(self.same(a), self.same(b))[0] == 0 for a, b in pairs]

    def distances(self, hypotheses: Sequence[str]) -> list[int]:
        """The number of character edits to the target."""
        pairs = zip(self.targets, hypotheses, strict=True)
        return [char_edits(self.same(a), self.same(b))[0] for a, b in pairs]

    def scores(self, hypotheses: Sequence[str]) -> list[float]:
        """The number of character edits to the target."""
        return [float(distance) for distance in self.distances(hypotheses)]

    def enough(self) -> list[float]:
        """The scores at the target."""
        return [0.0] * len(self.targets)

    def pick(self, rows: Sequence[int]) -> Targeted:
        """The same for some of the utterances."""
        asked = None if self.asked is None else [self.asked[i] for i in rows]
        return Targeted([self.targets[i] for i in rows], self.same, asked)


def lacking(attack: object) -> list[str]:
    """What keeps an object from being an attack; empty if nothing does."""
    lacks = [name for name in ("budget", "evaluations", "goal") if not hasattr(attack, name)]
    return lacks if lacks or callable(attack) else ["__call__"]


def access_of(attack: object) -> Access:
    """The access that an attack declares.

    Args:
        attack: an attack, its class, or a function whose return type is such a class.

    Raises:
        AttackError: it declares no access or an unknown one.
    """
    access = getattr(attack, "access", None)
    if access is None and inspect.isfunction(attack):
        access = getattr(get_type_hints(attack).get("return"), "access", None)
    if access not in ACCESSES:
        name = getattr(attack, "__name__", type(attack).__name__)
        problem = "declares no access" if access is None else f"declares the access {access!r}"
        known = ", ".join(map(repr, ACCESSES))
        raise AttackError(
            f"the attack {name} {problem}; say what it has of the system that is judged: "
            f"access = one of {known} (docs/attacks.md)"
        )
    return cast(Access, access)


def adapt_goal(goal: Goal, model: Recognizer) -> Goal:
    """``goal`` for ``model``: with targets in its spelling, and texts compared in its way."""
    if isinstance(goal, Targeted):
        asked = goal.targets if goal.asked is None else goal.asked
        goal = replace(goal, targets=[as_written_by(model, text) for text in asked], asked=asked)
    if isinstance(goal, Endless):
        goal = for_recognizer(goal, model)
    if isinstance(goal, Untargeted | Targeted):
        goal = replace(goal, same=comparison_of(model))
    return goal


class Attack(Protocol):
    """Changes audio so that a recognizer makes errors."""

    @property
    def access(self) -> Access:
        """What it knows of the judged system. The audit relies on this, so there is no default."""
        ...

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        """The adversarial audio: same lengths, same rate, within the attack's budget."""
        ...

    @property
    def budget(self) -> Budget | None:
        """The limit that the judge checks; None if the attack changes nothing."""
        ...

    @property
    def evaluations(self) -> int:
        """Number of loss evaluations of one call, for progress bars."""
        ...

    def goal(
        self,
        benign: Sequence[str],
        references: Sequence[str],
        corpus: Callable[[], Sequence[str]] = tuple,
        seed: int = 0,
    ) -> Goal:
        """The goal for a batch with these transcripts; :class:`Objective` has the usual one.

        Args:
            benign: the recognizer's transcript of each clean utterance.
            references: the text of each utterance.
            corpus: returns all texts of the corpus, for targets from it. Called only if the attack
                needs them, because a large corpus is slow to list.
            seed: seed for the choice of targets.
        """
        ...


class Nested:
    """An attack around another: budget and goal are the inner one's.

    The judge asks the inner goal, from the transcripts of the judged system, whatever the inner
    attack is given to lower.
    """

    attack: Attack

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
        """The text that the inner attack moves away from, if any."""
        against: str | None = getattr(self.attack, "against", None)
        return against

    def goal(self, *args: Any, **options: Any) -> Goal:
        """The inner attack's."""
        return self.attack.goal(*args, **options)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """The goal of an attack. It is part of the spec, so result files state it.

    Args:
        against: an untargeted attack moves away from the recognizer's own ``benign`` transcript (as
            in the paper), or from the ``truth``.
        target: the transcript that a targeted attack wants. Either one text for every utterance
            (an empty one wants silence), or for each utterance another text of the corpus
            (:func:`matched`): ``matched``, ``matched-2`` and so on for further ones, ``shorter``
            for one of half the length. ``endless`` wants a text that does not end
            (:mod:`melmoat.attacks.endless`), of a recognizer of tokens.
    """

    against: Literal["benign", "truth"] = "benign"
    target: str | None = None

    def goal(
        self,
        benign: Sequence[str],
        references: Sequence[str],
        corpus: Callable[[], Sequence[str]] = tuple,
        seed: int = 0,
    ) -> Untargeted | Targeted | Endless:
        """The goal for a batch with these transcripts; see :class:`Attack`."""
        if self.target == ENDLESS:
            return Endless(len(listed(benign)))
        if self.target is not None and (found := _FROM_CORPUS.fullmatch(self.target)):
            texts, place = corpus(), int(found[1] or 1) - 1
            share = 0.5 if self.target == SHORTER else 1.0
            plain = map(normalise, listed(references))
            return Targeted([matched(text, texts, seed, place, share) for text in plain])
        if self.target is not None:
            return Targeted([_asked(self.target)] * len(listed(benign)))
        return Untargeted(list(listed(benign if self.against == "benign" else references)))


def is_keyword(target: str) -> bool:
    """Whether ``target=`` with this stands for other texts than itself."""
    return target == ENDLESS or is_from_corpus(target)


def is_from_corpus(target: str) -> bool:
    """Whether ``target=`` with this gives each utterance a text of its own."""
    return _FROM_CORPUS.fullmatch(target) is not None


def _asked(text: str) -> str:
    """A target unchanged; but if it has only lower-case ASCII letters, which say nothing about
    case, it is put in capitals, like the texts of corpora. Punctuation alone stays: it is the way
    to say nothing for a recognizer that may not write an empty text."""
    plain = text.isascii() and text == text.lower()
    return (normalise(text) or text) if plain else text


def matched(
    text: str, corpus: Sequence[str], seed: int = 0, place: int = 0, share: float = 1.0
) -> str:
    """A target for an utterance of ``text``: another text of the corpus of about the same length,
    in the corpus's spelling.

    It is drawn from the texts whose length differs by at most a tenth, or else from the nearest
    ones. It depends only on the text, the seed and the set of texts in the corpus. So an utterance
    has the same target in every cell, batch and order.

    Args:
        place: which one of them, from 0, then of those of other lengths. If there are fewer, they
            are counted again from the first.
        share: length of the target as a share of the text's.

    Raises:
        AttackError: the corpus has no other text.

    >>> matched("GO ON", ["STOP IT", "GO ON", "YES", "NO WAY"])
    'NO WAY'
    """
    others = {other for other in corpus if normalise(other) and not same_text(text, other)}
    if not others:
        raise AttackError(
            f"target={MATCHED} takes another text of the corpus, and there is none; give a corpus "
            "of several texts (`melmoat bench --data`), or say the target: target=TEXT"
        )
    plain = {other: normalise(other) for other in others}
    length = round(share * len(text))
    far = {other: abs(len(plain[other]) - length) for other in others}
    enough = max(length // 10, min(far.values()))
    drawn = {other: (derive("target", seed, text, plain[other]), other) for other in others}
    order = sorted(others, key=lambda other: (max(far[other], enough), drawn[other]))
    return _asked(order[place % len(order)])


@dataclass(frozen=True)
class ThreatModel(Objective):
    """How much an attack may change; part of its spec.

    Args:
        norm: ``linf``, ``l2`` or ``snr``.
        eps: radius for linf (of full scale 1) and l2.
        db: for snr, the least signal-to-noise ratio in dB; for linf, the ratio if every sample
            changes by the radius.
        ratio: the same as a linear power ratio (Armory's ``snr``).
    """

    norm: Literal["linf", "l2", "snr"] = "snr"
    eps: float | None = None
    db: float | None = None
    ratio: float | None = None

    def __post_init__(self) -> None:
        _ = self.budget

    @property
    def budget(self) -> Budget:
        """The budget that perturbations must keep."""
        return budget(self.norm, self.eps, self.db, self.ratio)


@dataclass(frozen=True)
class NoAttack(Objective):
    """No attack: the benign row of a table."""

    access: ClassVar[Access] = "control"
    budget = None
    evaluations = 0

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        return audio
