"""A corpus of toys is certified: soundly, in a folder that goes on after a stop."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from torch import Tensor
from typer.testing import CliRunner

from melmoat.certificates import Certificate, Plan, Table, certify, smoothed
from melmoat.certificates import run as running
from melmoat.certificates.bounds import STANDARD, clopper_pearson
from melmoat.certificates.sampling import Sampler
from melmoat.cli.app import app
from melmoat.data.in_memory import write_corpus
from melmoat.errors import MelmoatError
from melmoat.report.certified import certified
from tests.certificates.toys import Linear, along

SIGMA = 0.1
SCORES = (0.25, 0.12, 0.001, -0.2)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("data")
    return write_corpus([(along(score), "yes") for score in SCORES], folder)[0]


@pytest.fixture(scope="module")
def folder(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    of_toy(corpus, out)
    return out


@pytest.fixture
def found(corpus: str, folder: Path) -> Table:
    return of_toy(corpus, folder)  # from the rows that are there


def of_toy(corpus: str, out: Path, **changes: object) -> Table:
    asked = {"sigma": SIGMA, "draws": 300, "confidence": 99, "seed": 1, "batch": 150, **changes}
    return certify(Linear(), data=corpus, out=out, **asked)  # type: ignore[arg-type]


def test_radii_are_true_and_near_the_true_ones(found: Table) -> None:
    yes, close, neither, no = found.certificates
    for of_one, score in zip(found.certificates, SCORES, strict=True):
        assert of_one.vote_radius < abs(score)
        assert all(radius < abs(score) for words, radius in of_one.center_steps if not words)
    assert yes.vote_radius > 1.5 * SIGMA  # 300 of 300 draws could not say more than 2.2 sigma
    assert close.vote_radius > 0.8 * SIGMA
    assert close.center_steps[0][0] == 0
    assert close.center_steps[0][1] > 0.1 * SIGMA
    assert (neither.vote, neither.vote_radius) == (None, 0)
    assert (no.vote, no.vote_errors) == ("no", 1)


def test_the_table_counts_abstentions_and_errors_as_words(found: Table, folder: Path) -> None:
    assert found.wer("benign") == 25  # 1 of 4 words
    assert found.wer("vote") == 50
    assert found.abstentions("vote") == 1
    between = sum(c.vote_radius for c in found.certificates[:2]) / 2
    rates = [(found.certified_right(r), found.certified_wer("vote", r)) for r in (0, between, 9)]
    assert rates == [(50, 50), (25, 75), (0, 100)]
    assert found.certified_wer("center", 0) is not None
    assert found.certified_wer("center", 9) == 100
    written = json.loads((folder / running.RESULTS).read_text())
    assert written == json.loads(json.dumps(found.as_dict()))
    assert written["curve"][0]["vote_wer"] == 50


def test_no_attack_within_the_radius_changes_what_the_smoothed_system_writes(
    found: Table,
) -> None:
    yes = found.certificates[0]
    inside = SCORES[0] - 0.999 * yes.vote_radius
    assert STANDARD.cdf(inside / SIGMA) > 0.5  # the vote of infinitely many draws
    inside = SCORES[0] - 0.999 * yes.center_steps[0][1]
    written = {smoothed(Linear(), along(inside), found.plan, seed, 150) for seed in range(3)}
    assert written == {"yes"}


def test_the_confidence_is_that_of_the_whole_table() -> None:
    confidence, tables, draws = 0.8, 40, 40
    wrong = 0
    for table in range(tables):
        radii = []
        for score in SCORES:
            key = abs(hash((table, score)))
            found = Sampler(Linear(), along(score), SIGMA, key, draws)("certify", draws)
            hits = found["yes" if score > 0 else "no"]
            share = clopper_pearson(hits, draws, (1 - confidence) / len(SCORES))
            radii.append(SIGMA * STANDARD.inv_cdf(share) if share > 0.5 else 0.0)
        wrong += any(r > abs(score) for r, score in zip(radii, SCORES, strict=True))
    assert 0 < wrong / tables <= 1 - confidence


def test_a_stopped_run_goes_on_to_the_same_counts(
    corpus: str, found: Table, tmp_path: Path
) -> None:
    def stop(done: float, total: float, what: str) -> None:
        if done > 2:
            raise KeyboardInterrupt

    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        of_toy(corpus, out, progress=stop)
    (rows,) = (out / "cells").glob("*.jsonl")
    assert len(rows.read_text().splitlines()) == 2
    seen: list[float] = []
    again = of_toy(corpus, out, seed=None, batch=70, progress=lambda done, *_: seen.append(done))
    assert 2 < min(done for done in seen if done % 1) < 3  # parts of the third utterance
    assert again.certificates == found.certificates


def test_a_folder_has_one_table(corpus: str, tmp_path: Path) -> None:
    of_toy(corpus, tmp_path / "run", limit=2, draws=200)
    for changes, named in (
        ({"draws": 201}, "plan"),
        ({"seed": 2}, "seed"),
        ({"limit": 3}, "plan, utterances"),
        ({"defense": "median"}, "defense, key"),
    ):
        with pytest.raises(MelmoatError, match=f"a run with another {named}: its confidence"):
            of_toy(corpus, tmp_path / "run", **{"limit": 2, "draws": 200, **changes})


def test_a_seed_is_secret_unless_it_is_given(corpus: str, tmp_path: Path) -> None:
    seeds = []
    for name in ("one", "other"):
        of_toy(corpus, tmp_path / name, seed=None, limit=1, draws=200)
        seeds.append(json.loads((tmp_path / name / running.SETTINGS).read_text())["seed"])
    assert seeds[0] != seeds[1]
    assert min(seeds) > 2**64


class Fragile(Linear):
    """Fails where the score is far below zero."""

    def of(self, score: float) -> str:
        if score < -1:
            raise RuntimeError("broken")
        return super().of(score)


def test_an_utterance_that_fails_is_named_and_counts_as_wrong(tmp_path: Path) -> None:
    speech: list[tuple[Tensor, str]] = [(along(0.5), "yes"), (along(-3.0), "no no")]
    corpus, _ = write_corpus(speech, tmp_path / "data")
    found = certify(
        Fragile(), data=corpus, out=tmp_path / "run", sigma=SIGMA, draws=200, confidence=99
    )
    assert list(found.failures.values()) == ["RuntimeError: broken"]
    assert found.certified_wer("vote", 0) == pytest.approx(200 / 3)
    assert found.certificates[1].center_errors == 2


def test_the_command_prints_a_table_of_80_columns(corpus: str, tmp_path: Path) -> None:
    line = ["certify", "--model", "python:tests.certificates.toys:Linear", "--data", corpus]
    line += ["--sigma", "0.1", "--draws", "200", "--seed", "1", "--out", str(tmp_path / "run")]
    line += ["--limit", "2", "--choose", "spread"]  # a clear one, and one that is neither
    shown = CliRunner().invoke(app, line, env={"COLUMNS": "80"}, catch_exceptions=False)
    assert shown.exit_code == 0
    table = [text for text in shown.output.splitlines() if str(tmp_path) not in text]
    assert max(map(len, table)) <= 80
    assert ">= 50.0" in shown.output
    assert "vote 1, center" in shown.output


def test_a_printed_bound_claims_no_more_than_was_proved() -> None:
    """Two of three are right, and one error in three words: 66.66... and 33.33... percent."""
    right = Certificate("a", 1, 0, "YES", 0, 0.1, "YES", 0, ((0, 0.1),), 1.0)
    wrong = replace(right, id="c", vote_errors=1, center_errors=1)
    table = Table(Plan(0.1, 1_000, 3), [right, replace(right, id="b"), wrong], {}, {})
    console = Console(record=True, width=80)
    console.print(certified(table))
    text = console.export_text()
    assert ">= 66.6" in text
    assert "<= 33.4" in text
    assert "33.3 " not in text.split("with 99.9")[0]


def test_scripts_without_spaces_are_refused(tmp_path: Path) -> None:
    corpus, _ = write_corpus([(along(0.5), "\u6253\u5f00\u95e8")], tmp_path / "data")
    with pytest.raises(MelmoatError, match="no spaces between them"):
        of_toy(corpus, tmp_path / "run")
