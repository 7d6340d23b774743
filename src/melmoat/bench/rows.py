"""What a run's files hold: rows, summaries, and the version of their form.

Files of schema 1, which said nothing of it, are read too: they lack some fields, and their
summaries say ``success`` where these say ``reached``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

SCHEMA = 2
Which = Literal["benign", "adversarial", "target"]


class Counts(TypedDict):
    """Errors of one transcript and the length of its reference: ``(edits, total)``."""

    words: tuple[int, int]
    chars: tuple[int, int]


class AllCounts(TypedDict):
    """Errors of the transcripts against the reference, and against the target if there is one."""

    benign: Counts
    adversarial: Counts
    target: Counts | None


class Heard(TypedDict):
    """One transcript of the adversarial audio under one draw of a stochastic system.

    Attributes:
        words: substitutions, deletions, insertions and words of the reference.
        chars: edits and characters of the reference.
        heard: number of words that were heard.
    """

    text: str
    words: tuple[int, int, int, int]
    chars: tuple[int, int]
    heard: int


class FreshDraws(TypedDict):
    """Transcripts under several draws: those to choose an attack by, and fresh ones to judge it."""

    choosing: list[Heard]
    judging: list[Heard]


class _NeededOfRow(TypedDict):
    id: str
    reference: str
    benign: str
    adversarial: str
    target: str | None
    counts: AllCounts
    reached: bool
    snr_db: float | None
    linf: float
    l2: float
    steps: int
    seconds: float


class Row(_NeededOfRow, total=False):
    """One utterance of one cell, as a line of ``cells/<key>.jsonl``.

    Attributes:
        schema: version of this form; 1 where it is missing.
        id: the utterance.
        reference, benign, adversarial: what is said, and what the recognizer wrote of the clean and
            of the adversarial audio.
        target: what the attacker wanted to be written; None if untargeted.
        reached: whether the goal was reached in the judge's transcript.
        snr_db: signal-to-noise ratio of the perturbation in dB; None if nothing changed.
        linf, l2: its norms; full scale is 1.
        audible: share of its power that hearing does not mask, 0 to 1.
        first: gradient steps until the attack first saw its goal reached.
        queries: passes of the recognizer over the utterance.
        steps: losses that the attack evaluates, from its settings.
        seconds: wall time of crafting, a share of the batch's.
        normaliser: what transcripts were compared by, if not letter for letter.
        phonemes: what the judge heard in the adversarial audio, of a recognizer that hears phonemes
            and writes words.
        phoneme_errors: their edits against the phonemes of ``reference``, and the number of these.
        gain_db: what the recording was multiplied by when read, if it was.
        draws: transcripts under several draws, if they were asked for.
        speech: digest of the utterance's file and text (:func:`melmoat.data.fingerprint`).
        revision, device: what code measured it, and on what, where that is not the CPU.
    """

    schema: int
    audible: float
    first: int | None
    queries: int | None
    normaliser: str
    phonemes: str
    phoneme_errors: tuple[int, int]
    gain_db: float
    draws: FreshDraws
    speech: str
    revision: str | None
    device: str


class _NeededOfSummary(TypedDict):
    schema: int
    model: str
    defense: str
    attack: str
    data: str
    seed: int
    key: str
    n: int
    wer: float | None
    wer_low: float | None
    wer_high: float | None
    cer: float | None
    benign_wer: float | None
    target_wer: float | None
    reached: float | None
    snr_db: float | None
    audible: float | None
    first: float | None
    queries: float | None
    seconds_per_utterance: float | None


class Summary(_NeededOfSummary, total=False):
    """The figures of one cell, as an object of ``summary.json``; rates in percent, null where they
    do not apply. ``success`` of schema 1 is ``reached``."""

    headline: str
    cer_low: float | None
    cer_high: float | None
    benign_cer: float | None
    target_cer: float | None
    silence: bool
    per: float | None
    per_low: float | None
    per_high: float | None
    labels: dict[str, str]


def too_new(read: Mapping[str, Any]) -> bool:
    """Whether a later version wrote this, in a form that is not known here."""
    return int(read.get("schema", 1)) > SCHEMA


def current(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary of any schema in the words of this one."""
    found = dict(summary)
    if "success" in found:
        found["reached"] = found.pop("success")
    return found
