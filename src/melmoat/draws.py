"""Random numbers as an argument: one stream per utterance.

A defended recognizer, an attack and a judge all draw noise. If this noise came from one global
generator, the result of an utterance would depend on its neighbours in the batch, on the padding,
and on earlier computations. Here every utterance has a key. Each draw uses a counter-based
generator (Philox, Salmon et al. 2011) with the key (utterance's key, number of the call), and fills
values along time. So item ``i`` depends only on stream ``i`` and the call, and longer padding only
appends values.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from melmoat.devices import sent


def derive(*parts: str | int) -> int:
    """A 128-bit key from ``parts``; a change in any part changes it.

    >>> derive("a", 1) == derive("a", 1), derive("a", 1) == derive("a", "1")
    (True, False)
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "little")


def secret() -> int:
    """A fresh secret seed from the operating system.

    Noise that an attacker can compute does not protect. So a deployed defense uses this seed.
    Results that must be repeated use a seed that is written down.
    """
    return secrets.randbits(128)


class Draws:
    """One random stream per utterance.

    Args:
        seeds: one integer per utterance, of any size.

    >>> a = Draws([7, 8]).normal(torch.zeros(2, 4))
    >>> b = Draws([8]).normal(torch.zeros(1, 9))
    >>> bool((a[1] == b[0, :4]).all())
    True
    """

    def __init__(self, seeds: Iterable[int]) -> None:
        self.seeds = tuple(seeds)
        self._calls = 0

    @classmethod
    def secret(cls, count: int) -> Draws:
        """Streams for ``count`` utterances with a fresh secret seed (:func:`secret`)."""
        return cls(secret() for _ in range(count))

    def __len__(self) -> int:
        return len(self.seeds)

    def _generators(self) -> list[np.random.Generator]:
        self._calls += 1
        keys = (derive(seed, "call", self._calls) for seed in self.seeds)
        return [np.random.Generator(np.random.Philox(key=key)) for key in keys]

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal values of the shape, type and device of ``like`` ``[B, ..., T]``.

        Item ``i`` comes from stream ``i`` alone and is filled along the last axis first in time,
        so a prefix in time is the same whatever the padding.
        """
        return self.normal_pieces()(like)

    def normal_pieces(self) -> Callable[[Tensor], Tensor]:
        """One call of :meth:`normal`, piece by piece in time.

        Returns:
            a function that takes the next piece and returns its values. Pieces of any sizes, joined
            along time, have the values of one call for the whole.

        >>> piece = Draws([7]).normal_pieces()
        >>> joined = torch.cat([piece(torch.zeros(1, 3)), piece(torch.zeros(1, 1))], dim=1)
        >>> bool((joined == Draws([7]).normal(torch.zeros(1, 4))).all())
        True
        """
        generators = self._generators()

        def following(like: Tensor) -> Tensor:
            shape = (like.shape[-1], *like.shape[1:-1])
            items = [g.standard_normal(shape, dtype=np.float32) for g in generators]
            return _placed(items, like)

        return following

    def uniform(self, like: Tensor) -> Tensor:
        """Uniform values in [0, 1), otherwise as :meth:`normal`."""
        shape = (like.shape[-1], *like.shape[1:-1])
        items = [g.random(shape, dtype=np.float32) for g in self._generators()]
        return _placed(items, like)

    def fork(self, label: str | int) -> Draws:
        """Independent streams named by ``label``: the same label gives the same streams."""
        return Draws(derive(seed, "fork", label) for seed in self.seeds)

    def pick(self, rows: Iterable[int]) -> Draws:
        """The streams of some of the utterances, as fresh streams."""
        return Draws(self.seeds[i] for i in rows)

    @staticmethod
    def cat(parts: Iterable[Draws]) -> Draws:
        """The streams of ``parts`` after one another, as fresh streams."""
        return Draws(seed for part in parts for seed in part.seeds)


def _placed(items: list[NDArray[np.float32]], like: Tensor) -> Tensor:
    """One array ``[T, ...]`` per utterance as a batch of the type and device of ``like``."""
    if len(like) != len(items):
        raise ValueError(f"{len(items)} streams cannot fill a batch of {len(like)}")
    return sent(torch.from_numpy(np.stack(items)).movedim(1, -1).to(like.dtype), like.device)
