"""From frame-wise character probabilities to text."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import groupby

from torch import Tensor

Decoder = Callable[[Tensor, Tensor, str], list[str]]


def greedy(log_probs: Tensor, frames: Tensor, labels: str) -> list[str]:
    """The best label of each frame, with repeats merged and blanks (index 0) dropped.

    Shape: ``[B, F, V]``, ``[B]`` -> B texts, spaces collapsed.
    """
    texts = []
    for best, length in zip(log_probs.argmax(-1).tolist(), frames.tolist(), strict=True):
        merged = (index for index, _ in groupby(best[:length]))
        texts.append("".join(labels[i] for i in merged if i))
    return [" ".join(text.split()) for text in texts]


def is_greedy(decoder: Decoder) -> bool:
    """Whether ``decoder`` is :func:`greedy`, with or without excluded labels."""
    return decoder is greedy or (isinstance(decoder, partial) and decoder.args == (greedy,))


def beam(width: int) -> Decoder:
    """Prefix beam search without a language model (Hannun et al. 2014), with ``width`` prefixes.

    Greedy decoding takes the best path; this sums over all paths of each prefix.
    """
    if width < 1:
        raise ValueError(f"beam width must be at least 1, got {width}")
    return partial(_beam_batch, width=width)


def _beam_batch(log_probs: Tensor, frames: Tensor, labels: str, width: int) -> list[str]:
    texts = []
    for row, length in zip(log_probs.detach().cpu(), frames.tolist(), strict=True):
        best = _beam(row[:length].tolist(), width)
        texts.append(" ".join("".join(labels[i] for i in best).split()))
    return texts


def _add(a: float, b: float) -> float:
    """``log(exp(a) + exp(b))``."""
    if a < b:
        a, b = b, a
    return a if b == -math.inf else a + math.log1p(math.exp(b - a))


def _beam(rows: list[list[float]], width: int, cutoff: float = -14.0) -> tuple[int, ...]:
    """Best label sequence; labels below ``cutoff`` nats in a frame are not tried."""
    none = (-math.inf, -math.inf)
    beams: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for row in rows:
        grown: dict[tuple[int, ...], tuple[float, float]] = defaultdict(lambda: none)
        likely = [(i, p) for i, p in enumerate(row) if i and p > cutoff]
        for prefix, (ends_blank, ends_label) in beams.items():
            total = _add(ends_blank, ends_label)
            stay_blank, stay_label = grown[prefix]
            repeat = ends_label + row[prefix[-1]] if prefix else -math.inf
            grown[prefix] = (_add(stay_blank, total + row[0]), _add(stay_label, repeat))
            for label, logp in likely:
                # A label equal to the last one only extends the prefix after a blank.
                origin = ends_blank if prefix and prefix[-1] == label else total
                longer = (*prefix, label)
                blank, ended = grown[longer]
                grown[longer] = (blank, _add(ended, origin + logp))
        ranked = sorted(grown.items(), key=lambda item: _add(*item[1]), reverse=True)
        beams = dict(ranked[:width])
    return max(beams, key=lambda prefix: _add(*beams[prefix]))
