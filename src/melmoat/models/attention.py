"""Attention as recognizers of tokens run it: over true lengths, and token after token.

Speech is encoded once. A decoder then reads token after token and keeps the keys and values of
those it has read (Vaswani et al. 2017): :class:`TransformerEncoded`. The layers are the network's.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[Tensor, Tensor]  # keys and values, [B, heads, N, width]
EncodedT = TypeVar("EncodedT", bound="TransformerEncoded")
ROWS = 4096  # of a vocabulary at once


def heads(x: Tensor, count: int) -> Tensor:
    """``[B, N, heads * width]`` -> ``[B, heads, N, width]``."""
    return x.view(*x.shape[:2], count, -1).transpose(1, 2)


def merged(x: Tensor) -> Tensor:
    """``[B, heads, N, width]`` -> ``[B, N, heads * width]``."""
    return x.transpose(1, 2).flatten(2)


def inside(ends: Sequence[int], device: torch.device) -> Tensor | None:
    """Mask of the keys of each utterance; None where all have as many.

    Shape: ``[B, 1, 1, N]``.
    """
    if min(ends) == max(ends):
        return None
    steps = torch.arange(max(ends), device=device)
    return (steps < torch.tensor(ends, device=device)[:, None])[:, None, None]


def attend(queries: Tensor, pair: Pair, mask: Tensor | None = None) -> Tensor:
    """What each query finds. Shape: ``[B, heads, N, width]`` -> ``[B, N, heads * width]``."""
    return merged(F.scaled_dot_product_attention(queries, *pair, attn_mask=mask))


def attend_owned(
    queries: Tensor, pair: Pair, owners: Sequence[int], ends: Sequence[int] | None = None
) -> Tensor:
    """:func:`attend`, each row to the keys and values of its owner, which are not copied.

    Args:
        ends: the number of keys of each owner; all if None.
    """
    attended = []
    for owner, rows in groupby(range(len(owners)), key=owners.__getitem__):
        mine = queries[list(rows)].transpose(0, 1)  # several rows are queries of one utterance
        end = ends[owner] if ends else None
        keys, values = (part[owner : owner + 1, :, :end] for part in pair)
        several = F.scaled_dot_product_attention(mine.flatten(1, 2)[None], keys, values)
        attended.append(several.view_as(mine).transpose(0, 1))
    return merged(torch.cat(attended))


class TransformerEncoded:
    """Encoded speech and the keys and values of what a decoder has read.

    Subclasses write :meth:`decode`.

    Args:
        network: of transformers, with ``proj_out``, or a subclass says what :attr:`output` is.
        prompt: what every text begins with. Shape: ``[B, P]``.
        cross: keys and values of the speech, of each layer.
        ends: how many of those are each utterance's; all if None.
        past: of each layer's self-attention; empty before the first token.
        owners: which utterance of ``cross`` each row reads; None where they are the same.
    """

    def __init__(
        self,
        network: Any,
        prompt: Tensor,
        cross: list[Pair],
        ends: Sequence[int] | None = None,
        past: list[Pair] | None = None,
        owners: Sequence[int] | None = None,
    ) -> None:
        self.network, self.prompt, self.cross, self.ends = network, prompt, cross, ends
        self.past, self.owners = past or [], owners
        self.mask = inside(ends, prompt.device) if ends and owners is None else None

    @property
    def before(self) -> int:
        """Tokens read so far."""
        return self.past[0][0].shape[2] if self.past else 0

    @property
    def output(self) -> Tensor:
        """What makes logits of the decoder's states. Shape: ``[V, C]``."""
        weight: Tensor = self.network.proj_out.weight
        return weight

    def pick(self: EncodedT, rows: Sequence[int]) -> EncodedT:
        """Some of the utterances, a row perhaps several times, with what each has read."""
        chosen = list(rows)
        past = [(k[chosen], v[chosen]) for k, v in self.past]
        owners = [self.owners[row] for row in chosen] if self.owners else chosen
        return type(self)(self.network, self.prompt[chosen], self.cross, self.ends, past, owners)

    def opening(self, token: int) -> Tensor:
        """Probability of ``token`` right behind the first of the prompt. Shape: ``[B]``."""
        start = self.prompt[:, :1]
        first = type(self)(self.network, start, self.cross, self.ends, owners=self.owners)
        return first.read(self.prompt[:, :0])[:, 0, token].exp()

    def read(self, tokens: Tensor) -> Tensor:
        """Log probabilities of what follows each of ``tokens``; at first also of the first."""
        first = 0
        if not self.past:
            tokens, first = torch.cat([self.prompt, tokens], 1), self.prompt.shape[1] - 1
        states = self.decode(tokens)[:, first:]
        # Few rows by one matrix of 80 MB, batched or whole, take twice as long on a processor.
        states, weights = states.flatten(0, 1), torch.split(self.output, ROWS)
        logits = torch.cat([F.linear(states, part) for part in weights], -1)
        return logits.log_softmax(-1).view(len(tokens), -1, logits.shape[-1])

    def decode(self, tokens: Tensor) -> Tensor:
        """The decoder's states of ``tokens``, remembered. Shape: ``[B, N]`` -> ``[B, N, C]``."""
        raise NotImplementedError

    def causal(self, count: int) -> Tensor | None:
        """Mask of ``count`` new tokens, each of which sees those before it and itself."""
        if count == 1:
            return None
        shape = count, self.before + count
        return torch.ones(shape, dtype=torch.bool, device=self.prompt.device).tril(self.before)

    def remember(self, layer: int, pair: Pair) -> Pair:
        """The layer's keys and values of all tokens read, with these new ones."""
        if layer == len(self.past):
            self.past.append(pair)
        else:
            old = self.past[layer]
            self.past[layer] = torch.cat([old[0], pair[0]], 2), torch.cat([old[1], pair[1]], 2)
        return self.past[layer]

    def attend_speech(self, queries: Tensor, layer: int) -> Tensor:
        """What the queries of a layer find in the speech."""
        if self.owners is None:
            return attend(queries, self.cross[layer], self.mask)
        return attend_owned(queries, self.cross[layer], self.owners, self.ends)
