"""Attention from and to a short window that goes on as something constant and known.

Each utterance's queries meet its own keys up to its window's end, and from there the constant ones
that all utterances share. The numbers are those of attention to one long row of keys, but the
constant part is not copied for every utterance, and no gradient of it is computed. As in
FlashAttention (Dao et al. 2022) the weights are not kept for the backward pass but computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Pair = tuple[Tensor, Tensor]  # keys and values, [B, heads, N, width]


def attend(queries: Tensor, own: Pair, lengths: Sequence[int], beyond: Pair) -> Tensor:
    """Softmax attention of each utterance to its first ``lengths`` keys and then to ``beyond``.

    Args:
        queries: ``[B, heads, Q, width]``.
        own: keys and values of each utterance, of which those from ``lengths`` on do not count.
            Shape: ``[B, heads, P, width]``.
        lengths: of each utterance, at most P and N.
        beyond: what stands behind, from its own position ``lengths`` on; constant, so it gets no
            gradient. Shape: ``[1, heads, N, width]``.

    Shape: ``[B, heads, Q, width]``.
    """
    inputs = (queries, *own, beyond[0][0], beyond[1][0], list(lengths))
    out: Tensor = _Attention.apply(*inputs)  # type: ignore[no-untyped-call]
    return out


class _Attention(torch.autograd.Function):
    # Row by row and head by head: one's weights fit in the processor's cache.

    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, k: Tensor, v: Tensor, far_k: Tensor, far_v: Tensor, n: list[int]
    ) -> Tensor:
        out = torch.empty_like(queries)
        for b, h, end in _each(n, k.shape[1]):
            weights = _weights(queries[b, h], k[b, h, :end], far_k[h, end:])
            torch.mm(weights[:, :end], v[b, h, :end], out=out[b, h])
            out[b, h].addmm_(weights[:, end:], far_v[h, end:])
        ctx.save_for_backward(queries, k, v, far_k, far_v, out)
        ctx.n = n
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        queries, k, v, far_k, far_v, out = ctx.saved_tensors
        d_queries, d_k, d_v = torch.empty_like(queries), torch.zeros_like(k), torch.zeros_like(v)
        scale = queries.shape[-1] ** -0.5
        # The softmax's own term: the mean of the weights' gradients under the weights.
        means = (grad * out).sum(-1, keepdim=True)
        for b, h, end in _each(ctx.n, k.shape[1]):
            weights = _weights(queries[b, h], k[b, h, :end], far_k[h, end:])
            torch.mm(weights[:, :end].t(), grad[b, h], out=d_v[b, h, :end])
            scores = torch.cat(
                [grad[b, h] @ v[b, h, :end].t(), grad[b, h] @ far_v[h, end:].t()], -1
            )
            scores = scores.sub_(means[b, h]).mul_(weights).mul_(scale)
            torch.mm(scores[:, :end], k[b, h, :end], out=d_queries[b, h])
            d_queries[b, h].addmm_(scores[:, end:], far_k[h, end:])
            torch.mm(scores[:, :end].t(), queries[b, h], out=d_k[b, h, :end])
        return d_queries, d_k, d_v, None, None, None


def _each(lengths: list[int], heads: int) -> Iterator[tuple[int, int, int]]:
    return ((b, h, end) for b, end in enumerate(lengths) for h in range(heads))


def _weights(queries: Tensor, keys: Tensor, beyond: Tensor) -> Tensor:
    """Shape: ``[Q, width]``, keys ``[N, width]``, beyond ``[M, width]`` -> ``[Q, N + M]``."""
    queries = queries * queries.shape[-1] ** -0.5
    return torch.cat([queries @ keys.t(), queries @ beyond.t()], -1).softmax(-1)
