"""Whisper (Radford et al. 2022): any size, English or multilingual.

The layers are those of transformers' ``WhisperForConditionalGeneration``; how they are run is ours.
The reference puts every utterance into a window of 30 s. Here the window is the utterance's own
length, rounded up. The rest of the 30 s is the network's own keys, values and states of silence,
which are computed once. (Without them, Whisper repeats itself in a short window.) So the cost
depends on the utterance's length, and its result is the same alone and in any batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.audio import RATE, Audio
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.models.attention import Pair, TransformerEncoded, attend, heads
from melmoat.models.guards import Guards
from melmoat.models.pauses import LONGEST, pieces
from melmoat.models.seq2seq import Seq2Seq, Vocabulary
from melmoat.models.whisper.mel import STRIDE, log_mel
from melmoat.normalisers import Normaliser

QUIET = -0.8  # a bin at the floor, 8 decades below the loudest of usual speech


def _queries(attention: Any, x: Tensor) -> Tensor:
    return heads(attention.q_proj(x), attention.num_heads)


def _pair(attention: Any, x: Tensor) -> Pair:
    count = attention.num_heads
    return heads(attention.k_proj(x), count), heads(attention.v_proj(x), count)


def _feed(layer: Any, x: Tensor) -> Tensor:
    out: Tensor = x + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(x))))
    return out


@dataclass(frozen=True)
class Silence:
    """What the network makes of 30 s of silence: what a window that ends early goes on as.

    Args:
        layers: keys and values of each layer of the encoder. Shape: ``[1, heads, P, width]``.
        cross: those of each layer of the decoder, of the speech.
    """

    layers: list[Pair]
    cross: list[Pair]


def _goes_on(pair: Pair, beyond: Pair, ends: Sequence[int]) -> Pair:
    """``pair`` up to each row's end, then ``beyond``. Shape: ``[B, heads, P, width]``."""
    keys, values = (
        torch.stack(
            [
                torch.cat([own[:, :end], theirs[0, :, end:]], 1)
                for own, end in zip(mine, ends, strict=True)
            ]
        )
        for mine, theirs in zip(pair, beyond, strict=True)
    )
    return keys, values


def run_encoder(
    network: Any, mel: Tensor, ends: Sequence[int], silence: Silence | None, keep: bool = False
) -> tuple[list[Pair], list[Pair]]:
    """Run the encoder on each utterance's window; the rest of the 30 s counts as silence.

    The positions of a window attend to each other and to those of ``silence`` behind them, which
    are not computed again. So the decoder finds as much silence as it learned to expect.

    Args:
        network: transformers' Whisper.
        mel: with the silence that the convolutions see. Shape: ``[B, bands, F]``.
        ends: positions of each utterance's window.
        silence: for windows shorter than the full one.
        keep: whether the encoder's are wanted too.

    Returns:
        keys and values of the full window, of each layer of the encoder, or of none, and of each
        of the decoder.
    """
    encoder, total = network.model.encoder, max(ends)
    x = F.gelu(encoder.conv2(F.gelu(encoder.conv1(mel)))).transpose(1, 2)[:, :total]
    x = x + encoder.embed_positions.weight[:total]
    layers = []
    for i, layer in enumerate(encoder.layers):
        y = layer.self_attn_layer_norm(x)
        pair = _pair(layer.self_attn, y)
        if silence:
            pair = _goes_on(pair, silence.layers[i], ends)
        if keep:
            layers.append(pair)
        x = x + layer.self_attn.out_proj(attend(_queries(layer.self_attn, y), pair))
        x = _feed(layer, x)
    x = encoder.layer_norm(x)
    cross = [_pair(layer.encoder_attn, x) for layer in network.model.decoder.layers]
    if silence:
        cross = [_goes_on(*pairs, ends) for pairs in zip(cross, silence.cross, strict=True)]
    return layers, cross


class WhisperEncoded(TransformerEncoded):
    """Encoded speech and what the decoder has read."""

    def decode(self, tokens: Tensor) -> Tensor:
        """The decoder's states of ``tokens``, remembered. Shape: ``[B, N]`` -> ``[B, N, C]``."""
        decoder, before, count = self.network.model.decoder, self.before, tokens.shape[1]
        causal = self.causal(count)
        positions = decoder.embed_positions.weight[before : before + count]
        x = decoder.embed_tokens(tokens) + positions
        for i, layer in enumerate(decoder.layers):
            y = layer.self_attn_layer_norm(x)
            pair = self.remember(i, _pair(layer.self_attn, y))
            attended = attend(_queries(layer.self_attn, y), pair, causal)
            x = x + layer.self_attn.out_proj(attended)
            y = layer.encoder_attn_layer_norm(x)
            attended = self.attend_speech(_queries(layer.encoder_attn, y), i)
            x = x + layer.encoder_attn.out_proj(attended)
            x = _feed(layer, x)
        states: Tensor = decoder.layer_norm(x)
        return states


class Whisper(nn.Module, Seq2Seq):
    """The recognizer. Its weights are frozen; gradients reach only the waveform.

    Args:
        network: transformers' ``WhisperForConditionalGeneration``.
        vocabulary: of its tokenizer.
        prompt: what its texts begin with. Shape: ``[P]``. In a multilingual network whose language
            is to be found out, the second token stands for that.
        languages: the languages to choose from, with their tokens; empty where it is given.
        normaliser: applied before transcripts are compared.
        beam: width of a beam search; 0 decodes greedily.
        pad: windows are rounded up to a multiple of this many seconds; the reference has 30.
        origin: where the weights come from, in words.
        guards: when its texts are not believed.
    """

    rate = RATE

    def __init__(
        self,
        network: Any,
        vocabulary: Vocabulary,
        prompt: Sequence[int],
        languages: Mapping[str, int] | None = None,
        normaliser: Normaliser | None = None,
        beam: int = 0,
        pad: float = 1.0,
        origin: str = "",
        guards: Guards | None = None,
    ) -> None:
        if beam < 0 or not 0 < pad <= 30:
            raise ValueError(
                f"whisper needs a beam of at least 0 and 0 < pad <= 30; got {beam} and {pad}"
            )
        if network.config.max_source_positions * STRIDE != LONGEST:
            raise ValueError("whisper: only networks with a window of 30 s are known")
        super().__init__()
        self.network, self.vocabulary, self.normaliser = network, vocabulary, normaliser
        self.prompt, self.languages = list(prompt), dict(languages or {})
        self.beam, self.pad, self.origin, self.guards = beam, pad, origin, guards
        self._kept: Silence | None = None
        self.eval().requires_grad_(False)

    def cut(self, audio: Audio) -> list[list[Tensor]]:
        """Each utterance in parts of at most 30 s, cut where it is quiet."""
        return [pieces(wave) for wave in audio]

    def encode(self, audio: Audio, draws: Draws) -> WhisperEncoded:
        """The batch, with nothing read yet.

        Raises:
            AudioError: an utterance is longer than 30 s.
        """
        cross = self._heard(audio)
        prompt = self._prompts(audio)
        if self.languages:
            with torch.no_grad():
                likely = self._spoken(cross, prompt).argmax(-1)
            prompt = prompt.clone()
            prompt[:, 1] = torch.tensor(list(self.languages.values()), device=prompt.device)[likely]
        return WhisperEncoded(self.network, prompt, cross)

    def spoken(self, audio: Audio) -> Tensor:
        """Log probabilities of ``languages``, in their order, with a gradient. Shape: ``[B, N]``.

        Raises:
            AudioError: an utterance is longer than 30 s.
        """
        return self._spoken(self._heard(audio), self._prompts(audio)).log_softmax(-1)

    def _prompts(self, audio: Audio) -> Tensor:
        return torch.tensor(self.prompt, device=audio.wav.device).expand(len(audio), -1)

    def _spoken(self, cross: list[Pair], prompt: Tensor) -> Tensor:
        asked = WhisperEncoded(self.network, prompt[:, :1], cross)
        return asked.read(prompt[:, :0])[:, -1, list(self.languages.values())]

    def _heard(self, audio: Audio) -> list[Pair]:
        """What the decoder attends to."""
        full = beside(self, audio.wav).network.config.max_source_positions
        mel, frames = log_mel(audio, self.network.config.num_mel_bins, self.pad)
        ends = (frames // 2).tolist()
        silence = self._silence(mel) if min(ends) < full else None
        return run_encoder(self.network, mel, ends, silence)[1]

    def _silence(self, like: Tensor) -> Silence:
        """Computed once, in the type of ``like`` and where it is."""
        kept = self._kept
        if kept is None or any(
            getattr(kept.layers[0][0], what) != getattr(like, what) for what in ("dtype", "device")
        ):
            full = self.network.config.max_source_positions
            mel = like.new_full((1, self.network.config.num_mel_bins, 2 * full), QUIET)
            with torch.no_grad():
                kept = self._kept = Silence(
                    *run_encoder(self.network, mel, [full], None, keep=True)
                )
        return kept
