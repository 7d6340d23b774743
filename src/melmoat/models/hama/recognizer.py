"""Recognizers with a log-mel spectrum, one of hama's two networks, and CTC: of phonemes, and of any
symbols."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from torch import Tensor, nn

from melmoat.audio import RATE, Audio, AudioError
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.models.base import CTC
from melmoat.models.hama.conformer import Conformer
from melmoat.models.hama.logmel import LogMel
from melmoat.models.hama.phonemes import Phonemes
from melmoat.models.hama.se_cnn import SECNN
from melmoat.normalisers import Normaliser
from melmoat.spectral import frame_mask

LONGEST_SECONDS = 30  # hama's own engine does not hear what lies beyond

Network = Literal["conformer", "se"]
Words = Callable[[Tensor, Tensor], list[str]]
NETWORKS: dict[Network, type[Conformer] | type[SECNN]] = {"conformer": Conformer, "se": SECNN}


class Framewise(CTC, nn.Module):
    """Symbols, 50 frames a second.

    Args:
        network: which network; its weights are random until they are loaded.
        symbols: how many, the blank counted.
    """

    rate = RATE

    def __init__(self, network: Network, symbols: int) -> None:
        super().__init__()
        self.name = network
        self.card: Mapping[str, Any] = {}  # of weights that were trained further
        self.spectrum = LogMel()
        self.network = NETWORKS[network](symbols)

    def features(self, audio: Audio) -> tuple[Tensor, Tensor]:
        """The log-mel spectrum ``[B, F, BANDS]``, zero beyond each utterance, and frames ``[B]``.

        Raises:
            AudioError: an utterance of 30 s or more, or of 200 samples or fewer.
        """
        if audio.rate != self.rate:
            raise ValueError(f"this recognizer takes {self.rate} Hz audio, got {audio.rate} Hz")
        if float(audio.seconds.max()) >= LONGEST_SECONDS:
            raise AudioError(
                f"{float(audio.seconds.max()):.0f} s of audio: hama was made for utterances of "
                f"less than {LONGEST_SECONDS} s; cut it at pauses"
            )
        mel, frames = beside(self, audio.wav).spectrum(audio)
        return mel * frame_mask(frames, mel.shape[1])[..., None], frames

    def encode(self, mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, F', V]`` and frames ``[B]`` from :meth:`features`; ``F' = (F + 1)
        // 2``."""
        halved = (frames + 1) // 2
        mask = frame_mask(halved, (mel.shape[1] + 1) // 2)
        return self.network(mel, mask).log_softmax(-1), halved

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, F, V]`` and frames ``[B]``; nothing is drawn. Errors as of
        :meth:`features`."""
        return self.encode(*self.features(audio))


class Hama(Framewise):
    """Phonemes of English, and what is written of them.

    Args:
        network: which network; its weights are random until they are loaded.
        inventory: the symbols, and what texts are in them.
        words: finds the words in log probabilities ``[B, F, V]`` of ``[B]`` frames; if None, the
            phonemes themselves are written, and errors are counted in phonemes.
    """

    def __init__(self, network: Network, inventory: Phonemes, words: Words | None = None) -> None:
        super().__init__(network, len(inventory.symbols))
        self.inventory, self.words = inventory, words
        self.normaliser: Normaliser | None = None
        if words is None:
            self.write_phonemes()

    def write_phonemes(self) -> None:
        """Write the likeliest phonemes from now on, and no words."""
        self.words, self.normaliser = None, Normaliser("phonemes", self.inventory.compared)

    def targets(self, texts: Sequence[str]) -> list[Tensor]:
        """Indices of the symbols of each text. Shape: ``[N]`` each.

        Raises:
            TextError: a text with digits, or with letters other than A to Z.
        """
        written = self.inventory.of_phonemes if self.words is None else self.inventory.of_words
        return written(texts)

    def decode(self, log_probs: Tensor, frames: Tensor) -> list[str]:
        """Words, or phonemes such as ``h i | h æ d``, of each utterance."""
        if self.words is None:
            return self.inventory.likeliest(log_probs, frames)
        return self.words(log_probs, frames)

    @property
    def greedy(self) -> bool:
        """Whether the likeliest phonemes are what is written."""
        return self.words is None
