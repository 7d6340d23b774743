"""Checks of a recognizer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from melmoat.audio import Audio
from melmoat.checking.lines import (
    CLOSE,
    Check,
    Line,
    NoteError,
    WrongError,
    apart,
    draws,
    lines,
    silence,
    speech,
)
from melmoat.draws import Draws
from melmoat.models import custom
from melmoat.models.base import Recognizer, as_written_by, kind_of, require_ctc, transcribe
from melmoat.text import TextError

# Layers whose numbers in training are not those in use.
_FICKLE = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)


def check_recognizer(model: Any, blind: bool = False) -> Iterator[Line]:
    """What is right and what is wrong with a recognizer, line by line.

    Args:
        blind: it stands behind a defense that says that no gradient flows through it.
    """
    wrong = custom.faults(model)
    if wrong:
        yield Line("interface", "wrong", f"{'; '.join(wrong)} (docs/recognizers.md)")
        return
    yield Line("interface", "ok", f"{type(model).__name__}, which hears {model.rate} Hz")
    subject = _Subject(model, blind)
    yield from lines(subject.checks())


class _Subject:
    """A recognizer and two utterances that it is tried on."""

    def __init__(self, model: Any, blind: bool) -> None:
        self.model: Recognizer = model
        self.blind = blind
        self.audio, self.truth = speech(model.rate)
        self._texts: list[str] = []

    def checks(self) -> dict[str, Check]:
        """Each check by its name."""
        checks: dict[str, Check] = {"shapes": self.shapes}
        if kind_of(self.model) == "ctc":
            checks |= {"its loss": self.loss}
        return checks | {
            "padding": self.padding,
            "gradient": self.gradient,
            "silence": self.silence,
            "frozen weights": self.frozen,
            "same draws": self.same,
            "other draws": self.other,
        }

    @property
    def texts(self) -> list[str]:
        """Texts that the recognizer can write: what is said, or else what it hears."""
        if not self._texts:
            said = [as_written_by(self.model, text) for text in self.truth]
            heard = transcribe(self.model, self.audio, draws())
            letter = custom.a_word(self.model)
            for texts in (said, heard, [letter] * 2):
                try:
                    with torch.no_grad():
                        self.model.loss(self.audio, texts, draws())
                except TextError:
                    continue
                self._texts = texts
                break
            else:
                raise WrongError(f"its loss refuses what was said, what it hears, and {letter!r}")
        return self._texts

    def slope(self, audio: Audio, texts: list[str], streams: Draws) -> tuple[Tensor, Tensor]:
        """Loss ``[B]`` and its gradient ``[B, T]``."""
        x = audio.wav.clone().requires_grad_()
        loss = self.model.loss(Audio(x, audio.lengths, audio.rate), texts, streams)
        if not loss.requires_grad:
            raise WrongError(
                "no gradient reaches the waveform: something between it and the loss runs under "
                "no_grad or outside PyTorch; take it out, or every gradient attack is refused"
            )
        (gradient,) = torch.autograd.grad(loss.sum(), x, allow_unused=True)
        if gradient is None:
            raise WrongError(
                "the loss has a gradient, but the waveform none: a detach, .data or a copy by "
                "NumPy lies between them; take it out"
            )
        return loss.detach(), gradient * audio.mask

    def shapes(self) -> str:
        custom.check(self.model)
        loss = self.model.loss(self.audio, self.texts, draws())
        if loss.shape != (2,):
            raise WrongError(f"its loss of 2 utterances has shape {list(loss.shape)}, not [2]")
        if not torch.isfinite(loss).all():
            raise WrongError(
                f"its loss of ordinary speech is {loss.tolist()}; it must be finite (log of zero?)"
            )
        sums = ", each frame's probabilities sum to one" if kind_of(self.model) == "ctc" else ""
        return f"transcripts and losses are one an utterance{sums}"

    def loss(self) -> str:
        model = require_ctc(self.model)
        with torch.no_grad():
            own = self.model.loss(self.audio, self.texts, draws())
            wanted = model.loss_of(*model.log_probs(self.audio, draws()), self.texts)
        if apart(own, wanted) > CLOSE:
            raise WrongError(
                f"its loss is {_few(own)}, and that of its log probabilities {_few(wanted)}: "
                "attacks take the second for the first. Subclass melmoat.models.base.CTC (and "
                "override loss_of for another loss); sum over frames, do not average"
            )
        return "that of its log probabilities"

    def padding(self) -> str:
        together, slopes = self.slope(self.audio, self.texts, draws())
        heard = transcribe(self.model, self.audio, draws())
        for i in range(2):
            alone = self.audio.pick([i])
            loss, slope = self.slope(alone, [self.texts[i]], draws(i))
            off = apart(together[i : i + 1], loss)
            if off > CLOSE:
                raise WrongError(
                    f"the loss of an utterance is {float(loss):.4g} alone and "
                    f"{float(together[i]):.4g} in a batch: padding leaks. Mask it, take means over "
                    "true lengths (Audio.mask, Audio.lengths)"
                )
            off = apart(slopes[i, : slope.shape[1]], slope[0])
            if off > 10 * CLOSE:
                raise WrongError(
                    f"the gradient of an utterance differs by {100 * off:.2g} % alone and in a "
                    "batch, though its loss does not: padding leaks into the backward pass"
                )
            said = transcribe(self.model, alone, draws(i))[0]
            if said != heard[i]:
                raise WrongError(
                    f"an utterance is {said!r} alone and {heard[i]!r} in a batch: padding leaks "
                    "into the transcript (does the decoder stop at the true length?)"
                )
        return "an utterance has the same transcript, loss and gradient alone and in a batch"

    def gradient(self) -> str:
        _, slope = self.slope(self.audio, self.texts, draws())
        _require_finite(slope, "speech")
        flat = [i for i in range(2) if not slope[i].any()]
        if flat and self.blind:
            raise NoteError(
                "none, as the defense says: attack it by gradient=bpda of the part that has none"
            )
        if flat:
            raise WrongError(
                "the gradient at the waveform is zero everywhere: an attack on it finds nothing "
                "and the recognizer looks robust (rounding, or a saturated output, on the way?)"
            )
        return "finite, and not zero, at the waveform"

    def silence(self) -> str:
        quiet = silence(self.audio)
        with torch.no_grad():
            loss = self.model.loss(quiet, self.texts, draws())
        if not torch.isfinite(loss).all():
            raise WrongError(
                f"its loss of digital silence is {loss.tolist()}; a floor under a log or a "
                "variance mends it"
            )
        _require_finite(self.slope(quiet, self.texts, draws())[1], "digital silence")
        return "loss and gradient are finite"

    def frozen(self) -> str:
        modules = _modules(self.model)
        if not modules:
            raise NoteError("no torch module was found in it: nobody can tell")
        free = sum(p.requires_grad for m in modules for p in m.parameters())
        if free:
            raise WrongError(
                f"{free} of its weights still ask for gradients, which each attack step would pay "
                "for: call .requires_grad_(False) in the factory"
            )
        fickle = [
            type(part).__name__
            for m in modules
            for part in m.modules()
            if isinstance(part, _FICKLE) and part.training
        ]
        if fickle:
            raise WrongError(
                f"in training mode ({fickle[0]}), so a batch changes what it hears: call .eval() "
                "in the factory"
            )
        return "no weight asks for a gradient, and it is in eval mode"

    def same(self) -> str:
        first, second = (self._pass(draws()) for _ in range(2))
        if first != second:
            raise WrongError(
                "two passes with the same draws differ: it draws from a global generator, or is "
                "not in eval mode. Take all random numbers from the draws that it is given"
            )
        return "two passes with the same draws agree to the bit"

    def other(self) -> str:
        ours, others = (self._pass(Draws(seeds)) for seeds in ((1, 2), (3, 4)))
        if ours == others:
            return "two passes with other draws agree: deterministic"
        return "two passes with other draws differ: stochastic, so attack it with eot="

    def _pass(self, streams: Draws) -> tuple[list[str], list[float]]:
        texts = transcribe(self.model, self.audio, streams.fork("transcribe"))
        with torch.no_grad():
            return texts, self.model.loss(self.audio, self.texts, streams.fork("loss")).tolist()


def _require_finite(slope: Tensor, what: str) -> None:
    if not torch.isfinite(slope).all():
        raise WrongError(
            f"the gradient at {what} is NaN or Inf (a square root or log at zero?): attacks would "
            "stop there; add a small number under the root, or clamp before the log"
        )


def _few(values: Tensor) -> str:
    return ", ".join(f"{v:.4g}" for v in values.tolist())


def _modules(model: object) -> list[nn.Module]:
    """The torch modules in an object, and in what it wraps."""
    if isinstance(model, nn.Module):
        return [model]
    held = list(vars(model).values()) if hasattr(model, "__dict__") else []
    own = [value for value in held if isinstance(value, nn.Module)]
    inner = getattr(model, "model", None)
    wrapped = inner is not None and not isinstance(inner, nn.Module)
    return own + (_modules(inner) if wrapped else [])
