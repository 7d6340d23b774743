"""Checks of an attack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from melmoat.attacks.base import Attack, Goal, access_of, adapt_goal, lacking
from melmoat.attacks.budgets import to_pcm16
from melmoat.audio import Audio
from melmoat.checking.lines import (
    CLOSE,
    Check,
    Line,
    NoteError,
    WrongError,
    apart,
    draws,
    ended,
    lines,
    repeated,
    silence,
    speech,
)
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import Recognizer, as_written_by, transcribe
from melmoat.models.wrappers import Wrapper

OVER = 1.0001  # times its budget: what the judge lets pass as rounding
FEW = 10  # evaluations over which rounding cannot grow into another result


def check_attack(attack: Any, model: Recognizer) -> Iterator[Line]:
    """What is right and what is wrong with an attack on ``model``, line by line."""
    if lacks := lacking(attack):
        yield Line(
            "interface",
            "wrong",
            f"a {type(attack).__name__} has no {', '.join(lacks)}: subclass "
            "melmoat.attacks.ThreatModel and write __call__(model, audio, goal, draws)",
        )
        return
    try:
        access = access_of(attack)
    except MelmoatError as error:
        yield Line("interface", "wrong", str(error))
        return
    yield Line("interface", "ok", f"a {access} attack, {attack.budget or 'without a budget'}")
    yield from lines(_Subject(attack, model).checks())


class _Watched(Wrapper):
    """The same recognizer, which counts what is asked of it."""

    passes = gradients = 0

    def __init__(self, model: Recognizer) -> None:
        super().__init__(model)
        self.rounding = getattr(model, "rounding", None)

    def transformed(self, audio: Audio, draws: Draws) -> tuple[Audio, Draws]:
        """These, counted."""
        self.passes += 1
        self.gradients += torch.is_grad_enabled() and audio.wav.requires_grad
        return audio, draws


class _Subject:
    """An attack, a recognizer, two utterances, and what came of the first try."""

    def __init__(self, attack: Attack, model: Recognizer) -> None:
        self.attack, self.model = attack, model
        self.clean, truth = speech(model.rate)
        self.truth = [as_written_by(model, text) for text in truth]
        self.watched = _Watched(model)
        self._first: Audio | None = None

    def checks(self) -> dict[str, Check]:
        """Each check by its name."""
        return {
            "lengths and rate": self.lengths,
            "budget": self.budget,
            "access": self.access,
            "batch": self.batch,
            "silence": self.silence,
            "same draws": self.same,
            "effect": self.effect,
        }

    def goal(self, clean: Audio) -> Goal:
        """What the attack wants of these utterances."""
        benign = transcribe(self.model, clean, draws())
        goal = self.attack.goal(benign, self.truth, lambda: [*self.truth, "STOP", "GO ON"])
        return adapt_goal(goal, self.model)

    def run(self, clean: Audio, on: Recognizer | None = None) -> Audio:
        """What the attack makes of these, on the recognizer or a watched one."""
        # A copy, as the judge gives it one: what is written into it is a perturbation, too.
        given = clean.copy()
        return self.attack(on or _Watched(self.model), given, self.goal(clean), draws())

    @property
    def first(self) -> Audio:
        """What it makes of the two utterances, while it is watched."""
        if self._first is None:
            self._first = self.run(self.clean, self.watched)
        return self._first

    def lengths(self) -> str:
        out = self.first
        if out.rate != self.clean.rate or not torch.equal(out.lengths, self.clean.lengths):
            raise WrongError("it changed an utterance's length or the rate; an attack keeps both")
        if out.wav.requires_grad:
            raise WrongError("its audio still carries a graph: return it detached")
        if not torch.isfinite(out.wav).all():
            raise WrongError("its audio holds NaN or Inf")
        return ended(out)

    def budget(self) -> str:
        budget, delta = self.attack.budget, self.first.wav - self.clean.wav
        if budget is None:
            if delta.any():
                raise WrongError("it changes the audio, but says budget = None: nobody can hold it")
            return "it has none and changes nothing"
        radius = budget.radius(self.clean).clamp(min=1e-12)
        rounded = to_pcm16(delta, self.clean, budget).wav - self.clean.wav
        used = max(float((budget.norm(d) / radius).max()) for d in (delta, rounded))
        if used > OVER:
            raise WrongError(
                f"it used {used:.3f} times its budget ({budget}): end with "
                "budget.project(delta, audio); the bench refuses it"
            )
        return f"kept: at most {used:.2f} times the radius is used"

    def access(self) -> str:
        said = access_of(self.attack)
        _ = self.first
        passes, gradients = self.watched.passes, self.watched.gradients
        if said == "white-box" and not gradients:
            raise WrongError(
                "it says white-box but never took a gradient: say access = 'black-box', or the "
                "audit counts it as an adaptive attack"
            )
        if said == "black-box" and gradients:
            raise WrongError(
                f"it says black-box but took {gradients} gradients of the judged system: say "
                "access = 'white-box'"
            )
        if said in ("transfer", "control") and passes:
            raise WrongError(
                f"it says {said} but asked the judged system {passes} times: say access = "
                f"'{'white-box' if gradients else 'black-box'}'"
            )
        return f"{said}: {passes} passes of the judged system, {gradients} of them with a gradient"

    def batch(self) -> str:
        """The neighbour is exchanged for its own time reversal: all shapes stay, and so does the
        rounding, which many steps would otherwise make large."""
        end = int(self.clean.lengths[1])
        other = self.clean.wav.clone()
        other[1, :end] = other[1, :end].flip(0)
        out = self.run(self.clean.with_wav(other))
        ours = self.first.wav[0] - self.clean.wav[0]
        off = apart(out.wav[0] - self.clean.wav[0], ours)
        if off <= 10 * CLOSE:
            return "an utterance comes out the same whatever its neighbour is"
        text = f"with another neighbour in the batch the perturbation differs by {100 * off:.2g} %"
        if self.attack.evaluations > FEW:
            raise NoteError(
                f"{text}: either a leak, or rounding that grew over its steps. Check it with "
                f"{FEW} steps or fewer"
            )
        raise WrongError(
            f"{text}: something is taken over the whole batch, such as a norm or a mean; take it "
            "for each utterance"
        )

    def silence(self) -> str:
        out = self.run(silence(self.clean))
        if not torch.isfinite(out.wav).all():
            raise WrongError(
                "it makes NaN or Inf of digital silence: guard a division by the signal's level"
            )
        return "what it makes of digital silence is finite"

    def same(self) -> str:
        return repeated("runs", self.first, self.run(self.clean))

    def effect(self) -> str:
        said = access_of(self.attack)
        if said == "control":
            return "a control: nothing is asked of it"
        goal = self.goal(self.clean)
        with torch.no_grad():
            before, after = (goal.loss(self.model, a, draws()) for a in (self.clean, self.first))
        worse = int((after >= before).sum())
        if worse and said == "white-box":
            raise NoteError(
                f"the goal's loss did not fall on {worse} of 2 utterances: is the sign right? "
                "(an attacker lowers goal.loss)"
            )
        if worse:
            raise NoteError(f"the goal's loss did not fall on {worse} of 2 utterances")
        return "the goal's loss fell on both utterances"
