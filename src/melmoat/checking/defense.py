"""Checks of a defense."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

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
from melmoat.checking.recognizer import check_recognizer
from melmoat.defenses import FrontEnd, apply, approximates, declared, function_of_audio
from melmoat.defenses.chain import Chained
from melmoat.draws import Draws
from melmoat.models.base import Recognizer


def check_defense(defense: Any, model: Recognizer) -> Iterator[Line]:
    """What is right and what is wrong with a defense, line by line.

    One that is no function of audio is checked as the recognizer that it makes of ``model``.
    """
    if not callable(getattr(defense, "wrap", None)):
        yield Line(
            "interface",
            "wrong",
            f"a {type(defense).__name__} is no defense: subclass melmoat.defenses.FrontEnd, or "
            "write a method wrap(model) that returns a recognizer (docs/defenses.md)",
        )
        return
    front = function_of_audio(defense)
    if front is None:
        yield Line("interface", "ok", f"wraps a recognizer: {type(model).__name__} is tried in it")
        blind = declared(defense)[1] is False and not approximates(defense)
        yield from check_recognizer(defense.wrap(model), blind)
        return
    flags = {name: getattr(front, name, None) for name in ("stochastic", "differentiable")}
    if wrong := [name for name, value in flags.items() if not isinstance(value, bool)]:
        text = f"{wrong[0]} must be True or False, got {flags[wrong[0]]!r}"
        yield Line("interface", "wrong", f"{text}: the audit relies on it (docs/defenses.md)")
        return
    said = ("" if flags["stochastic"] else "not ", "" if flags["differentiable"] else "not ")
    yield Line(
        "interface",
        "ok",
        f"a function of audio; it says that it is {said[0]}stochastic and {said[1]}differentiable",
    )
    yield from lines(_Subject(front, model.rate).checks())


class _Subject:
    """A front-end and two utterances that it is tried on."""

    def __init__(self, front: FrontEnd, rate: int) -> None:
        self.front = front
        self.audio, _ = speech(rate)

    def checks(self) -> dict[str, Check]:
        """Each check by its name."""
        return {
            "lengths and rate": self.lengths,
            "padding": self.padding,
            "silence": self.silence,
            "gradient": self.gradient,
            "same draws": self.same,
            "other draws": self.other,
        }

    def lengths(self) -> str:
        given = self.audio.copy()
        out = apply(self.front, given, draws())
        if not torch.equal(given.wav, self.audio.wav):
            raise WrongError(
                "it writes to the audio that it is given, so gradient attacks stop, or take "
                "defended audio for their own: return audio.with_wav(...) of a new tensor"
            )
        if out.wav.shape != self.audio.wav.shape:
            raise WrongError(
                f"{list(self.audio.wav.shape)} samples went in and {list(out.wav.shape)} came out"
            )
        return ended(out)

    def padding(self) -> str:
        together = apply(self.front, self.audio, draws())
        for i in range(2):
            alone = apply(self.front, self.audio.pick([i]), draws(i))
            off = apart(together.wav[i, : alone.wav.shape[1]], alone.wav[0])
            if off > CLOSE:
                raise WrongError(
                    f"an utterance alone and in a batch differ by {100 * off:.2g} %: padding or a "
                    "neighbour leaks in. Take means and maxima over true lengths (Audio.mask), "
                    "and draw noise from the draws that are given, not from a global generator"
                )
        return "an utterance comes out the same alone and in a batch"

    def silence(self) -> str:
        quiet = silence(self.audio)
        apply(self.front, quiet, draws())
        if self._followed and not torch.isfinite(self._slope(quiet)).all():
            raise WrongError(
                "the gradient at digital silence is NaN or Inf (a square root or log at zero?): "
                "add a small number under the root, or clamp before the log"
            )
        return "what comes of digital silence is finite"

    @property
    def _followed(self) -> bool:
        """Whether attackers follow its gradient."""
        return self.front.differentiable or self.front.approximate

    @property
    def _bpda(self) -> str:
        chained = isinstance(self.front, Chained)
        return "gradient=bpda of the link that has none" if chained else "gradient=bpda"

    def gradient(self) -> str:
        if not self._followed:
            raise NoteError(
                f"none, as it says: attack it by {self._bpda}, or the audit calls it suspect"
            )
        slope = self._slope(self.audio)
        if not torch.isfinite(slope).all():
            raise WrongError("the gradient at speech is NaN or Inf")
        if not slope.any(1).all():
            raise WrongError(
                "the gradient is zero everywhere, so an attack through it finds nothing: say "
                f"differentiable = False, and attack it by {self._bpda}"
            )
        kind = "" if self.front.differentiable else ", but only a stand-in, as it says"
        return f"finite, and not zero, at the waveform{kind}"

    def same(self) -> str:
        return repeated("passes", *(apply(self.front, self.audio, draws()) for _ in range(2)))

    def other(self) -> str:
        first, second = (apply(self.front, self.audio, Draws(s)) for s in ((1, 2), (3, 4)))
        differ = not torch.equal(first.wav, second.wav)
        if differ and not self.front.stochastic:
            raise WrongError(
                "two passes with other draws differ, but it says stochastic = False: the audit "
                "would not ask for attacks that average over draws"
            )
        if not differ and self.front.stochastic:
            raise WrongError(
                "two passes with other draws agree, but it says stochastic = True: either it does "
                "not use its draws or it is deterministic"
            )
        return f"two passes with other draws {'differ' if differ else 'agree'}, as it says"

    def _slope(self, audio: Audio) -> Tensor:
        """Gradient of a fixed random projection of the output. Shape: ``[B, T]``."""
        x = audio.wav.clone().requires_grad_()
        out = self.front(Audio(x, audio.lengths, audio.rate), draws()).wav
        if not out.requires_grad:
            raise WrongError(
                "no gradient flows through it, but it says differentiable = True: something runs "
                "under no_grad or outside PyTorch. Mend that, or say differentiable = False"
            )
        weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(0))
        (slope,) = torch.autograd.grad((out * weights).sum(), x, allow_unused=True)
        if slope is None:
            raise WrongError("its output has a gradient, but the waveform has none")
        return slope * audio.mask
