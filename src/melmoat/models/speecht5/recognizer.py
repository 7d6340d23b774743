"""SpeechT5 as a recognizer (Ao et al. 2022, arXiv 2110.07205): characters from the raw waveform.

The layers are those of transformers' ``SpeechT5ForSpeechToText``; how they are run is ours. The
convolutions of wav2vec 2.0 without padding make a frame of every 320 samples. What would see the
padding is kept to true lengths: the group norm over time, the convolution that gives positions, and
attention. So an utterance is heard the same alone and in any batch, and as the reference hears it
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.audio import RATE, Audio
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.models.attention import Pair, TransformerEncoded, attend, heads, inside
from melmoat.models.guards import Guards
from melmoat.models.hf_ctc import standardised
from melmoat.models.pauses import check_length, pieces
from melmoat.models.seq2seq import Seq2Seq, Vocabulary
from melmoat.normalisers import Normaliser


def strides(config: Any) -> list[tuple[int, int]]:
    """Kernel and stride of each convolution, first layer first."""
    return list(zip(config.conv_kernel, config.conv_stride, strict=True))


def shortest(config: Any) -> int:
    """Samples of one frame; shorter audio is heard with silence after it."""
    samples = 1
    for kernel, stride in reversed(strides(config)):
        samples = (samples - 1) * stride + kernel
    return samples


def frames(config: Any, lengths: Tensor, layers: int | None = None) -> Tensor:
    """Frames of utterances of ``lengths`` samples after the first ``layers``, or all, convolutions.

    Shape: ``[B]`` -> ``[B]``.
    """
    lengths = lengths.clamp(min=shortest(config))
    for kernel, stride in strides(config)[:layers]:
        lengths = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
    return lengths


def _kept(x: Tensor, lengths: Tensor) -> Tensor:
    """Which frames are within each utterance. Shape: ``[B, C, N]``, ``[B]`` -> ``[B, 1, N]``."""
    return torch.arange(x.shape[2], device=x.device) < lengths[:, None, None]


def normalised(norm: nn.GroupNorm, x: Tensor, lengths: Tensor) -> Tensor:
    """A group norm of one channel a group with the statistics of each utterance's own frames.

    Args:
        x: ``[B, C, N]``.
        lengths: true number of frames. Shape: ``[B]``.
    """
    mask, count = _kept(x, lengths), lengths[:, None, None]
    centred = (x - (x * mask).sum(2, keepdim=True) / count) * mask
    variance = centred.square().sum(2, keepdim=True) / count
    return centred * torch.rsqrt(variance + norm.eps) * norm.weight[:, None] + norm.bias[:, None]


def _queries(attention: Any, x: Tensor) -> Tensor:
    return heads(attention.q_proj(x), attention.num_heads)


def _pair(attention: Any, x: Tensor) -> Pair:
    count = attention.num_heads
    return heads(attention.k_proj(x), count), heads(attention.v_proj(x), count)


def run_prenet(prenet: Any, wav: Tensor, lengths: Tensor) -> Tensor:
    """Frames with their positions, before attention.

    Shape: ``[B, T]``, ``[B]`` -> ``[B, F, C]``.
    """
    x = wav[:, None]
    for i, layer in enumerate(prenet.feature_encoder.conv_layers):
        norm = getattr(layer, "layer_norm", None)
        if isinstance(norm, nn.GroupNorm):
            x = layer.activation(
                normalised(norm, layer.conv(x), frames(prenet.config, lengths, i + 1))
            )
        else:
            x = layer(x)
    ends = frames(prenet.config, lengths)
    x, _ = prenet.feature_projection(x[..., : int(ends.max())].transpose(1, 2))
    x = x * _kept(x.transpose(1, 2), ends).transpose(1, 2)
    x = x + prenet.pos_conv_embed(x)
    counted = torch.zeros(1, x.shape[1], dtype=torch.long, device=x.device)  # as the reference does
    out: Tensor = x + prenet.pos_sinusoidal_embed(counted)
    return out


def distances(relative: Any, count: int, device: torch.device) -> Tensor:
    """Row of the table of relative positions (Shaw et al. 2018) for each query and key.

    Shape: ``[F, F]``.
    """
    steps = torch.arange(count, device=device)
    most: int = relative.max_length
    return (steps[:, None] - steps).clamp(-most, most - 1) + most


def run_encoder(network: Any, wav: Tensor, lengths: Tensor) -> Tensor:
    """The encoder's states; those beyond an utterance's own frames mean nothing.

    Args:
        network: transformers' SpeechT5.
        wav: zero beyond each length, at least :func:`shortest` samples. Shape: ``[B, T]``.
        lengths: true number of samples. Shape: ``[B]``.

    Shape: ``[B, F, C]``.
    """
    prenet, encoder = network.speecht5.encoder.prenet, network.speecht5.encoder.wrapped_encoder
    x = encoder.layer_norm(run_prenet(prenet, wav, lengths))
    mask = inside(frames(prenet.config, lengths).tolist(), x.device)
    rows = distances(encoder.embed_positions, x.shape[1], x.device)
    table = encoder.embed_positions.pe_k.weight
    for layer in encoder.layers:
        attention = layer.attention
        queries = _queries(attention, x)
        # Each query with every row of the table, and not a row for every pair of frames, which
        # would be 64 times as much memory.
        found = queries * attention.scaling @ table.T
        bias = found.gather(3, rows.expand(*found.shape[:2], -1, -1))
        if mask is not None:
            bias = bias.masked_fill(~mask, -torch.inf)
        attended = attend(queries, _pair(attention, x), bias)
        x = layer.layer_norm(x + attention.out_proj(attended))
        x = layer.final_layer_norm(x + layer.feed_forward(x))
    states: Tensor = x
    return states


class SpeechT5Encoded(TransformerEncoded):
    """Encoded speech and what the decoder has read."""

    @property
    def output(self) -> Tensor:
        weight: Tensor = self.network.text_decoder_postnet.lm_head.weight
        return weight

    def decode(self, tokens: Tensor) -> Tensor:
        """The decoder's states of ``tokens``, remembered. Shape: ``[B, N]`` -> ``[B, N, C]``."""
        decoder = self.network.speecht5.decoder
        prenet, before = decoder.prenet, self.before
        x = prenet.embed_tokens(tokens) * prenet.embed_scale
        x = x + prenet.embed_positions(tokens, before)
        causal = self.causal(tokens.shape[1])
        for i, layer in enumerate(decoder.wrapped_decoder.layers):
            pair = self.remember(i, _pair(layer.self_attn, x))
            attended = attend(_queries(layer.self_attn, x), pair, causal)
            x = layer.self_attn_layer_norm(x + layer.self_attn.out_proj(attended))
            attended = self.attend_speech(_queries(layer.encoder_attn, x), i)
            x = layer.encoder_attn_layer_norm(x + layer.encoder_attn.out_proj(attended))
            x = layer.final_layer_norm(x + layer.feed_forward(x))
        states: Tensor = x
        return states


class SpeechT5(Seq2Seq, nn.Module):
    """The recognizer. Its weights are frozen; gradients reach the waveform alone.

    Args:
        network: transformers' ``SpeechT5ForSpeechToText``.
        vocabulary: of its tokenizer.
        standardise: whether it hears each utterance with mean 0 and variance 1.
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
        standardise: bool = False,
        normaliser: Normaliser | None = None,
        beam: int = 0,
        origin: str = "",
        guards: Guards | None = None,
    ) -> None:
        if beam < 0:
            raise ValueError(f"speecht5 needs a beam of at least 0; got {beam}")
        super().__init__()
        self.network, self.vocabulary, self.normaliser = network, vocabulary, normaliser
        self.standardise, self.beam, self.origin, self.guards = standardise, beam, origin, guards
        self.eval().requires_grad_(False)

    def cut(self, audio: Audio) -> list[list[Tensor]]:
        """Each utterance in parts of at most 30 s, cut where it is quiet."""
        return [pieces(wave) for wave in audio]

    def encode(self, audio: Audio, draws: Draws) -> SpeechT5Encoded:
        """The batch, with nothing read yet; nothing is drawn.

        Raises:
            AudioError: an utterance is longer than 30 s, as almost none that it was trained on is.
            ValueError: another rate.
        """
        if audio.rate != RATE:
            raise ValueError(f"SpeechT5 takes {RATE} Hz audio, got {audio.rate}")
        check_length(audio.lengths, "SpeechT5")
        network = beside(self, audio.wav).network
        wav = standardised(audio) if self.standardise else audio.wav * audio.mask
        wav = F.pad(wav, (0, max(0, shortest(network.config) - wav.shape[1])))
        states = run_encoder(network, wav, audio.lengths)
        layers = network.speecht5.decoder.wrapped_decoder.layers
        cross = [_pair(layer.encoder_attn, states) for layer in layers]
        start = network.config.decoder_start_token_id
        prompt = torch.full((len(audio), 1), start, device=wav.device)
        ends: Sequence[int] = frames(network.config, audio.lengths).tolist()
        return SpeechT5Encoded(network, prompt, cross, ends)
