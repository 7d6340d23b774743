"""DeepSpeech2 (Amodei et al. 2016) as published in SeanNaren/deepspeech.pytorch.

Spectrogram -> two strided convolutions over time and frequency -> recurrent layers, the directions
summed -> one linear layer -> CTC. Every size is a field of :class:`DeepSpeech2Config`. The shapes
of the weights are the published ones. Recurrent layers run on padded batches here: for the backward
direction each utterance is reversed within its own length. On a CPU this is faster than packed
sequences (``benchmarks/speed.py``) and gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.audio import Audio, AudioError
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.models.base import CTC
from melmoat.models.domain import Domain
from melmoat.spectral import frame_mask, magnitude, stft
from melmoat.text import LABELS

LONGEST_SECONDS = 600
RNNS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


@dataclass(frozen=True)
class DeepSpeech2Config:
    """Sizes of a DeepSpeech2; the defaults are the published model of 86,618,400 parameters."""

    hidden: int = 1024
    layers: int = 5
    rnn: Literal["lstm", "gru", "rnn"] = "lstm"
    bidirectional: bool = True
    lookahead: int = 20  # frames, unidirectional models only
    channels: int = 32
    labels: str = LABELS
    rate: int = 16_000
    window: int = 320  # samples
    hop: int = 160  # samples
    pad: Literal["zeros", "reflect"] = "zeros"  # beyond both ends; older librosa reflected
    symmetric: bool = False  # the window, as in V2 (SciPy's); V3 uses a periodic one

    @property
    def bins(self) -> int:
        """Frequency bins of the spectrogram."""
        return self.window // 2 + 1

    @property
    def inputs(self) -> int:
        """Number of inputs of the first recurrent layer: channels times remaining bins."""
        return self.channels * (((self.bins + 1) // 2 + 1) // 2)


class MaskedConv(nn.Module):
    """Conv2d, batch norm, Hardtanh(0, 20); frames beyond each utterance stay zero.

    Shape: ``[B, C, bins, F]``, mask ``[B, F']`` -> ``[B, C', bins', F']``.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.convolve(x)
        x = self.norm(x * mask[:, None, None])
        # Hardtanh keeps zero at zero, so one mask after it equals masking every sub-module.
        return F.hardtanh(x, 0.0, 20.0) * mask[:, None, None]

    def convolve(self, x: Tensor) -> Tensor:
        """The convolution, in the fastest form for a CPU."""
        conv = self.conv
        if conv.in_channels > 1:
            return self.conv.forward(x.contiguous(memory_format=torch.channels_last))
        # With one input channel a kernel of 41 x 11 gives a CPU nothing to vectorise over. Make
        # the 11 taps in time the channels: the same sums, faster (``benchmarks/speed.py``).
        before, stride = int(conv.padding[1]), conv.stride[1]
        taps = F.pad(x[:, 0], (before, before)).unfold(2, conv.kernel_size[1], stride)
        return F.conv2d(
            taps.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last),
            conv.weight.permute(0, 3, 2, 1).contiguous(memory_format=torch.channels_last),
            conv.bias,
            stride=(conv.stride[0], 1),
            padding=(int(conv.padding[0]), 0),
        )


class SumRNN(nn.Module):
    """One recurrent layer whose two directions are summed, on a padded batch.

    For the backward direction each utterance is reversed within its own length. So padding is at
    the end in both directions and never enters a state that is used.

    Shape: ``[B, F, I]``, frames ``[B]`` -> ``[B, F, H]``.
    """

    def __init__(self, rnn: str, inputs: int, hidden: int, bidirectional: bool, norm: bool) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(inputs) if norm else None
        self.ahead = RNNS[rnn](inputs, hidden, batch_first=True)
        self.back = RNNS[rnn](inputs, hidden, batch_first=True) if bidirectional else None

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        if self.norm is not None:
            x = frame_norm(self.norm, x, frames)
        ahead: Tensor = self.ahead(x)[0]
        if self.back is None:
            return ahead
        return ahead + reverse(self.back(reverse(x, frames))[0], frames)


class Lookahead(nn.Module):
    """Each frame sees ``context - 1`` frames of its future, a filter per channel, then Hardtanh.

    Shape: ``[B, F, H]``, frames ``[B]`` -> ``[B, F, H]``.
    """

    def __init__(self, channels: int, context: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, context, groups=channels, bias=False)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        x = x * frame_mask(frames, x.shape[1])[..., None]
        x = F.pad(x.mT, (0, self.conv.kernel_size[0] - 1))
        return F.hardtanh(self.conv(x), 0.0, 20.0).mT


def reverse(x: Tensor, frames: Tensor) -> Tensor:
    """Reverse each utterance within its own length. Shape: ``[B, F, H]``, ``[B]`` -> same."""
    steps = torch.arange(x.shape[1], device=x.device)
    index = torch.where(steps < frames[:, None], frames[:, None] - 1 - steps, steps)
    return x[torch.arange(len(x), device=x.device)[:, None], index]


def frame_norm(norm: nn.BatchNorm1d, x: Tensor, frames: Tensor) -> Tensor:
    """Batch norm over the true frames only. Shape: ``[B, F, H]``, ``[B]`` -> ``[B, F, H]``."""
    if not norm.training:
        return norm.forward(x.flatten(0, 1)).view_as(x)
    mask = frame_mask(frames, x.shape[1])
    out = torch.zeros_like(x)
    out[mask] = norm(x[mask])
    return out


class DeepSpeech2(CTC, nn.Module):
    """The recognizer. In eval mode an utterance's result does not depend on its batch."""

    def __init__(self, config: DeepSpeech2Config | None = None) -> None:
        super().__init__()
        self.config = config = config or DeepSpeech2Config()
        self.labels, self.rate = config.labels, config.rate
        self.card: Mapping[str, Any] = {}  # origin of the weights, as far as known
        self.domain: Domain | None = None  # the speech that they know
        c, h = config.channels, config.hidden
        self.convs = nn.ModuleList(
            [
                MaskedConv(nn.Conv2d(1, c, (41, 11), stride=(2, 2), padding=(20, 5))),
                MaskedConv(nn.Conv2d(c, c, (21, 11), stride=(2, 1), padding=(10, 5))),
            ]
        )
        self.rnns = nn.ModuleList(
            SumRNN(config.rnn, h if i else config.inputs, h, config.bidirectional, norm=i > 0)
            for i in range(config.layers)
        )
        self.lookahead = None if config.bidirectional else Lookahead(h, config.lookahead)
        self.head_norm = nn.BatchNorm1d(h)
        self.head = nn.Linear(h, len(config.labels), bias=False)
        hamming = torch.hamming_window(config.window, periodic=not config.symmetric)
        self.register_buffer("window", hamming, persistent=False)
        self.window: Tensor

    def train(self, mode: bool = True) -> DeepSpeech2:
        """As ``nn.Module.train``, but recurrent layers stay in training mode.

        They have no dropout, so their numbers are the same. In eval mode cuDNN refuses their
        backward pass, which every attack needs.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.RNNBase):
                module.train()
        return self

    def features(self, audio: Audio) -> tuple[Tensor, Tensor]:
        """Log spectrogram, normalised over each utterance, zero beyond it.

        ``(x - mean) / sqrt(var + 1e-12)`` with the unbiased variance over the utterance's true
        frames and all bins; the published code has no constant and divides silence by zero.

        Returns: ``[B, bins, F]`` and true number of frames ``[B]``.
        """
        if audio.rate != self.rate:
            raise ValueError(f"DeepSpeech2 takes {self.rate} Hz audio, got {audio.rate} Hz")
        if audio.seconds.max() > LONGEST_SECONDS:
            raise AudioError(
                f"{float(audio.seconds.max()):.0f} s of audio: this recognizer takes utterances of "
                f"up to {LONGEST_SECONDS} s, all of whose frames it needs at once; cut it at pauses"
            )
        beside(self, audio.wav)
        spectrum, frames = stft(audio, self.window, self.config.hop, self.config.pad)
        logs = torch.log1p(magnitude(spectrum, floor=1e-12))
        mask = frame_mask(frames, logs.shape[-1])[:, None]
        count = (frames * self.config.bins)[:, None, None]
        mean = (logs * mask).sum((1, 2), keepdim=True) / count
        centred = (logs - mean) * mask
        variance = centred.square().sum((1, 2), keepdim=True) / (count - 1)
        return centred / torch.sqrt(variance + 1e-12), frames

    def encode(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, F', V]`` and frames ``[B]`` from features ``[B, bins, F]``.

        ``F' = (F - 1) // 2 + 1``, one frame every 20 ms.
        """
        frames = (frames - 1) // 2 + 1
        mask = frame_mask(frames, (features.shape[-1] - 1) // 2 + 1).to(features.dtype)
        x = features[:, None]
        for conv in self.convs:
            x = conv(x, mask)
        x = x.flatten(1, 2).mT
        for rnn in self.rnns:
            x = rnn(x, frames)
        if self.lookahead is not None:
            x = self.lookahead(x, frames)
        return self.head(frame_norm(self.head_norm, x, frames)).log_softmax(-1), frames

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        """Log probabilities ``[B, F, V]`` and frames ``[B]``; nothing is drawn."""
        return self.encode(*self.features(audio))
