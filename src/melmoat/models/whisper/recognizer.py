"""Whisper (Radford et al. 2022): any size, English or multilingual.

The layers are those of transformers' ``WhisperForConditionalGeneration``, but they are run
differently. The reference puts every utterance into a window of 30 s. Here the window is the
utterance's own length, rounded up. The rest of the 30 s is the network's own keys, values and
states of silence, which are computed once. (Without them, Whisper repeats itself in a short
window.) So the cost depends on the utterance's length, and its result is the same alone and in any
batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.audio import RATE, Audio
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.models.guards import Guards
from melmoat.models.seq2seq import Seq2Seq, Vocabulary
from melmoat.models.whisper.mel import LONGEST, STRIDE, log_mel, pieces
from melmoat.normalisers import Normaliser

QUIET = -0.8  # a bin at the floor, 8 decades below the loudest of usual speech
Pair = tuple[Tensor, Tensor]  # keys and values, [B, heads, N, width]


def _heads(x: Tensor, count: int) -> Tensor:
    return x.view(*x.shape[:2], count, -1).transpose(1, 2)


def _pair(attention: Any, x: Tensor) -> Pair:
    count = attention.num_heads
    return _heads(attention.k_proj(x), count), _heads(attention.v_proj(x), count)


def _attend(attention: Any, x: Tensor, pair: Pair, mask: Tensor | None) -> Tensor:
    queries = _heads(attention.q_proj(x), attention.num_heads)
    attended = F.scaled_dot_product_attention(queries, *pair, attn_mask=mask)
    out: Tensor = attention.out_proj(attended.transpose(1, 2).flatten(2))
    return out


def _attend_owned(attention: Any, x: Tensor, pair: Pair, owners: Sequence[int]) -> Tensor:
    """:func:`_attend` of each row to the keys and values of its owner, without copying them."""
    queries = _heads(attention.q_proj(x), attention.num_heads)
    attended = []
    for owner, rows in groupby(range(len(owners)), key=owners.__getitem__):
        mine = queries[list(rows)].transpose(0, 1)  # several rows are queries of one utterance
        keys, values = (part[owner : owner + 1] for part in pair)
        several = F.scaled_dot_product_attention(mine.flatten(1, 2)[None], keys, values)
        attended.append(several.view_as(mine).transpose(0, 1))
    out: Tensor = attention.out_proj(torch.cat(attended).transpose(1, 2).flatten(2))
    return out


def _feed(layer: Any, x: Tensor) -> Tensor:
    out: Tensor = x + layer.fc2(layer.activation_fn(layer.fc1(layer.final_layer_norm(x))))
    return out


@dataclass(frozen=True)
class Silence:
    """The network's keys and values for 30 s of silence; they fill the rest of a short window.

    Args:
        layers: keys and values of each layer of the encoder. Shape: ``[1, heads, P, width]``.
        cross: keys and values of the speech for each layer of the decoder.
    """

    layers: list[Pair]
    cross: list[Pair]


def _goes_on(pair: Pair, beyond: Pair, ends: Sequence[int]) -> Pair:
    """``pair`` up to each row's end, then ``beyond``. Shape: ``[B, heads, P, width]``."""
    keys, values = (
        torch.stack(
            [
                torch.cat([row[:, :end], theirs[0, :, end:]], 1)
                for row, end in zip(mine, ends, strict=True)
            ]
        )
        for mine, theirs in zip(pair, beyond, strict=True)
    )
    return keys, values


def run_encoder(
    network: Any, mel: Tensor, ends: Sequence[int], silence: Silence | None, keep: bool = False
) -> tuple[list[Pair], list[Pair]]:
    """Run the encoder on each utterance's window; the rest of the 30 s counts as silence.

    The positions of a window attend to each other and to those of ``silence`` after them, which are
    not computed again. So the decoder sees as much silence as in its training.

    Args:
        network: transformers' Whisper.
        mel: with the silence that the convolutions see. Shape: ``[B, bands, F]``.
        ends: positions of each utterance's window.
        silence: for windows shorter than the full one.
        keep: whether to return those of the encoder, too.

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
        x = x + _attend(layer.self_attn, y, pair, None)
        x = _feed(layer, x)
    x = encoder.layer_norm(x)
    cross = [_pair(layer.encoder_attn, x) for layer in network.model.decoder.layers]
    if silence:
        cross = [_goes_on(*pairs, ends) for pairs in zip(cross, silence.cross, strict=True)]
    return layers, cross


class WhisperEncoded:
    """Encoded speech and the keys and values of what the decoder has read.

    Args:
        network: transformers' Whisper.
        prompt: the tokens that every text begins with. Shape: ``[B, P]``.
        past: keys and values of each layer's self-attention; empty before the first token.
        cross: keys and values of each layer's attention to the speech.
        owners: the utterance of ``cross`` that each row reads; None if they are the same.
    """

    def __init__(
        self,
        network: Any,
        prompt: Tensor,
        cross: list[Pair],
        past: list[Pair] | None = None,
        owners: Sequence[int] | None = None,
    ) -> None:
        self.network, self.prompt = network, prompt
        self.cross, self.past, self.owners = cross, past or [], owners

    def pick(self, rows: Sequence[int]) -> WhisperEncoded:
        """Some of the utterances, a row perhaps several times, with what each has read."""
        chosen = list(rows)
        past = [(k[chosen], v[chosen]) for k, v in self.past]
        owners = [self.owners[row] for row in chosen] if self.owners else chosen
        return WhisperEncoded(self.network, self.prompt[chosen], self.cross, past, owners)

    def opening(self, token: int) -> Tensor:
        """Probability of ``token`` right after the first token of the prompt. Shape: ``[B]``."""
        first = WhisperEncoded(self.network, self.prompt[:, :1], self.cross, owners=self.owners)
        return first.read(self.prompt[:, :0])[:, 0, token].exp()

    def read(self, tokens: Tensor) -> Tensor:
        """Log probabilities of what follows each of ``tokens``; at first also of the first."""
        first = 0
        if not self.past:
            tokens, first = torch.cat([self.prompt, tokens], 1), self.prompt.shape[1] - 1
        states = self._decode(tokens)[:, first:]
        # Few rows by one matrix of 80 MB, batched or whole, take twice as long on a processor.
        states, weights = states.flatten(0, 1), self.network.proj_out.weight.split(4096)
        logits = torch.cat([F.linear(states, part) for part in weights], -1)
        return logits.log_softmax(-1).view(len(tokens), -1, logits.shape[-1])

    def _decode(self, tokens: Tensor) -> Tensor:
        decoder = self.network.model.decoder
        before = self.past[0][0].shape[2] if self.past else 0
        count = tokens.shape[1]
        ahead = torch.ones(count, before + count, dtype=torch.bool, device=tokens.device)
        causal = ahead.tril(before) if count > 1 else None
        positions = decoder.embed_positions.weight[before : before + count]
        x = decoder.embed_tokens(tokens) + positions
        for i, layer in enumerate(decoder.layers):
            y = layer.self_attn_layer_norm(x)
            pair = _pair(layer.self_attn, y)
            if before:
                old = self.past[i]
                pair = torch.cat([old[0], pair[0]], 2), torch.cat([old[1], pair[1]], 2)
                self.past[i] = pair
            else:
                self.past.append(pair)
            x = x + _attend(layer.self_attn, y, pair, causal)
            y = layer.encoder_attn_layer_norm(x)
            if self.owners is None:
                x = x + _attend(layer.encoder_attn, y, self.cross[i], None)
            else:
                x = x + _attend_owned(layer.encoder_attn, y, self.cross[i], self.owners)
            x = _feed(layer, x)
        states: Tensor = decoder.layer_norm(x)
        return states


class Whisper(nn.Module, Seq2Seq):
    """The recognizer. Its weights are frozen; gradients reach only the waveform.

    Args:
        network: transformers' ``WhisperForConditionalGeneration``.
        vocabulary: vocabulary of its tokenizer.
        prompt: the tokens that its texts begin with. Shape: ``[P]``. If a multilingual network
            detects the language, the second token is a placeholder for it.
        languages: tokens of the languages to choose from; empty if the language is given.
        normaliser: applied before transcripts are compared.
        beam: width of a beam search; 0 decodes greedily.
        pad: windows are rounded up to a multiple of this many seconds; the reference has 30.
        origin: description of the weights' origin.
        guards: say when its texts are rejected.
    """

    rate = RATE

    def __init__(
        self,
        network: Any,
        vocabulary: Vocabulary,
        prompt: Sequence[int],
        languages: Sequence[int] = (),
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
        self.prompt, self.languages = list(prompt), list(languages)
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
        full = beside(self, audio.wav).network.config.max_source_positions
        mel, frames = log_mel(audio, self.network.config.num_mel_bins, self.pad)
        ends = (frames // 2).tolist()
        silence = self._silence(mel) if min(ends) < full else None
        _, cross = run_encoder(self.network, mel, ends, silence)
        prompt = torch.tensor(self.prompt, device=mel.device).expand(len(audio), -1)
        if self.languages:
            with torch.no_grad():
                asked = WhisperEncoded(self.network, prompt[:, :1], cross)
                likely = asked.read(prompt[:, :0])[:, -1, self.languages].argmax(-1)
            prompt = prompt.clone()
            prompt[:, 1] = torch.tensor(self.languages, device=mel.device)[likely]
        return WhisperEncoded(self.network, prompt, cross)

    def _silence(self, like: Tensor) -> Silence:
        """Computed once, in the type of ``like`` and where it is."""
        cached = self._kept
        if cached is None or any(
            getattr(cached.layers[0][0], what) != getattr(like, what)
            for what in ("dtype", "device")
        ):
            full = self.network.config.max_source_positions
            mel = like.new_full((1, self.network.config.num_mel_bins, 2 * full), QUIET)
            with torch.no_grad():
                cached = self._kept = Silence(
                    *run_encoder(self.network, mel, [full], None, keep=True)
                )
        return cached
