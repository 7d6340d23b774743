"""What a codec network is, and the three of transformers, taken apart at their quantisers.

transformers rounds to codes between ``encode`` and ``decode``, where no gradient passes. Each class
here has the same three parts instead: encoder, residual quantisers, decoder. For the same number of
codebooks they give what ``encode`` and ``decode`` give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.defenses.neural.quantiser import Chain, StandIn, Step, quantised
from melmoat.weights import WeightsError


class CodecNetwork(nn.Module):
    """A codec network for mono audio; subclasses name its parts.

    Args:
        network: with an ``encoder`` and a ``decoder``.
        rate: sampling rate it works at, Hz.

    Attributes:
        rate: sampling rate it works at, Hz.
        hop: samples a frame.
        fewest, most: how many codebooks can be used.
    """

    hop: int
    fewest: int = 1
    most: int

    def __init__(self, network: Any, rate: int) -> None:
        super().__init__()
        self.network, self.rate = network, rate

    def chains(self, count: int) -> Sequence[Chain]:
        """The first ``count`` codebooks."""
        raise NotImplementedError

    def encode(self, wave: Tensor) -> Tensor:
        """Shape: ``[1, 1, L]`` -> ``[1, H, F]``."""
        latents: Tensor = self.network.encoder(wave)
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Shape: ``[1, H, F]`` -> ``[1, 1, about F * hop]``."""
        wave: Tensor = self.network.decoder(latents)
        return wave

    def padded(self, samples: int) -> int:
        """Samples of the input for audio of ``samples``: silence is appended up to there."""
        return max(samples, self.hop)

    def forward(self, wave: Tensor, count: int, stand_in: StandIn) -> Tensor:
        """One utterance through the first ``count`` codebooks.

        Args:
            wave: ``[L]``.
            stand_in: what each code vector counts as in the backward pass.

        Shape: ``[L]``.
        """
        samples = len(wave)
        given = F.pad(wave, (0, self.padded(samples) - samples))[None, None]
        latents = quantised(self.encode(given), self.chains(count), stand_in)
        return self.decode(latents)[0, 0, :samples]


class Encodec(CodecNetwork):
    """EnCodec (Defossez et al. 2022), such as the 24 kHz model."""

    def __init__(self, network: Any) -> None:
        super().__init__(network, int(network.config.sampling_rate))
        self.hop = int(network.config.hop_length)
        self.most = len(network.quantizer.layers)

    def chains(self, count: int) -> Sequence[Chain]:
        same = nn.Identity()
        books = [layer.codebook for layer in self.network.quantizer.layers[:count]]
        return [Chain([Step(book.embed, book.quantize, same, same) for book in books], same, same)]


class Dac(CodecNetwork):
    """The Descript Audio Codec (Kumar et al. 2023), of 16, 24 or 44.1 kHz.

    Its codebooks have few dimensions of their own, and compare directions (section 3.2).
    """

    def __init__(self, network: Any) -> None:
        super().__init__(network, int(network.config.sampling_rate))
        self.hop = int(network.config.hop_length)
        self.most = len(network.quantizer.quantizers)
        # Convolutions with an odd stride lose a sample each: as many for any number of frames.
        like = next(network.parameters())
        with torch.no_grad():
            frame = self.decode(self.encode(like.new_zeros(1, 1, self.hop)))
        self.lost = self.hop - frame.shape[-1]

    def padded(self, samples: int) -> int:
        """Whole frames, as its feature extractor pads, that cover the audio when decoded."""
        return -(-(samples + self.lost) // self.hop) * self.hop

    def chains(self, count: int) -> Sequence[Chain]:
        same = nn.Identity()
        steps = [
            Step(layer.codebook.weight, _by_direction(layer), layer.in_proj, layer.out_proj, True)
            for layer in self.network.quantizer.quantizers[:count]
        ]
        return [Chain(steps, same, same)]


class Mimi(CodecNetwork):
    """Mimi (Defossez et al. 2024, Moshi, section 3.3): one chain of codebooks for content and one
    for sound, side by side. The first codebooks are those for content."""

    def __init__(self, network: Any) -> None:
        super().__init__(network, int(network.config.sampling_rate))
        if not hasattr(network.encoder, "downsample"):
            raise WeightsError(
                "this version of transformers builds Mimi differently: pip install -U transformers"
            )
        self.hop = int(network.config.frame_size)
        self.fewest = network.quantizer.num_semantic_quantizers
        self.most = network.quantizer.max_num_quantizers

    def encode(self, wave: Tensor) -> Tensor:
        latents: Tensor = self.network.encoder(wave).latents
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        wave: Tensor = self.network.decoder(latents).audio_values
        return wave

    def chains(self, count: int) -> Sequence[Chain]:
        both = self.network.quantizer
        content = _mimi(both.semantic_residual_vector_quantizer, self.fewest)
        if count == self.fewest:
            return [content]
        return [content, _mimi(both.acoustic_residual_vector_quantizer, count - self.fewest)]


def _by_direction(layer: Any) -> Any:
    def nearest(vectors: Tensor) -> Tensor:
        codes: Tensor = layer.decode_latents(vectors.T[None])[1][0]
        return codes

    return nearest


def _mimi(quantiser: Any, count: int) -> Chain:
    """A chain of Mimi's. Its own codebooks keep their vectors on the first device that they were
    used on, so they are computed here."""
    same = nn.Identity()

    def step(book: Any) -> Step:
        codes: Tensor = book.embed_sum / book.cluster_usage.clamp(min=book.epsilon)[:, None]

        def nearest(vectors: Tensor) -> Tensor:
            return torch.cdist(vectors[None], codes[None])[0].argmin(1)

        return Step(codes, nearest, same, same)

    steps = [step(layer.codebook) for layer in quantiser.layers[:count]]
    return Chain(steps, quantiser.input_proj or same, quantiser.output_proj or same)
