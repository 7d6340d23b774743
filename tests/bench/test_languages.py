"""Every road from a text that is asked for, or said, to what is counted: in many languages."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from melmoat import attacks
from melmoat.analysis.results import Result, compare
from melmoat.attacks.base import Targeted, Untargeted, adapt_goal
from melmoat.audio import Audio
from melmoat.bench.cell import Cell
from melmoat.bench.judge import judge, rows_of
from melmoat.bench.summary import summary_of
from melmoat.draws import Draws
from melmoat.models.base import as_written_by
from melmoat.models.seq2seq import Seq2Seq
from melmoat.models.wrappers import EOT, Voted
from melmoat.report.digest import metrics, wer_text
from melmoat.report.tables import metric_of, wer
from melmoat.text import TextError
from tests.languages import APART, SAID, UNSPACED


class Says:
    """Hears the same text in everything, and writes as it is told."""

    rate = 16_000

    def __init__(self, text: str, **own: Any) -> None:
        self.text = text
        vars(self).update(own)

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        return [self.text] * len(audio)

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        return audio.wav.square().sum(1)


WRITERS: dict[str, dict[str, Any]] = {"plain": {}, "basic": {"normaliser": "basic"}}


def rows(model: Any, said: str, attack: str = "none") -> list[dict[str, Any]]:
    audio = Audio.of([torch.linspace(-0.1, 0.1, 800)])
    made, truth = attacks.build(attack), [as_written_by(model, said)]
    return rows_of(["u"], truth, made, judge(model, audio, made, truth, Draws([0])))


def cell() -> Cell:
    return Cell("ds2-an4", "none", "none", "demo")


@pytest.mark.parametrize("language", SAID)
@pytest.mark.parametrize("writer", [*WRITERS, "labels"])
def test_right_to_the_letter_is_no_error_and_the_exact_target_is_reached(
    language: str, writer: str
) -> None:
    said = SAID[language]
    labels = {"labels": "_ " + "".join(sorted(set(said) - {" "}))}
    own = WRITERS.get(writer, labels)
    heard = as_written_by(Says("", **own), said) if writer == "labels" else said
    (row,) = rows(Says(heard, **own), said, f"noise:db=20,target=({said})")
    assert row["counts"]["adversarial"]["words"][0] == 0
    assert row["counts"]["adversarial"]["chars"][0] == 0
    assert row["reached"]
    assert row.get("normaliser") == (writer if writer in WRITERS else None)
    (summary,) = [summary_of(cell(), [row], "k")]
    assert summary.get("headline") == ("cer" if language in UNSPACED else None)
    assert summary["cer"] == 0


@pytest.mark.parametrize("language", APART)
def test_another_word_is_an_error_and_does_not_reach_the_target(language: str) -> None:
    one, two = APART[language]
    own: dict[str, Any] = {"normaliser": "turkish"} if language == "turkish" else {}
    (row,) = rows(Says(two, **own), one, f"noise:db=20,target={one}")
    assert row["counts"]["adversarial"]["words"] == (1, 1)
    assert not row["reached"]


def test_a_target_is_aimed_at_as_written() -> None:
    asked = "\u00d6ffne die T\u00fcr."
    german = Says("", labels="_ abdefinrt\u00f6\u00fc")
    goal = attacks.build(f"pgd:db=20,target={asked}").goal(["X"], ["Y"])
    assert adapt_goal(goal, Says("", normaliser="basic")).targets == [asked]  # type: ignore[attr-defined]
    small = adapt_goal(goal, german)
    assert small.targets == ["\u00f6ffne die t\u00fcr"]  # type: ignore[attr-defined]
    plain = adapt_goal(goal, Says("", labels="_ ADEFINORTU"))
    assert plain.targets == ["OFFNE DIE TUR"]  # type: ignore[attr-defined]
    again = adapt_goal(plain, german).pick([0])  # crafted on a system that has the letters
    assert again.targets == small.targets  # type: ignore[attr-defined]
    assert small.reached(["o\u0308ffne die tu\u0308r"]) == [True]


def test_a_matched_target_is_another_text_as_the_corpus_writes_it() -> None:
    corpus = ["\u0926\u093f\u0928", "\u0926\u0940\u0928"]
    goal = attacks.build("pgd:db=20,target=matched").goal(["?"], corpus[:1], lambda: corpus)
    assert goal == Targeted(corpus[1:])


def test_the_headline_of_a_script_without_spaces_is_the_cer() -> None:
    reference, heard = "\u6253\u5f00\u524d\u95e8", "\u6253\u5f00\u524d\u7a97"
    measured = rows(Says(heard), reference, "noise:db=20,target=\u6253\u5f00\u524d\u7a97")
    summary = summary_of(cell(), measured, "k")
    assert (summary["wer"], summary["cer"]) == (100.0, 25.0)
    assert (summary["benign_cer"], summary["target_cer"]) == (25.0, 0.0)
    assert wer(summary) == "25.0, target 0.0 (reached: 100 %)"
    assert metric_of([summary]) == "CER"
    result = Result(cell(), "k", {f"u{i}": row for i, row in enumerate(measured * 4)})
    assert (result.metric, result.error_rate) == ("CER", 25.0)
    assert wer_text(result).startswith("25.0 [25.0, 25.0], target 0.0")
    assert metrics([result]) == compare(result, result).metric == "CER"


def test_a_summary_of_words_has_no_more_than_it_had() -> None:
    summary = summary_of(cell(), rows(Says("GO ON"), "GO ON"), "k")
    assert not {"headline", "cer_low", "benign_cer", "target_cer"} & summary.keys()
    assert metric_of([summary]) == "WER"


def test_one_text_where_several_are_expected_is_refused_everywhere(tiny: Any) -> None:
    audio, draws = Audio.of([torch.zeros(8_000)] * 4), Draws(range(4))
    own = attacks.build("pgd:db=20")
    for wrong in (
        lambda: Targeted("STOP"),
        lambda: Untargeted("STOP"),
        lambda: tiny.loss(audio, "STOP", draws),
        lambda: EOT(tiny, 2).loss(audio, "STOP", draws),
        lambda: Voted(tiny, 2).loss(audio, "STOP", draws),
        lambda: Seq2Seq().loss(audio, "STOP", draws),
        lambda: own.goal("STOP", ["A"]),
        lambda: attacks.build("pgd:db=20,target=matched").goal(["A"], "STOP", lambda: ["B"]),
        lambda: judge(tiny, audio, own, "STOP", draws),
    ):
        with pytest.raises(TextError, match=r"got the single text 'STOP'"):
            wrong()


def test_a_normaliser_of_a_spec_is_recorded(tmp_path: Path, monkeypatch: Any) -> None:
    from melmoat import models
    from melmoat.errors import MelmoatError

    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_says.py").write_text(
        "from tests.bench.test_languages import Says\n\ndef load():\n    return Says('GO ON.')\n"
    )
    spec = "python:own_says:load"
    default, chosen = models.load(spec), models.load(f"{spec},normaliser=none")
    (one,), (two,) = rows(default, "GO ON"), rows(chosen, "GO ON")
    assert (one["normaliser"], two["normaliser"]) == ("plain", "none")
    assert (one["counts"]["benign"]["words"], two["counts"]["benign"]["words"]) == ((0, 2), (1, 2))
    keys = {Cell(s, "none", "none", "demo").key for s in (spec, f"{spec},normaliser=none")}
    assert len(keys) == 2
    with pytest.raises(MelmoatError, match="normaliser must be one of auto, basic"):
        models.load(f"{spec},normaliser=english")
    json.dumps(one)
