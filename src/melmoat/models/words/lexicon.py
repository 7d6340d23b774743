"""A lexicon as a tree: which words a sequence of symbols spells, prefix by prefix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Spelling = tuple[int, ...] | bytes
ROOT = 0


@dataclass(frozen=True, eq=False)
class Tree:
    """Nodes are prefixes of spellings; node 0 is the empty one. N nodes, P spellings.

    Args:
        symbols: the last symbol of each node's prefix, -1 at the root. Shape: ``[N]``.
        edges: sorted keys ``parent * size + symbol`` of all nodes but the root. Shape: ``[N - 1]``.
        children: the node that each key leads to. Shape: ``[N - 1]``.
        ends: where in ``words`` the words that end at a node begin. Shape: ``[N + 1]``.
        words: indices of words, by the node where they end. Shape: ``[P]``.
        ahead: the largest score of a word that ends at or below each node, 0 at the root.
            Shape: ``[N]``.
        size: one more than the largest symbol.
    """

    symbols: Ints
    edges: Ints
    children: Ints
    ends: Ints
    words: Ints
    ahead: Floats
    size: int

    def step(self, nodes: Ints, symbols: Ints) -> Ints:
        """The child of each of ``nodes`` by each of ``symbols``; -1 where it has none.

        Shape: ``[B]``, ``[S]`` -> ``[B, S]``.
        """
        keys = nodes[:, None] * self.size + symbols
        places = np.searchsorted(self.edges, keys).clip(max=len(self.edges) - 1)
        return np.where(self.edges[places] == keys, self.children[places], -1)


def tree(spellings: Mapping[int, Sequence[Spelling]], scores: Floats) -> Tree:
    """The tree of all spellings of all words.

    Spellings are sorted, and each prefix is a node where it differs from that of the row before.

    Args:
        spellings: the symbols of each word, by its index: all as tuples or all as bytes.
        scores: a number for each word, such as its unigram log probability. Shape: ``[W]``.

    Raises:
        ValueError: no words, or an empty spelling.
    """
    rows = sorted((s, word) for word, several in spellings.items() for s in set(several))
    if not rows or not all(spelling for spelling, _ in rows):
        raise ValueError("a lexicon needs words, and every word a symbol at least")
    words = np.array([word for _, word in rows])
    lengths = np.array([len(spelling) for spelling, _ in rows])
    table = np.full((len(rows), lengths.max()), -1)
    inside = np.arange(table.shape[1]) < lengths[:, None]
    table[inside] = np.fromiter(chain.from_iterable(s for s, _ in rows), int, lengths.sum())

    fresh = np.ones(table.shape, bool)
    fresh[1:] = np.logical_or.accumulate(table[1:] != table[:-1], axis=1)
    fresh &= inside
    nodes = np.where(fresh, np.cumsum(fresh).reshape(table.shape), 0)
    nodes = np.maximum.accumulate(nodes, axis=0)  # a prefix shared with the row before is its node
    parents = np.hstack([np.full((len(rows), 1), ROOT), nodes[:, :-1]])
    count, size = int(nodes[fresh].max()) + 1, int(table.max()) + 1

    symbols = np.full(count, -1)
    symbols[nodes[fresh]] = table[fresh]
    edges = np.zeros(count, int)
    edges[nodes[fresh]] = parents[fresh] * size + table[fresh]
    order = 1 + np.argsort(edges[1:])
    ahead = np.full(count, -np.inf)
    np.maximum.at(ahead, nodes[inside], np.repeat(scores[words], lengths))
    ahead[ROOT] = 0.0
    last = nodes[np.arange(len(rows)), lengths - 1]
    by_node = np.argsort(last, kind="stable")
    ends = np.searchsorted(last[by_node], np.arange(count + 1))
    return Tree(symbols, edges[order], order, ends, words[by_node], ahead, size)
