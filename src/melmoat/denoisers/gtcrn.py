"""GTCRN: a complex mask of the spectrum, from a network of 48 thousand numbers.

Rong et al. 2024, "GTCRN: a speech enhancement model requiring ultralow computational resources".
Convolutions look back in time only, and recurrent layers run over the bands of a frame and over the
frames. Parts have the names of the published state (Xiaobin-Rong/gtcrn), so that such a state fits.
Tensors have the shape ``[B, channels, F frames, bands]`` where nothing else is said.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.denoisers.framing import framed, summed

SIZE, HOP = 512, 256  # samples of a frame, and between frames
BINS = SIZE // 2 + 1
PLAIN = 65  # lowest bins, which are bands of their own
BANDS = 64  # of the other bins: spaced by equivalent rectangular bandwidth (ERB)
CHANNELS = 16
WIDTH = 33  # bands after two convolutions that halve them
DILATIONS = (1, 2, 5)  # frames


class Bands(nn.Module):
    """Bins of a spectrum to bands and back: the low ones as they are, the others by two matrices.

    Bands are ``[..., 129]``, bins ``[..., 257]``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.erb_fc = nn.Linear(BINS - PLAIN, BANDS, bias=False)
        self.ierb_fc = nn.Linear(BANDS, BINS - PLAIN, bias=False)

    def of(self, bins: Tensor) -> Tensor:
        """The bands of ``bins``."""
        return torch.cat([bins[..., :PLAIN], self.erb_fc(bins[..., PLAIN:])], dim=-1)

    def back(self, bands: Tensor) -> Tensor:
        """The bins of ``bands``."""
        return torch.cat([bands[..., :PLAIN], self.ierb_fc(bands[..., PLAIN:])], dim=-1)


def with_neighbours(x: Tensor) -> Tensor:
    """Each band with the one below and the one above it as channels: three times as many."""
    return F.pad(x, (1, 1)).unfold(-1, 3, 1).permute(0, 1, 4, 2, 3).flatten(1, 2)


class Attention(nn.Module):
    """Weighs the channels of each frame by their power in it and before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.att_gru = nn.GRU(channels, 2 * channels, batch_first=True)
        self.att_fc = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """The weighed channels."""
        power = x.square().mean(-1).mT
        weights = torch.sigmoid(self.att_fc(self.att_gru(power)[0]))
        return x * weights.mT[..., None]


class Scaling(nn.Module):
    """A convolution over bands that halves them, or a transposed one that doubles them."""

    def __init__(self, inputs: int, outputs: int, groups: int, up: bool, last: bool) -> None:
        super().__init__()
        kind = nn.ConvTranspose2d if up else nn.Conv2d
        self.conv = kind(inputs, outputs, (1, 5), (1, 2), (0, 2), groups=groups)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.Tanh() if last else nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Half or twice the bands (one less)."""
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


class Temporal(nn.Module):
    """A dilated convolution over frames for half of the channels; then the halves interleave."""

    def __init__(self, dilation: int, up: bool) -> None:
        super().__init__()
        kind, half = nn.ConvTranspose2d if up else nn.Conv2d, CHANNELS // 2
        self.before = 2 * dilation  # frames: three taps look back as far
        # A transposed convolution cuts its padding off: these frames at both ends.
        cut = self.before if up else 0
        self.point_conv1 = kind(3 * half, CHANNELS, 1)
        self.point_bn1 = nn.BatchNorm2d(CHANNELS)
        self.point_act = nn.PReLU()
        self.depth_conv = kind(
            CHANNELS, CHANNELS, 3, padding=(cut, 1), dilation=(dilation, 1), groups=CHANNELS
        )
        self.depth_bn = nn.BatchNorm2d(CHANNELS)
        self.depth_act = nn.PReLU()
        self.point_conv2 = kind(CHANNELS, half, 1)
        self.point_bn2 = nn.BatchNorm2d(half)
        self.tra = Attention(half)

    def forward(self, x: Tensor) -> Tensor:
        """As many channels, frames and bands."""
        changed, kept = x.chunk(2, dim=1)
        y = self.point_act(self.point_bn1(self.point_conv1(with_neighbours(changed))))
        y = F.pad(y, (0, 0, self.before, 0))
        y = self.depth_act(self.depth_bn(self.depth_conv(y)))
        y = self.tra(self.point_bn2(self.point_conv2(y)))
        return torch.stack([y, kept], dim=2).flatten(1, 2)


class Halves(nn.Module):
    """Two recurrent networks, each for half of the channels. Shape: ``[N, steps, channels]``."""

    def __init__(self, units: int, both_ways: bool) -> None:
        super().__init__()
        sizes = {"batch_first": True, "bidirectional": both_ways}
        self.rnn1 = nn.GRU(CHANNELS // 2, units, **sizes)
        self.rnn2 = nn.GRU(CHANNELS // 2, units, **sizes)

    def forward(self, x: Tensor) -> Tensor:
        """As many steps and channels."""
        first, second = x.chunk(2, dim=-1)
        return torch.cat([self.rnn1(first)[0], self.rnn2(second)[0]], dim=-1)


class DualPath(nn.Module):
    """Recurrent layers over the bands of each frame, both ways, and over the frames, forwards."""

    def __init__(self) -> None:
        super().__init__()
        self.intra_rnn = Halves(CHANNELS // 4, both_ways=True)
        self.intra_fc = nn.Linear(CHANNELS, CHANNELS)
        self.intra_ln = nn.LayerNorm([WIDTH, CHANNELS], eps=1e-8)
        self.inter_rnn = Halves(CHANNELS // 2, both_ways=False)
        self.inter_fc = nn.Linear(CHANNELS, CHANNELS)
        self.inter_ln = nn.LayerNorm([WIDTH, CHANNELS], eps=1e-8)

    def forward(self, x: Tensor) -> Tensor:
        """As many channels, frames and bands."""
        x = x.permute(0, 2, 3, 1)  # [B, F, bands, channels]
        within = self.intra_fc(self.intra_rnn(x.flatten(0, 1)))
        x = x + self.intra_ln(within).view_as(x)
        bands = x.transpose(1, 2)  # [B, bands, F, channels]
        across = self.inter_fc(self.inter_rnn(bands.flatten(0, 1)))
        x = x + self.inter_ln(across.view_as(bands).transpose(1, 2))
        return x.permute(0, 3, 1, 2)


class Encoder(nn.Module):
    """Magnitude, real and imaginary part, with neighbours, to features of fewer bands."""

    def __init__(self) -> None:
        super().__init__()
        self.en_convs = nn.ModuleList(
            [
                Scaling(9, CHANNELS, 1, up=False, last=False),
                Scaling(CHANNELS, CHANNELS, 2, up=False, last=False),
                *(Temporal(dilation, up=False) for dilation in DILATIONS),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """What each layer makes of it."""
        made = []
        for layer in self.en_convs:
            x = layer(x)
            made.append(x)
        return made


class Decoder(nn.Module):
    """Features to the real and imaginary part of a mask, each layer with its like's output."""

    def __init__(self) -> None:
        super().__init__()
        self.de_convs = nn.ModuleList(
            [
                *(Temporal(dilation, up=True) for dilation in reversed(DILATIONS)),
                Scaling(CHANNELS, CHANNELS, 2, up=True, last=False),
                Scaling(CHANNELS, 2, 1, up=True, last=True),
            ]
        )

    def forward(self, x: Tensor, encoded: list[Tensor]) -> Tensor:
        """The mask's bands. Shape: ``[B, 2, F, 129]``."""
        for layer, like in zip(self.de_convs, reversed(encoded), strict=True):
            x = layer(x + like)
        return x


class GTCRN(nn.Module):
    """Speech without its noise, at 16 kHz."""

    def __init__(self) -> None:
        super().__init__()
        self.erb = Bands()
        self.encoder = Encoder()
        self.dpgrnn1 = DualPath()
        self.dpgrnn2 = DualPath()
        self.decoder = Decoder()

    def forward(self, wav: Tensor) -> Tensor:
        """The denoised waveform, in step with ``wav``; silence stays silent.

        Shape: ``[B, T]`` -> ``[B, T]``.
        """
        window = torch.hann_window(SIZE, dtype=wav.dtype, device=wav.device).sqrt()
        spectrum = torch.fft.rfft(framed(wav, SIZE, HOP) * window)
        size = (spectrum.real.square() + spectrum.imag.square() + 1e-12).sqrt()
        heard = torch.stack([size, spectrum.real, spectrum.imag], dim=1)
        encoded = self.encoder(with_neighbours(self.erb.of(heard)))
        features = self.dpgrnn2(self.dpgrnn1(encoded[-1]))
        real, imaginary = self.erb.back(self.decoder(features, encoded)).unbind(1)
        masked = spectrum * torch.complex(real, imaginary)
        # The squared window adds up to 1 over the two frames of each sample.
        return summed(torch.fft.irfft(masked, SIZE) * window, HOP, wav.shape[1])
