"""Moonshine (Jeffries et al. 2024, arXiv 2410.15608): tokens from the raw waveform.

The layers are those of transformers' ``MoonshineForConditionalGeneration``; how they are run is
ours. Three convolutions without padding make a frame of every 384 samples, so no frame sees beyond
its own utterance. What would see the padding is kept to true lengths: the group norm between the
convolutions, and attention. So an utterance is heard the same alone and in any batch, and as the
reference hears it alone.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.audio import RATE, Audio
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.models.attention import Pair, TransformerEncoded, attend, heads, inside
from melmoat.models.guards import Guards
from melmoat.models.pauses import check_length, pieces
from melmoat.models.seq2seq import Seq2Seq, Vocabulary
from melmoat.normalisers import Normaliser

STEM = ((127, 64), (7, 3), (3, 2))  # kernel and stride of each convolution
SHORTEST = 895  # samples of one frame


def frames(lengths: Tensor, layers: int = 3) -> Tensor:
    """Frames after the first ``layers`` convolutions; of shorter audio as of :data:`SHORTEST`.

    Shape: ``[B]`` -> ``[B]``.

    >>> frames(torch.tensor([1, 895, 16_000])).tolist()
    [1, 1, 40]
    """
    lengths = lengths.clamp(min=SHORTEST)
    for kernel, stride in STEM[:layers]:
        lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
    return lengths


def normalised(norm: nn.GroupNorm, x: Tensor, lengths: Tensor) -> Tensor:
    """A group norm of one group with the statistics of each utterance's own frames.

    Args:
        x: ``[B, C, N]``.
        lengths: true number of frames. Shape: ``[B]``.
    """
    mask = torch.arange(x.shape[2], device=x.device) < lengths[:, None, None]
    count = (lengths * x.shape[1])[:, None, None]
    centred = (x - (x * mask).sum((1, 2), keepdim=True) / count) * mask
    variance = centred.square().sum((1, 2), keepdim=True) / count
    return centred * torch.rsqrt(variance + norm.eps) * norm.weight[:, None] + norm.bias[:, None]


def turned(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """``x`` with rotary positions (Su et al. 2021): pairs of neighbours, those that have an angle.

    Args:
        x: ``[B, heads, N, width]``.
        angles: cosines and sines, each twice as transformers has them. Shape: ``[1, N, 2 * A]``.
    """
    cos, sin = (part[..., : part.shape[-1] // 2] for part in angles)
    several = x[..., : 2 * cos.shape[-1]]
    even, odd = several[..., 0::2], several[..., 1::2]
    pairs = torch.stack([even * cos - odd * sin, odd * cos + even * sin], -1)
    return torch.cat([pairs.flatten(-2), x[..., several.shape[-1] :]], -1)


def _angles(side: Any, x: Tensor, before: int = 0) -> tuple[Tensor, Tensor]:
    positions = torch.arange(before, before + x.shape[1], device=x.device)[None]
    cos, sin = side.rotary_emb(x, positions)
    return cos, sin


def _queries(attention: Any, x: Tensor, count: int) -> Tensor:
    return heads(attention.q_proj(x), count)


def _pair(attention: Any, x: Tensor, count: int) -> Pair:
    return heads(attention.k_proj(x), count), heads(attention.v_proj(x), count)


def run_encoder(network: Any, wav: Tensor, lengths: Tensor) -> Tensor:
    """The encoder's states; those beyond an utterance's own frames mean nothing.

    Args:
        network: transformers' Moonshine.
        wav: zero beyond each length, at least :data:`SHORTEST` samples. Shape: ``[B, T]``.
        lengths: true number of samples. Shape: ``[B]``.

    Shape: ``[B, F, C]``.
    """
    encoder, count = network.model.encoder, network.config.encoder_num_attention_heads
    x = normalised(encoder.groupnorm, encoder.conv1(wav[:, None]).tanh(), frames(lengths, 1))
    x = F.gelu(encoder.conv3(F.gelu(encoder.conv2(x)))).transpose(1, 2)
    ends = frames(lengths)
    x = x[:, : int(ends.max())]
    mask, angles = inside(ends.tolist(), x.device), _angles(encoder, x)
    for layer in encoder.layers:
        y = layer.input_layernorm(x)
        keys, values = _pair(layer.self_attn, y, count)
        queries = turned(_queries(layer.self_attn, y, count), angles)
        attended = attend(queries, (turned(keys, angles), values), mask)
        x = x + layer.self_attn.o_proj(attended)
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    states: Tensor = encoder.layer_norm(x)
    return states


class MoonshineEncoded(TransformerEncoded):
    """Encoded speech and what the decoder has read."""

    def decode(self, tokens: Tensor) -> Tensor:
        """The decoder's states of ``tokens``, remembered. Shape: ``[B, N]`` -> ``[B, N, C]``."""
        decoder, count = self.network.model.decoder, self.network.config.num_attention_heads
        x = decoder.embed_tokens(tokens)
        causal, angles = self.causal(tokens.shape[1]), _angles(decoder, x, self.before)
        for i, layer in enumerate(decoder.layers):
            y = layer.input_layernorm(x)
            keys, values = _pair(layer.self_attn, y, count)
            queries = turned(_queries(layer.self_attn, y, count), angles)
            pair = self.remember(i, (turned(keys, angles), values))
            x = x + layer.self_attn.o_proj(attend(queries, pair, causal))
            y = layer.post_attention_layernorm(x)
            attended = self.attend_speech(_queries(layer.encoder_attn, y, count), i)
            x = x + layer.encoder_attn.o_proj(attended)
            x = x + layer.mlp(layer.final_layernorm(x))
        states: Tensor = decoder.norm(x)
        return states


class Moonshine(Seq2Seq, nn.Module):
    """The recognizer. Its weights are frozen; gradients reach the waveform alone.

    Args:
        network: transformers' ``MoonshineForConditionalGeneration``.
        vocabulary: of its tokenizer.
        normaliser: what transcripts are compared by.
        beam: texts kept by a beam search; 0 decodes greedily.
        origin: where the weights come from, in words.
        guards: when its texts are not believed.
    """

    rate = RATE

    def __init__(
        self,
        network: Any,
        vocabulary: Vocabulary,
        normaliser: Normaliser | None = None,
        beam: int = 0,
        origin: str = "",
        guards: Guards | None = None,
    ) -> None:
        if beam < 0:
            raise ValueError(f"moonshine needs a beam of at least 0; got {beam}")
        super().__init__()
        self.network, self.vocabulary, self.normaliser = network, vocabulary, normaliser
        self.beam, self.origin, self.guards = beam, origin, guards
        self.eval().requires_grad_(False)

    def cut(self, audio: Audio) -> list[list[Tensor]]:
        """Each utterance in parts of at most 30 s, cut where it is quiet."""
        return [pieces(wave) for wave in audio]

    def encode(self, audio: Audio, draws: Draws) -> MoonshineEncoded:
        """The batch, with nothing read yet; nothing is drawn.

        Raises:
            AudioError: an utterance is longer than 30 s, the longest that it was trained on.
            ValueError: another rate.
        """
        if audio.rate != RATE:
            raise ValueError(f"Moonshine takes {RATE} Hz audio, got {audio.rate}")
        check_length(audio.lengths, "Moonshine")
        wav = F.pad(audio.wav * audio.mask, (0, max(0, SHORTEST - audio.wav.shape[1])))
        network = beside(self, wav).network
        states = run_encoder(network, wav, audio.lengths)
        count = network.config.num_attention_heads
        cross = [_pair(x.encoder_attn, states, count) for x in network.model.decoder.layers]
        start = network.config.decoder_start_token_id
        prompt = torch.full((len(audio), 1), start, device=wav.device)
        return MoonshineEncoded(network, prompt, cross, frames(audio.lengths).tolist())
