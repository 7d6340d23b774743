"""Transcripts of adversarial audio under several draws of a stochastic system.

Some draws choose between attacks. Others, which nobody saw before, judge what was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from melmoat.bench.judge import Outcome
from melmoat.bench.rows import FreshDraws, Heard
from melmoat.draws import Draws
from melmoat.metrics.errors import char_edits, word_operations
from melmoat.models.base import Recognizer, transcribe
from melmoat.text import canonical


def fresh_draws(
    model: Recognizer, outcome: Outcome, references: Sequence[str], draws: Draws, count: int
) -> list[FreshDraws]:
    """``count`` draws to choose by, and as many others to judge by, for each utterance.

    The first judging draw is that of the row itself. For one draw, which is enough for a system
    whose passes do not differ, it is also the one to choose by.
    """
    same = outcome.normaliser or canonical

    def hear(label: str) -> list[str]:
        return transcribe(model, outcome.adversarial, draws.fork(label))

    judging = [outcome.transcripts, *(hear(f"judge {k}") for k in range(1, count))]
    choosing = judging if count == 1 else [hear(f"choose {k}") for k in range(count)]
    return [
        {
            "choosing": [_draw(reference, texts[i], same) for texts in choosing],
            "judging": [_draw(reference, texts[i], same) for texts in judging],
        }
        for i, reference in enumerate(references)
    ]


def _draw(reference: str, text: str, same: Callable[[str], str]) -> Heard:
    wanted, heard = same(reference), same(text)
    return {
        "text": text,
        "words": (*word_operations(wanted, heard), len(wanted.split())),
        "chars": char_edits(wanted, heard),
        "heard": len(heard.split()),
    }
