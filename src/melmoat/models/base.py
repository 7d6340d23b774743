"""What a recognizer is, and what every CTC recognizer shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Literal, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.decoding import Decoder, greedy, is_greedy
from melmoat.normalisers import Normaliser, by_name, of
from melmoat.text import TextError, canonical, capitals, encode, listed, spell

Kind = Literal["ctc", "tokens", "text"]


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
    """What ``model`` transcribes, checked: it may be somebody's own. It hears a copy of ``audio``,
    since it, or a defense in it, may write to the samples that it is given.

    Args:
        draws: its random numbers; if None, from a fresh secret seed.

    Raises:
        MelmoatError: it is not a list of one text an utterance.
    """
    texts = model.transcribe(audio.copy(), draws or Draws.secret(len(audio)))
    listed = isinstance(texts, Sequence) and not isinstance(texts, str)
    if not listed or len(texts) != len(audio) or not all(isinstance(t, str) for t in texts):
        raise MelmoatError(
            f"{type(model).__name__}.transcribe returned {texts!r} for {len(audio)} utterance(s); "
            "expected a list of one text each (docs/recognizers.md)"
        )
    return texts


def kind_of(model: object) -> Kind:
    """What ``model`` shows beside its transcripts and its loss.

    ``ctc``: probabilities of each frame (:class:`CTCRecognizer`). ``tokens``: probabilities of the
    next token (:class:`melmoat.models.seq2seq.TokenRecognizer`). ``text``: neither. A recognizer
    declares it as ``kind``; one that does not is ``ctc`` if it has ``labels``, and ``tokens`` if it
    has a ``vocabulary``.
    """
    declared: Kind | None = getattr(model, "kind", None)
    if declared:
        return declared
    if labels_of(model) is not None:
        return "ctc"
    return "tokens" if hasattr(model, "vocabulary") else "text"


def labels_of(model: object) -> str | None:
    """The characters that ``model`` writes with, index 0 the blank; None if it has no labels."""
    labels: str | None = getattr(model, "labels", None)
    return labels


def as_written_by(model: Recognizer, text: str) -> str:
    """What is said, as ``model`` would write it if it were right.

    In its labels, if it has some; as it stands, where a ``normaliser`` compares texts; else in
    capitals without punctuation.
    """
    labels = labels_of(model)
    if labels is not None:
        return spell(text, labels)
    return text if getattr(model, "normaliser", None) is not None else capitals(text)


def normaliser_of(model: Recognizer) -> Normaliser | None:
    """What ``model``'s texts are compared by: its own normaliser; None where its labels say how it
    writes; else ``plain``, which ignores case and punctuation."""
    given: Any = getattr(model, "normaliser", None)
    if given is not None:
        return of(given)
    return None if labels_of(model) is not None else by_name("plain")


def comparison_of(model: Recognizer) -> Callable[[str], str]:
    """The function of a text after which ``model``'s texts are compared, wherever they are."""
    return normaliser_of(model) or canonical


class Inventory(Protocol):
    """The phonemes of a recognizer that writes words, and what texts are in them."""

    def likeliest(self, log_probs: Tensor, frames: Tensor) -> list[str]:
        """The best path of log probabilities ``[B, F, V]`` of ``[B]`` frames."""
        ...

    def compared(self, text: str) -> str:
        """The phonemes of a text, English or in phonemes, with spaces between them."""
        ...


def inventory_of(model: Recognizer) -> Inventory | None:
    """The phonemes of a CTC recognizer that hears some; None of any other."""
    inventory: Inventory | None = getattr(model, "inventory", None)
    return inventory if kind_of(model) == "ctc" else None


def words_and_phonemes(
    model: Recognizer, inventory: Inventory, audio: Audio, draws: Draws
) -> tuple[list[str], list[str]]:
    """The transcript of each utterance, and the likeliest phonemes of the same pass, without the
    boundaries between words. As :func:`transcribe`, of a copy."""
    recognizer = require_ctc(model)
    with torch.no_grad():
        log_probs, frames = recognizer.log_probs(audio.copy(), draws)
    best = inventory.likeliest(log_probs, frames)
    return recognizer.decode(log_probs, frames), [inventory.compared(text) for text in best]


@runtime_checkable
class CTCRecognizer(Recognizer, Protocol):
    """A recognizer with frame-wise probabilities of symbols (Graves et al. 2006).

    Attacks take their loss and their transcripts from one pass over the audio.
    """

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, F, V]`` and true number of frames ``[B]``.

        Each frame's probabilities sum to one: the gradient of PyTorch's CTC loss relies on it.
        """
        ...

    def targets(self, texts: Sequence[str]) -> list[Tensor]:
        """The symbols of each text, as indices into the last axis of ``log_probs``."""
        ...

    def decode(self, log_probs: Tensor, frames: Tensor) -> list[str]:
        """The transcripts of such probabilities, one an utterance."""
        ...

    def loss_of(self, log_probs: Tensor, frames: Tensor, texts: Sequence[str]) -> Tensor:
        """The loss of each text, given such probabilities. Shape: ``[B]``."""
        ...

    @property
    def greedy(self) -> bool:
        """Whether :meth:`decode` takes the best path, which costs next to nothing."""
        ...


def require_ctc(model: Recognizer) -> CTCRecognizer:
    """``model`` as a recognizer with frame-wise probabilities.

    Raises:
        MelmoatError: it has none, such as a sequence-to-sequence recognizer.
    """
    if kind_of(model) != "ctc":
        raise MelmoatError(
            f"{type(model).__name__} has no frame-wise probabilities, which averaging needs; "
            "use a CTC recognizer, or vote=rover, which votes over words"
        )
    return model if isinstance(model, CTCRecognizer) else Lettered(model)


def transcribes_for_free(model: Recognizer) -> bool:
    """Whether a transcript costs nothing beside a loss: the best path of the same frames."""
    return kind_of(model) == "ctc" and require_ctc(model).greedy


class FromFrames:
    """Transcripts and loss from what a CTC recognizer has of its frames."""

    def transcribe(self: CTCRecognizer, audio: Audio, draws: Draws) -> list[str]:
        """One transcript an utterance."""
        with torch.no_grad():
            log_probs, frames = self.log_probs(audio, draws)
        return self.decode(log_probs, frames)

    def loss(self: CTCRecognizer, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        """The loss of each text. Shape: ``[B]``. Errors as for :meth:`loss_of`."""
        return self.loss_of(*self.log_probs(audio, draws), texts)


class CTC(FromFrames):
    """Loss and decoding from ``log_probs``; the base of every CTC recognizer here.

    What is here is for labels that are characters. A recognizer of other symbols, such as phonemes,
    has no ``labels``; it overrides :meth:`targets` and :meth:`decode`.
    """

    kind: ClassVar[Kind] = "ctc"
    rate: int
    labels: str
    decoder: Decoder = staticmethod(greedy)

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, F, V]`` and true number of frames ``[B]``."""
        raise NotImplementedError

    def targets(self, texts: Sequence[str]) -> list[Tensor]:
        """The label indices of each text.

        Raises:
            TextError: a text with foreign characters.
        """
        return [encode(text, self.labels) for text in listed(texts)]

    def decode(self, log_probs: Tensor, frames: Tensor) -> list[str]:
        """One transcript an utterance, by this recognizer's decoder."""
        return self.decoder(log_probs, frames, self.labels)

    @property
    def greedy(self) -> bool:
        """Whether :meth:`decode` takes the best path."""
        return is_greedy(self.decoder)

    def loss_of(self, log_probs: Tensor, frames: Tensor, texts: Sequence[str]) -> Tensor:
        """CTC loss of each text in nats. Shape: ``[B]``.

        Raises:
            TextError: a text with foreign characters, or longer than its frames can express.
        """
        targets = self.targets(texts)
        check_frames(frames, targets, texts)
        return ctc_loss(log_probs, frames, targets)


class Lettered(CTC):
    """Somebody's own recognizer that has ``labels`` and ``log_probs``, and perhaps a ``decoder``,
    but does not derive from :class:`CTC`."""

    def __init__(self, model: Any) -> None:
        self.model, self.rate, self.labels = model, model.rate, model.labels
        self.normaliser = getattr(model, "normaliser", None)
        self.decoder = getattr(model, "decoder", greedy)

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        """Its log probabilities ``[B, F, V]`` and frames ``[B]``."""
        return cast(tuple[Tensor, Tensor], self.model.log_probs(audio, draws))


def frames_needed(text: Sequence[object]) -> int:
    """Fewest CTC frames that express ``text``: one a symbol, one blank between equal ones."""
    return len(text) + sum(a == b for a, b in pairwise(text))


def check_frames(frames: Tensor, targets: Sequence[Tensor], texts: Sequence[str]) -> None:
    """Refuse texts that their number of ``frames`` ``[B]`` cannot express.

    Raises:
        TextError: a text is too long.
    """
    if len(listed(texts)) != len(frames):
        raise ValueError(f"{len(texts)} texts for a batch of {len(frames)}")
    for text, target, available in zip(texts, targets, frames.tolist(), strict=True):
        needed = frames_needed(target.tolist())
        if needed > available:
            raise TextError(
                f"{text!r} needs {needed} frames but the audio has {available}; "
                "choose a shorter text or longer audio"
            )


def ctc_loss(log_probs: Tensor, frames: Tensor, targets: Sequence[Tensor]) -> Tensor:
    """CTC loss of each target in nats; infinite if the frames cannot express it.

    Args:
        log_probs: ``[B, F, V]``, blank first.
        frames: true number of frames. Shape: ``[B]``.
        targets: the symbols of each utterance; none means all blanks.

    Shape: ``[B]``.
    """
    return torch.ctc_loss(
        log_probs.transpose(0, 1),
        torch.cat(list(targets)).to(log_probs.device),
        frames.tolist(),  # a GPU's loss wants both lengths here, too
        [len(target) for target in targets],
        reduction=0,  # none
    )
