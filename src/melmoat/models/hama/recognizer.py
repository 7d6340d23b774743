"""A recognizer of phonemes: a log-mel spectrum, one of hama's two networks, CTC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from melmoat.audio import RATE, Audio, AudioError
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.models.base import CTC
from melmoat.models.hama.conformer import Conformer
from melmoat.models.hama.logmel import LogMel
from melmoat.models.hama.phonemes import Phonemes
from melmoat.models.hama.se_cnn import SECNN
from melmoat.spectral import frame_mask

LONGEST_SECONDS = 30  # hama's own engine does not hear what lies beyond

Network = Literal["conformer", "se"]
NETWORKS: dict[Network, type[Conformer] | type[SECNN]] = {"conformer": Conformer, "se": SECNN}


class Hama(CTC, nn.Module):
    """Phonemes of English, 50 frames a second.

    Args:
        network: which network; its weights are random until they are loaded.
        phonemes: the symbols, and what texts are in them.
    """

    rate = RATE

    def __init__(self, network: Network, phonemes: Phonemes) -> None:
        super().__init__()
        self.phonemes = phonemes
        self.labels = phonemes.labels
        self.spectrum = LogMel()
        self.network = NETWORKS[network](len(phonemes.labels))

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, F, V]`` and frames ``[B]``; nothing is drawn.

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
        model = beside(self, audio.wav)
        mel, frames = model.spectrum(audio)
        mel = mel * frame_mask(frames, mel.shape[1])[..., None]
        halved = (frames + 1) // 2
        mask = frame_mask(halved, (mel.shape[1] + 1) // 2)
        return model.network(mel, mask).log_softmax(-1), halved

    def targets(self, texts: Sequence[str]) -> list[Tensor]:
        """Indices of the phonemes of each text. Shape: ``[N]`` each."""
        return self.phonemes.targets(texts)
