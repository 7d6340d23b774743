"""Attention in parts is attention to the whole row of keys."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from melmoat.models.windows import attend

ENDS = [3, 5, 7]  # the last window is the full one


def tensors() -> list[Tensor]:
    torch.manual_seed(0)
    sizes = [(3, 2, 4, 8), (3, 2, 7, 8), (3, 2, 7, 8), (1, 2, 7, 8), (1, 2, 7, 8)]
    return [torch.randn(size, dtype=torch.float64) for size in sizes]


def plain(q: Tensor, k: Tensor, v: Tensor, far_k: Tensor, far_v: Tensor) -> Tensor:
    inside = (torch.arange(7) < torch.tensor(ENDS)[:, None])[:, None, :, None]
    return F.scaled_dot_product_attention(
        q, torch.where(inside, k, far_k), torch.where(inside, v, far_v)
    )


def test_values_and_gradients_are_those_of_one_row_of_keys() -> None:
    q, k, v, far_k, far_v = tensors()
    inputs = [x.requires_grad_() for x in (q, k, v)]
    ours = attend(q, (k, v), ENDS, (far_k, far_v))
    expected = plain(q, k, v, far_k, far_v)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(ours)
    pairs = zip(
        torch.autograd.grad((ours * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    )
    for found, wanted in pairs:
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)


def test_what_lies_behind_a_window_does_not_count() -> None:
    q, k, v, far_k, far_v = tensors()
    before = attend(q, (k, v), ENDS, (far_k, far_v))
    k[0, :, 3:], v[0, :, 3:] = torch.inf, torch.nan
    assert torch.equal(attend(q, (k, v), ENDS, (far_k, far_v))[0], before[0])
    far_k[:, :, :3] = torch.nan
    assert torch.equal(attend(q, (k, v), ENDS, (far_k, far_v)), before)
