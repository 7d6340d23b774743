"""ROVER: one transcript from several, by vote over aligned words (Fiscus 1997).

The hypotheses are joined into a word transition network: a row of slots. Each slot has one word, or
no word, per hypothesis. The first hypothesis makes the row. Each further one is aligned to it by
dynamic programming. Then each slot is decided by majority.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from melmoat.text import listed
from melmoat.writing_systems import unspaced

# As in NIST's scoring tools: a word in a slot of others costs more than a gap, less than two gaps.
# A gap is cheaper in a slot where an earlier hypothesis has one.
SUBSTITUTION, GAP, SHARED_GAP = 4, 3, 2
PUNCTUATION = '.,;:!?"\u2026'


def vote(hypotheses: Sequence[str]) -> str:
    """The transcript that most hypotheses agree on, word by word; ties go to the earliest.

    Case and punctuation around a word do not matter; the first spelling is used. In languages
    without spaces between words the vote is over characters: a whole text would be one word there.

    >>> vote(["THE CAT SAT", "THE CAT", "A CAT SAT DOWN"])
    'THE CAT SAT'
    """
    if not listed(hypotheses):
        raise ValueError("a vote needs at least one hypothesis")
    slots: list[list[str]] = []
    space = "" if unspaced(*hypotheses) else " "
    for number, hypothesis in enumerate(hypotheses):
        words = hypothesis.split()
        slots = _join(slots, words if space else list(" ".join(words)), number)
    winners = map(_winner, slots)
    return " ".join(space.join(word for word in winners if word).split())


def _winner(slot: Sequence[str]) -> str:
    keys = [_key(word) for word in slot]
    # Counter keeps the order of first appearance, which is that of the hypotheses.
    return slot[keys.index(Counter(keys).most_common(1)[0][0])]


def _key(word: str) -> str:
    """The form of a word that is compared: without case and punctuation around it."""
    return word.strip(PUNCTUATION).casefold() or word


def _join(slots: list[list[str]], words: Sequence[str], number: int) -> list[list[str]]:
    """Add one more hypothesis to the network; each slot gets its word, or ``""`` for none.

    ``number`` hypotheses are in ``slots`` already.
    """
    keys, known = [_key(word) for word in words], [{_key(word) for word in s} for s in slots]
    cost = [[GAP * j for j in range(len(words) + 1)]]
    for i, slot in enumerate(slots):
        skip = _skip(slot)
        row = [cost[i][0] + skip]
        for j, key in enumerate(keys):
            match = cost[i][j] + (0 if key in known[i] else SUBSTITUTION)
            row.append(min(match, cost[i][j + 1] + skip, row[j] + GAP))
        cost.append(row)
    joined: list[list[str]] = []
    i, j = len(slots), len(words)
    while i or j:
        if i and j:
            match = 0 if keys[j - 1] in known[i - 1] else SUBSTITUTION
            if cost[i][j] == cost[i - 1][j - 1] + match:
                i, j = i - 1, j - 1
                joined.append([*slots[i], words[j]])
                continue
        if i and cost[i][j] == cost[i - 1][j] + _skip(slots[i - 1]):
            i -= 1
            joined.append([*slots[i], ""])
        else:
            j -= 1
            joined.append([""] * number + [words[j]])
    return joined[::-1]


def _skip(slot: Sequence[str]) -> int:
    return SHARED_GAP if "" in slot else GAP
