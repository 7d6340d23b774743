"""A recognizer of one's own: any object with a rate, ``transcribe`` and ``loss``.

    melmoat attack speech.wav bad.wav --model python:own_recognizer:load

This one wraps a small convolutional CTC network, so it also has ``labels`` and ``log_probs``, which
``rs`` needs; put your network in its place. docs/recognizers.md says how for NeMo, SpeechBrain and
transducers, which write ``transcribe`` and ``loss`` themselves.
"""

import torch
from torch import nn

from melmoat.audio import Audio
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.models.base import CTC


class Own(CTC):
    """``CTC`` makes ``transcribe`` and ``loss`` out of ``log_probs``."""

    rate = 16_000
    labels = "_ABCDEFGHIJKLMNOPQRSTUVWXYZ' "  # index 0 is the blank

    def __init__(self) -> None:
        torch.manual_seed(0)
        layers = [nn.Conv1d(1, 32, 400, 160, padding=200), nn.ReLU(), nn.Conv1d(32, 29, 5, 2)]
        self.network = nn.Sequential(*layers).eval().requires_grad_(False)

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        """Log probabilities ``[B, F, V]``, each frame summing to one, and true frames ``[B]``."""
        # One at a time: nothing can leak from one utterance to another. Batch it if yours allows.
        network = beside(self.network, audio.wav)  # on the audio's device
        rows = [network(wave[None]).mT.log_softmax(-1) for wave in audio]
        frames = torch.tensor([len(row) for row in rows], device=audio.wav.device)
        return nn.utils.rnn.pad_sequence(rows, batch_first=True), frames


def load() -> Own:
    """What ``python:own_recognizer:load`` calls."""
    return Own()
