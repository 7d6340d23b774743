"""The attack proposes, the judge judges.

It rounds to 16 bits, checks the budget, transcribes with draws that the attacker never saw, and
measures errors and distortion itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from melmoat.attacks.base import Attack, Goal, Targeted, adapt_goal
from melmoat.attacks.budgets import to_pcm16
from melmoat.attacks.masking import Masking
from melmoat.attacks.oracle import NEVER, Crafted
from melmoat.audio import Audio
from melmoat.bench.rows import SCHEMA, Counts, Row
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.metrics import distortion
from melmoat.metrics.errors import char_edits, word_edits
from melmoat.models.base import (
    Recognizer,
    inventory_of,
    normaliser_of,
    require_ctc,
    transcribe,
    words_and_phonemes,
)
from melmoat.models.wrappers import Monitored
from melmoat.normalisers import Normaliser
from melmoat.text import canonical, listed


class JudgeError(MelmoatError):
    """An attack broke its own rules: budget, lengths or rate. A defect of the attack."""


@dataclass(frozen=True)
class Outcome:
    """A batch, attacked and judged. Lists have one entry an utterance.

    ``first`` and ``queries`` are the attack's own figures (:class:`Crafted`); None where it has
    none, or never saw its goal reached.
    ``phonemes`` are those of the adversarial audio and ``phoneme_errors`` their edits against those
    of the references, and the number of these; None where the recognizer has none.
    ``normaliser`` is what the recognizer wants texts compared by; None compares what it writes.
    """

    clean: Audio
    adversarial: Audio
    benign: list[str]
    transcripts: list[str]
    goal: Goal
    reached: list[bool]
    first: list[int | None]
    queries: list[int | None]
    seconds: float
    normaliser: Normaliser | None = None
    phonemes: list[str] | None = None
    phoneme_errors: list[tuple[int, int]] | None = None


def judge(
    model: Recognizer,
    audio: Audio,
    attack: Attack,
    references: Sequence[str],
    draws: Draws,
    tick: Callable[[], None] = lambda: None,
    benign: list[str] | None = None,
    goal: Goal | None = None,
) -> Outcome:
    """Attack ``audio`` against ``model`` and measure what comes of it.

    Args:
        model: the whole system under attack, defense included.
        references: what was said, as the recognizer would write it.
        tick: called at each loss that the attack evaluates.
        benign: transcripts of the clean speech, where they are known.
        goal: what is wanted; if None, what the attack wants of these transcripts alone.

    Raises:
        JudgeError: the attack left its budget or changed lengths or rate.
    """
    clean = audio.quantized()
    if benign is None:
        benign = transcribe(model, clean, draws.fork("benign"))
    goal = adapt_goal(goal or attack.goal(benign, listed(references)), model)
    began = time.perf_counter()
    # A copy: what an attack writes into the clean audio would be no perturbation of it.
    proposed = attack(Monitored(model, tick), clean.copy(), goal, draws.fork("attack"))
    seconds = time.perf_counter() - began
    if proposed.rate != clean.rate or not torch.equal(proposed.lengths, clean.lengths):
        raise JudgeError("the attack changed an utterance's length or the rate")
    if not torch.isfinite(proposed.wav).all():
        raise JudgeError("the attack's audio holds NaN or Inf")
    budget = attack.budget
    if budget is None:
        adversarial = proposed.quantized()
    else:
        adversarial = to_pcm16(proposed.wav - clean.wav, clean, budget)
        used = budget.norm(adversarial.wav - clean.wav) / budget.radius(clean).clamp(min=1e-12)
        if bool((used > 1.0001).any()):
            raise JudgeError(f"the attack used {float(used.max()):.4f} times its budget")
    transcripts, phonemes, phoneme_errors = _heard(
        model, adversarial, references, draws.fork("judge")
    )
    reached = goal.reached(transcripts)
    first, queries = _figures(proposed, attack)
    return Outcome(
        clean,
        adversarial,
        benign,
        transcripts,
        goal,
        reached,
        first,
        queries,
        seconds,
        normaliser_of(model),
        phonemes,
        phoneme_errors,
    )


def _heard(
    model: Recognizer, audio: Audio, references: Sequence[str], draws: Draws
) -> tuple[list[str], list[str] | None, list[tuple[int, int]] | None]:
    """Transcripts of ``audio``; and, of a recognizer that hears phonemes and writes words, the
    phonemes and their errors (where it writes phonemes, these errors are the row's words)."""
    inventory = inventory_of(model)
    if inventory is None or require_ctc(model).greedy:
        return transcribe(model, audio, draws), None, None
    transcripts, phonemes = words_and_phonemes(model, inventory, audio, draws)
    said = map(inventory.compared, references)
    errors = [word_edits(one, other) for one, other in zip(said, phonemes, strict=True)]
    return transcripts, phonemes, errors


def _figures(proposed: Audio, attack: Attack) -> tuple[list[int | None], list[int | None]]:
    """Steps to the first success, and queries, of each utterance."""
    unknown: list[int | None] = [None] * len(proposed)
    if not isinstance(proposed, Crafted):
        return unknown, unknown if attack.evaluations else [0] * len(proposed)
    first = unknown if proposed.first is None else proposed.first.tolist()
    queries = unknown if proposed.queries is None else proposed.queries.tolist()
    return [None if n == NEVER else n for n in first], queries


def rows_of(
    names: Sequence[str],
    references: Sequence[str],
    attack: Attack,
    out: Outcome,
    gains: Sequence[float] | None = None,
) -> list[Row]:
    """One row an utterance, as the run's folder keeps it.

    Texts are kept as they are; errors are counted after the recognizer's normaliser, whose name the
    row then has. ``gains`` are those of the recordings (:class:`melmoat.audio.Recording`); a row
    has its own, in dB, where it is not 1.
    """
    same = out.normaliser or canonical
    snr = distortion.snr_db(out.clean, out.adversarial).tolist()
    linf = distortion.linf(out.clean, out.adversarial).tolist()
    l2 = distortion.l2(out.clean, out.adversarial).tolist()
    delta = out.adversarial.wav - out.clean.wav
    audible = Masking(out.clean).audible(delta).tolist() if delta.any() else [0.0] * len(names)
    targets = out.goal.targets if isinstance(out.goal, Targeted) else [None] * len(names)
    rows: list[Row] = []
    for i, (name, reference, target) in enumerate(zip(names, references, targets, strict=True)):
        adversarial, benign = out.transcripts[i], out.benign[i]
        row: Row = {
            "schema": SCHEMA,
            "id": name,
            "reference": reference,
            "benign": benign,
            "adversarial": adversarial,
            "target": target,
            "counts": {
                "benign": _counts(same(reference), same(benign)),
                "adversarial": _counts(same(reference), same(adversarial)),
                "target": None if target is None else _counts(same(target), same(adversarial)),
            },
            "reached": out.reached[i],
            "snr_db": snr[i] if math.isfinite(snr[i]) else None,
            "linf": linf[i],
            "l2": l2[i],
            "audible": audible[i],
            "first": out.first[i],
            "queries": out.queries[i],
            "steps": attack.evaluations,
            "seconds": round(out.seconds / len(names), 4),
        }
        if out.normaliser is not None:
            row["normaliser"] = out.normaliser.name
        if out.phonemes is not None and out.phoneme_errors is not None:
            row["phonemes"], row["phoneme_errors"] = out.phonemes[i], out.phoneme_errors[i]
        if gains is not None and gains[i] != 1:
            row["gain_db"] = gain_db(gains[i])
        rows.append(row)
    return rows


def gain_db(gain: float) -> float:
    """A factor of amplitude in dB."""
    return round(20 * math.log10(gain), 2)


def _counts(reference: str, hypothesis: str) -> Counts:
    return {"words": word_edits(reference, hypothesis), "chars": char_edits(reference, hypothesis)}
