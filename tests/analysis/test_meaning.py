"""Semantic distances of a run's rows, from its texts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from melmoat.analysis.meaning import Meaning, meanings, to_others
from melmoat.analysis.results import Result
from melmoat.errors import MelmoatError
from melmoat.metrics.errors import word_edits
from melmoat.semantic import Sentences
from tests.bench.hand_made import result

HERE = Path("run")
VECTORS = {"UP": [1.0, 0], "DOWN": [-1.0, 0], "RIGHT": [0, 1.0], "MUCH RATHER UP": [0.8, 0.6]}


class Given(Sentences):
    """Vectors that are given for each text, and none for a text without words."""

    name = "given"

    def __init__(self) -> None:
        pass

    def embed(self, texts: Sequence[str], batch: int = 64) -> Tensor:
        return torch.tensor([VECTORS.get(text, [0.6, 0.8]) for text in texts]).double()


def heard(
    pairs: Mapping[str, str], model: str = "ds2-an4", attack: str = "none", **more: str
) -> Result:
    """A cell in which each text is heard as another one."""
    made = result("none", attack, 0, n=len(pairs), model=model, **more)
    rows = {}
    for row, (said, written) in zip(made.rows.values(), pairs.items(), strict=True):
        count = {"words": list(word_edits(said, written)), "chars": [0, 1]}
        texts = {"reference": said.rstrip("*"), "adversarial": written}
        rows[row["id"]] = {**row, **texts, "counts": {**row["counts"], "adversarial": count}}
    return replace(made, rows=rows)


def of(*results: Result, rows: Sequence[str] = ()) -> list[Meaning]:
    return meanings(results, HERE, Given, rows)


def test_the_distance_is_a_mean_over_utterances() -> None:
    (found,) = of(heard({"UP": "MUCH RATHER UP", "DOWN": "UP", "RIGHT": "RIGHT"}))
    assert found.distance == pytest.approx((0.2 + 2 + 0) / 3)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < found.distance < found.high <= 2
    assert (found.n, found.wer, found.capped) == (3, 100.0, pytest.approx(200 / 3))
    assert found.encoder == "given"
    (found,) = of(heard({"UP": "UP"}))
    assert (found.distance, found.low, found.high, found.others) == (0, None, None, None)


def test_nothing_written_is_1_and_nothing_said_does_not_count() -> None:
    (found,) = of(heard({"UP": "", "RIGHT": " . ", "": "UP"}))
    assert (found.n, found.distance) == (2, 1.0)
    assert found.others == 1.0
    assert found.wer == found.capped == 100.0


def test_others_are_all_pairs_of_different_references() -> None:
    pairs = {"UP": "MUCH RATHER UP", "UP*": "UP", "DOWN": "DOWN", "RIGHT": "UP"}  # UP is said twice
    (found,) = of(heard(pairs))
    said = ["UP", "UP", "DOWN", "RIGHT"]
    written = list(pairs.values())
    vectors = {text: torch.tensor(vector) for text, vector in VECTORS.items()}
    one_by_one = [
        1 - float(vectors[w] @ vectors[s])
        for i, w in enumerate(written)
        for j, s in enumerate(said)
        if said[i] != said[j]
    ]
    assert found.others == pytest.approx(sum(one_by_one) / len(one_by_one))
    same = Given().embed(["UP", "UP"])
    assert to_others(same, same, ["UP", "UP"]) is None


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (heard({"UP": "UP"}, normaliser="phonemes"), "writes phonemes, which have no meaning"),
        (heard({"AUF": "AUF"}, "whisper:tiny,language=de"), "the language de; .* English"),
        (heard({"\u0432\u0432\u0435\u0440\u0445": "UP"}), "not in Latin letters; .* English"),
        (heard({"?": "UP"}), "none of its references has words"),
        (heard({}), "it has no rows"),
    ],
    ids=["phonemes", "language", "letters", "no words", "no rows"],
)
def test_rows_without_english_words_are_left_out(made: Result, why: str) -> None:
    good = heard({"UP": "DOWN"}, attack="pgd:db=20")
    left, kept = of(made, good)
    assert (left.distance, left.n, kept.left_out) == (None, 0, "")
    with pytest.raises(MelmoatError, match=rf"no row here has a semantic distance:\n.*: .*{why}"):
        meanings([made], HERE, lambda: pytest.fail("it is not loaded"))
    assert left.left_out in str(left)


@pytest.mark.parametrize("language", ["en", "English"])
def test_english_by_name_counts(language: str) -> None:
    (found,) = of(heard({"UP": "UP"}, f"whisper:tiny,language={language}"))
    assert found.distance == 0


def test_rows_are_chosen_by_name() -> None:
    results = [heard({"UP": "UP"}), heard({"UP": "DOWN"}, attack="pgd:db=20")]
    assert [m.distance for m in of(*results, rows=["none / pgd:db=20"])] == [2.0]
    with pytest.raises(MelmoatError, match="no row called 'rs'"):
        of(*results, rows=["rs"])
    with pytest.raises(MelmoatError, match="it has no cells"):
        of()
