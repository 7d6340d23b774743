"""The interfaces of defenses."""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.defenses.streaming import STREAMABLE, Overlapping, Stage
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import Recognizer
from melmoat.models.wrappers import Defended, checked_output


class Defense(Protocol):
    """Turns a recognizer into a recognizer."""

    def wrap(self, model: Recognizer) -> Recognizer:
        """The defended recognizer."""
        ...


class FrontEnd:
    """A defense that is a function of audio; subclasses implement :meth:`__call__`.

    Attributes:
        stochastic: whether two draws give different audio.
        differentiable: whether an exact gradient flows through it.
        approximate: where none does, whether attackers get another one from its backward pass that
            is not zero.
        rounding: what rounds the samples before anything else is done to them, if attackers get a
            gradient through it.
    """

    stochastic: bool = False
    differentiable: bool = True
    approximate: bool = False
    rounding: Rounding | None = None

    @property
    def dilutes(self) -> bool:
        """Whether silence around the speech weakens the defense. The sender of a recording then
        controls its strength."""
        return False

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        """The defended audio: same lengths, same rate; utterance ``i`` depends on stream ``i``."""
        raise NotImplementedError

    def stream(self, rate: int, draws: Draws) -> Stage:
        """The same defense at work on live audio (:class:`melmoat.defenses.Streamed`).

        Args:
            rate: sampling rate of the stream, Hz.
            draws: one stream of random numbers.

        Raises:
            MelmoatError: it cannot be streamed, or not at this rate.
        """
        raise MelmoatError(
            f"{type(self).__name__} cannot be streamed: what it makes of a sample depends on the "
            f"whole recording. These can be: {STREAMABLE}"
        )

    def wrap(self, model: Recognizer) -> Recognizer:
        """The recognizer behind this front-end."""
        return Defended(model, self)


def apply(front_end: FrontEnd, audio: Audio, draws: Draws | None = None) -> Audio:
    """Apply a front-end without a gradient, and check the result.

    Args:
        draws: its random numbers; if None, from a fresh secret seed.

    Raises:
        MelmoatError: it failed, changed a length or the rate, or made NaN or Inf.
    """
    draws = draws or Draws.secret(len(audio))
    try:
        with torch.no_grad():
            out = checked_output(front_end, audio, front_end(audio, draws))
    except MelmoatError:
        raise
    except Exception as error:  # a user's front-end, or not enough memory
        name = type(front_end).__name__
        raise MelmoatError(f"{name} failed, {type(error).__name__}: {error}") from error
    if not torch.isfinite(out.wav).all():
        raise MelmoatError(f"{type(front_end).__name__} made NaN or Inf of audio that had none")
    return out


class NoDefense(FrontEnd):
    """No defense: the audio stays as it is."""

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio

    def stream(self, rate: int, draws: Draws) -> Stage:
        return Overlapping(self, rate)

    def wrap(self, model: Recognizer) -> Recognizer:
        return model


class Rounding(FrontEnd):
    """Rounds each sample on a scale of its own, on which the levels are the whole numbers.

    Subclasses write :meth:`scale`, which must rise with the sample, and :meth:`level`. Attackers
    who take BPDA can then use the edges between levels too
    (:class:`melmoat.attacks.lattice.Lattice`). The gradient is zero.
    """

    differentiable = False

    def scale(self, wav: Tensor) -> Tensor:
        """The place of each sample on the scale, any shape."""
        raise NotImplementedError

    def level(self, places: Tensor) -> Tensor:
        """The sample at each place, the inverse of :meth:`scale`, any shape."""
        raise NotImplementedError

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio.with_wav(self.level(torch.round(self.scale(audio.wav))))

    def stream(self, rate: int, draws: Draws) -> Stage:
        return Overlapping(self, rate)


def first_rounding(front_end: FrontEnd) -> Rounding | None:
    """What rounds the samples before anything else, if something does."""
    links = getattr(front_end, "links", None)  # of a chain
    if links:
        return first_rounding(links[0])
    if isinstance(front_end, Rounding) and type(front_end).__call__ is Rounding.__call__:
        return front_end
    return front_end.rounding


class StraightThrough(FrontEnd):
    """Backward-pass differentiable approximation (BPDA, Athalye et al. 2018).

    The forward pass is that of the inner front-end. The backward pass treats it as the identity.
    """

    def __init__(self, inner: FrontEnd) -> None:
        self.inner, self.stochastic = inner, inner.stochastic
        self.rounding = first_rounding(inner)

    @property
    def dilutes(self) -> bool:
        """As the inner front-end."""
        return self.inner.dilutes

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        with torch.no_grad():
            output = checked_output(self.inner, audio, self.inner(audio, draws)).wav
        return audio.with_wav(audio.wav + (output - audio.wav).detach())

    def stream(self, rate: int, draws: Draws) -> Stage:
        return self.inner.stream(rate, draws)


class Resampled(FrontEnd):
    """The backward pass of some toolkits: through a front-end with freshly drawn noise.

    The audio comes from one draw, the Jacobian from another. This weakens the attacker, so the
    defense looks better than it is. It exists to show by how much. Where the inner front-end has no
    gradient, this has none either.
    """

    def __init__(self, inner: FrontEnd) -> None:
        self.inner, self.stochastic = inner, inner.stochastic
        self.differentiable, self.approximate = inner.differentiable, inner.approximate

    @property
    def dilutes(self) -> bool:
        """As the inner front-end."""
        return self.inner.dilutes

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        with torch.no_grad():
            output = checked_output(self.inner, audio, self.inner(audio, draws.fork("forward"))).wav
        if not torch.is_grad_enabled():
            return audio.with_wav(output)
        other = checked_output(self.inner, audio, self.inner(audio, draws.fork("backward"))).wav
        return audio.with_wav(other + (output - other).detach())

    def stream(self, rate: int, draws: Draws) -> Stage:
        return self.inner.stream(rate, draws.fork("forward"))


Gradient = Literal["exact", "resampled", "bpda"]


def with_gradient(front_end: FrontEnd, gradient: Gradient) -> FrontEnd:
    """``front_end`` with this gradient for attackers."""
    if gradient == "resampled":
        return Resampled(front_end)
    return StraightThrough(front_end) if gradient == "bpda" else front_end
