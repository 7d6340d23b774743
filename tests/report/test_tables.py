import io
from typing import Any

from rich.console import Console

from melmoat.bench.suite import Suite, TableRow
from melmoat.report.tables import markdown, robustness


def cell(defense: str, attack: str, **changes: Any) -> dict[str, Any]:
    return {
        "model": "m",
        "data": "d",
        "seed": 0,
        "defense": defense,
        "attack": attack,
        "n": 40,
        "wer": 12.34,
        "wer_low": 10.0,
        "wer_high": 15.0,
        "target_wer": None,
        "reached": None,
        **changes,
    }


def show(summary: list[dict[str, Any]]) -> str:
    console = Console(file=io.StringIO(), width=100)
    for table in robustness(summary):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_intervals_gaps_and_targets_are_shown() -> None:
    text = show(
        [
            cell("none", "none"),
            cell("rs", "pgd:db=20", wer=50.0, wer_low=None, target_wer=80.0, reached=5.0),
        ]
    )
    assert "WER %, m on d, 40 utterances" in text
    assert "12.3" in text
    assert "[10.0, 15.0]" in text
    assert "95 % bootstrap interval" in text
    assert "/ rs / pgd:db=20: target 80.0 (reached: 5 %)" in text
    assert text.count(" - ") == 2


def test_phonemes_have_a_table_of_their_own() -> None:
    rows = [TableRow("None", "m", "none", paper={"clean": 1.0}), TableRow("letters", "l", "none")]
    suite = Suite("s", rows, {"clean": "none"})
    per = {"per": 7.16, "per_low": 5.0, "per_high": 9.0}
    measured = {("None", "clean"): cell("none", "none")}
    assert "PER" not in markdown(suite, measured)
    measured = {("None", "clean"): cell("none", "none", **per)}
    words, phonemes = markdown(suite, measured).split("\n\n")
    assert words.startswith("| WER % | clean |")
    assert "| None | 12.3 [10.0, 15.0] |" in words
    assert "| letters | - |" in words
    assert phonemes.startswith("| PER % | clean |")
    assert phonemes.endswith("| None | 7.2 [5.0, 9.0] |")
    assert "PER 7.2" in show(list(measured.values()))


def test_one_table_a_corpus() -> None:
    assert len(robustness([cell("none", "none"), cell("none", "none", data="e")])) == 2


def test_several_models_share_a_table_that_names_them() -> None:
    text = show([cell("none", "a"), cell("mdnf", "a", model="tuned", wer=45.6)])
    assert "WER %, m, tuned on d" in text
    (line,) = [line for line in text.splitlines() if "45.6" in line]
    assert "tuned" in line
    assert "mdnf" in line


def test_a_head_that_is_too_wide_breaks_after_commas() -> None:
    attacks = [f"pgd:db={db},steps=100,eot=5" for db in (20, 25, 30, 35, 40)]
    text = show([cell("none", attack) for attack in attacks])
    assert "pgd:db=40,steps=100,eot=5" not in text
    for part in ("pgd:db=20,", "steps=100,", " eot=5 "):
        assert part in text
    assert "pgd:db=20,steps=100,eot=5" in show([cell("none", attacks[0])])
