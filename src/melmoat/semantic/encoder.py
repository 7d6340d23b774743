"""Sentence embeddings: BERT, the mean of its outputs over the tokens, unit length.

Reimers & Gurevych (2019, *Sentence-BERT*), section 3, with the settings of sentence-transformers'
all-MiniLM-L6-v2, which was trained on more than a billion pairs of English sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from melmoat.text import listed, normalise

BATCH = 64


def distance(one: Tensor, other: Tensor) -> Tensor:
    """One minus the cosine of unit vectors, 0 to 2: 0 for the same direction, 1 for a right angle.

    Shape: ``[..., D]``, ``[..., D]`` -> ``[...]``.

    >>> distance(torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.8]))
    tensor(0.4000)
    """
    return (1 - (one * other).sum(-1)).clamp(0, 2)


class Sentences:
    """Turns texts into vectors.

    Args:
        network: a BERT of transformers, frozen and in eval mode.
        tokenizer: of ``tokenizers``; its padding and truncation are set here.
        longest: most tokens of a text, with the two marks around it; what is beyond is not read.
        name: what it is, with the commit if it is from the hub.
    """

    def __init__(self, network: Any, tokenizer: Any, longest: int, name: str) -> None:
        tokenizer.no_padding()
        tokenizer.enable_truncation(longest)
        self.network, self.tokenizer, self.name = network, tokenizer, name

    def tokens(self, text: str) -> tuple[int, ...]:
        """The tokens of a text. Case, accents of Latin letters and punctuation do not count:
        references are in capitals and have none."""
        return tuple(self.tokenizer.encode(normalise(text).lower()).ids)

    @torch.no_grad()
    def embed(self, texts: Sequence[str], batch: int = BATCH) -> Tensor:
        """A unit vector for each text. Shape: ``[len(texts), D]``, 64-bit floats.

        Texts of the same tokens get the same bits. The batch changes rounding only.

        Args:
            batch: number of texts that are computed together.
        """
        tokens = [self.tokens(text) for text in listed(texts)]
        every = sorted(set(tokens), key=lambda ids: (len(ids), ids))
        if not every:
            return torch.zeros(0, self.network.config.hidden_size, dtype=torch.float64)
        parts = [every[start : start + batch] for start in range(0, len(every), batch)]
        vectors = torch.cat([self._pooled(part) for part in parts])
        place = {ids: i for i, ids in enumerate(every)}
        return vectors[[place[ids] for ids in tokens]]

    def _pooled(self, batch: Sequence[tuple[int, ...]]) -> Tensor:
        ids = torch.full((len(batch), max(map(len, batch))), self.network.config.pad_token_id or 0)
        mask = torch.zeros_like(ids)
        for i, tokens in enumerate(batch):
            ids[i, : len(tokens)] = torch.tensor(tokens)
            mask[i, : len(tokens)] = 1
        out = self.network(input_ids=ids, attention_mask=mask).last_hidden_state.double()
        weights = mask[..., None].double()
        return normalize((out * weights).sum(1) / weights.sum(1), dim=-1)
