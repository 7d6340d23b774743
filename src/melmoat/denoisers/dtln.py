"""DTLN: two recurrent networks, one masks the spectrum and one a learned transform.

Westhausen & Meyer 2020, "Dual-signal transformation LSTM network for real-time noise suppression",
section 2. Their programs run a recording frame by frame and carry the states of the LSTMs along.
Here all frames of a batch run at once. The numbers are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from melmoat.denoisers.framing import framed, summed

SIZE, HOP = 512, 128  # samples of a frame, and between frames; frames have no window
BINS = SIZE // 2 + 1
FEATURES = 256  # of the learned transform
UNITS = 128  # of an LSTM


class Mask(nn.Module):
    """What a network keeps of each value of a frame, from 0 to 1, by this frame and earlier ones.

    Args:
        values: of a frame, heard and masked.
    """

    def __init__(self, values: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(values, UNITS, num_layers=2, batch_first=True)
        self.dense = nn.Linear(UNITS, values)

    def forward(self, frames: Tensor) -> Tensor:
        """Shape: ``[B, F, values]`` -> ``[B, F, values]``."""
        return torch.sigmoid(self.dense(self.lstm(frames)[0]))


class DTLN(nn.Module):
    """Speech without its noise, at 16 kHz; 1.0 M parameters.

    The first mask is for the magnitudes of a frame's spectrum, which keeps its phases. The second
    is for a learned transform of the frame that comes back. The frames are then added.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spectral = Mask(BINS)
        self.encoder = nn.Linear(SIZE, FEATURES, bias=False)
        self.norm = nn.LayerNorm(FEATURES, eps=1e-7)  # the authors' instant layer normalisation
        self.learned = Mask(FEATURES)
        self.decoder = nn.Linear(FEATURES, SIZE, bias=False)

    def forward(self, wav: Tensor) -> Tensor:
        """The denoised waveform, in step with ``wav``; silence stays silent.

        Shape: ``[B, T]`` -> ``[B, T]``.
        """
        spectrum = torch.fft.rfft(framed(wav, SIZE, HOP))
        # The mask times the complex spectrum: phases are not computed, which have no gradient at
        # 0. That of the magnitude is 0 there (PyTorch's abs).
        masked = spectrum * self.spectral(spectrum.abs())
        features = self.encoder(torch.fft.irfft(masked, SIZE))
        kept = features * self.learned(self.norm(features))
        return summed(self.decoder(kept), HOP, wav.shape[1])
