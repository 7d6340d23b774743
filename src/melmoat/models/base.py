"""What a recognizer is, and what every CTC recognizer shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.decoding import Decoder, greedy
from melmoat.normalisers import Normaliser, named, of
from melmoat.text import TextError, canonical, capitals, encode, listed, spell


class Recognizer(Protocol):
    """Turns speech into text, and says how unlikely it finds a text."""

    rate: int

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        """One transcript an utterance."""
        ...

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        """Negative log probability of each text in nats, differentiable. Shape: ``[B]``."""
        ...


def transcribe(model: Recognizer, audio: Audio, draws: Draws | None = None) -> list[str]:
    """What ``model`` transcribes, checked: it may be somebody's own.

    Args:
        draws: its random numbers; if None, from a fresh secret seed.

    Raises:
        MelmoatError: it is not a list of one text an utterance.
    """
    texts = model.transcribe(audio, draws or Draws.secret(len(audio)))
    listed = isinstance(texts, Sequence) and not isinstance(texts, str)
    if not listed or len(texts) != len(audio) or not all(isinstance(t, str) for t in texts):
        raise MelmoatError(
            f"{type(model).__name__}.transcribe returned {texts!r} for {len(audio)} utterance(s); "
            "expected a list of one text each (docs/recognizers.md)"
        )
    return texts


def as_written_by(model: Recognizer, text: str) -> str:
    """What is said, as ``model`` would write it if it were right.

    In its labels, if it has some; as it stands, where a ``normaliser`` compares texts; else in
    capitals without punctuation.
    """
    labels = _within(model, "labels")
    if labels is not None:
        return spell(text, labels)
    return text if _within(model, "normaliser") is not None else capitals(text)


def normaliser_of(model: Recognizer) -> Normaliser | None:
    """What ``model``'s texts are compared by: its own; None where its labels say how it writes;
    else ``plain``, to which case and punctuation are no difference."""
    given = _within(model, "normaliser")
    if given is not None:
        return of(given)
    return None if _within(model, "labels") is not None else named("plain")


def comparison_of(model: Recognizer) -> Callable[[str], str]:
    """The function of a text after which ``model``'s texts are compared, wherever they are."""
    return normaliser_of(model) or canonical


def _within(model: object, name: str) -> Any:
    """What ``model``, or the one it wraps, has of this name: a vote over words hides its
    recognizer's labels."""
    while model is not None and getattr(model, name, None) is None:
        model = getattr(model, "model", None)
    return getattr(model, name, None)


class CTCRecognizer(Recognizer, Protocol):
    """A recognizer with frame-wise character probabilities (Graves et al. 2006).

    Having ``labels`` makes it one: attacks then take its loss, which is the CTC loss of these
    probabilities, and its greedy transcripts from one pass.
    """

    labels: str
    decoder: Decoder

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, F, V]`` and true number of frames ``[B]``.

        Each frame's probabilities sum to one: the gradient of PyTorch's CTC loss relies on it.
        """
        ...


def require_ctc(model: Recognizer) -> CTCRecognizer:
    """``model`` itself if it has frame-wise probabilities.

    Raises:
        MelmoatError: it has none, such as a sequence-to-sequence recognizer.
    """
    if not hasattr(model, "labels"):
        raise MelmoatError(
            f"{type(model).__name__} has no frame-wise probabilities, which averaging needs; "
            "use a CTC recognizer, or vote=rover, which votes over words"
        )
    return cast(CTCRecognizer, model)


class CTC:
    """Loss and decoding from ``log_probs``; the base of every CTC recognizer here."""

    rate: int
    labels: str
    decoder: Decoder = staticmethod(greedy)

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, F, V]`` and true number of frames ``[B]``."""
        raise NotImplementedError

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        """One transcript an utterance, by this recognizer's decoder."""
        with torch.no_grad():
            log_probs, frames = self.log_probs(audio, draws)
        return self.decoder(log_probs, frames, self.labels)

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        """CTC loss of each text in nats. Shape: ``[B]``.

        Raises:
            TextError: a text with foreign characters, or longer than its frames can express.
        """
        log_probs, frames = self.log_probs(audio, draws)
        return ctc_loss(log_probs, frames, texts, self.labels)


class Criterion(CTC):
    """A CTC recognizer with a loss of its own, which its ``log_probs`` are enough for."""

    def criterion(
        self, log_probs: Tensor, frames: Tensor, texts: Sequence[str], labels: str
    ) -> Tensor:
        """The loss of each text. Shape: ``[B]``."""
        raise NotImplementedError

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        """The criterion of each text. Shape: ``[B]``."""
        return self.criterion(*self.log_probs(audio, draws), texts, self.labels)


def frames_needed(text: str) -> int:
    """Fewest CTC frames that express ``text``: one a character, one blank between equal ones."""
    return len(text) + sum(a == b for a, b in pairwise(text))


def check_frames(frames: Tensor, texts: Sequence[str]) -> None:
    """Refuse texts that their number of ``frames`` ``[B]`` cannot express.

    Raises:
        TextError: a text is too long.
    """
    if len(listed(texts)) != len(frames):
        raise ValueError(f"{len(texts)} texts for a batch of {len(frames)}")
    for text, available in zip(texts, frames.tolist(), strict=True):
        if frames_needed(text) > available:
            raise TextError(
                f"{text!r} needs {frames_needed(text)} frames but the audio has {available}; "
                "choose a shorter text or longer audio"
            )


def ctc_loss(log_probs: Tensor, frames: Tensor, texts: Sequence[str], labels: str) -> Tensor:
    """CTC loss of each text in nats. A text that the frames cannot express is refused.

    Args:
        log_probs: ``[B, F, V]``.
        frames: true number of frames. Shape: ``[B]``.
        texts: one text an utterance; the empty text is allowed (all blanks).
        labels: characters, blank first.

    Shape: ``[B]``.
    """
    check_frames(frames, texts)
    targets = [encode(text, labels) for text in texts]
    return torch.ctc_loss(
        log_probs.transpose(0, 1),
        torch.cat(targets).to(log_probs.device),
        frames.tolist(),  # a GPU's loss wants both lengths here, too
        [len(target) for target in targets],
        reduction=0,  # none
    )
