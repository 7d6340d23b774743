import runpy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from melmoat.analysis.results import Result
from melmoat.cli.app import app
from melmoat.errors import MelmoatError
from melmoat.report.digest import OTHERS
from melmoat.report.leaderboard import boards, runs_in, write_leaderboard
from melmoat.report.page import render
from tests.bench.hand_made import result
from tests.bench.writing import write_run

HOME = Path(__file__).parents[2]
RESULTS = [
    result("none", "none", 4.0),
    result("none", "pgd:db=20", 90.0),
    result("none", "pgd:norm=linf,db=20", 95.0),
    result("none", "pgd:db=29.5", 50.0, snr_db=29.5),
    result("rs", "none", 5.0),
    result("rs", "pgd:db=20", 60.0),
    result("rs", "kenansville", 70.0),
    result("stft", "pgd:db=20", 70.0, n=8),
]


def rows(results: list[Result]) -> dict[str, tuple[str, list[str | None]]]:
    (board,) = boards(results)
    return {
        e.system.defense: (e.place, [w.cell.attack if w else None for w in e.worst])
        for e in board.entries
    }


def test_the_strongest_attack_at_a_level_counts_and_the_nearest_level_stands_for_it() -> None:
    (board,) = boards(RESULTS[:6])
    assert board.columns == (20.0, 29.5)
    assert [e.system.defense for e in board.entries] == ["rs", "none"]
    found = rows(RESULTS[:6])
    assert found["none"] == ("2", ["pgd:norm=linf,db=20", "pgd:db=29.5"])
    assert found["rs"] == ("1", ["pgd:db=20", None])


def test_of_unfinished_attacks_the_one_on_most_utterances_counts() -> None:
    begun = result("stft", "apgd:db=20", 100.0, n=2)
    assert rows([*RESULTS, begun])["stft"] == ("-", ["pgd:db=20", None])


def test_no_level_stands_for_one_far_away() -> None:
    (board,) = boards(RESULTS[:2])
    assert board.columns == (20.0, None)


def test_suspect_and_unfinished_rows_have_no_place() -> None:
    found = rows(RESULTS)
    assert found["rs"] == ("-", ["kenansville", None])  # a black-box attack beats the gradient
    assert found["stft"] == ("-", ["pgd:db=20", None])
    assert found["none"][0] == "1"
    (board,) = boards(RESULTS)
    verdicts = {e.system.defense: e.verdict for e in board.entries}
    assert verdicts["none"].startswith("incomplete: ")
    assert verdicts["rs"].startswith("suspect: weaker attackers")
    assert verdicts["stft"].startswith("incomplete: ")


def test_noise_is_no_attack() -> None:
    found = rows([*RESULTS[:3], result("rs", "none", 5.0), result("rs", "noise:db=20", 6.0)])
    assert found["rs"] == ("-", [None, None])
    assert found["none"][0] == "1"


def test_an_unfinished_attack_does_not_hide_a_finished_one() -> None:
    found = rows([*RESULTS[:3], result("none", "pgd:db=20,steps=250", 99.0, n=8)])
    assert found["none"] == ("1", ["pgd:norm=linf,db=20", None])


def test_places_rest_on_the_attacks_that_all_met() -> None:
    harder = [*RESULTS[:3], *RESULTS[4:6], result("none", "pgd:db=20,eot=5", 99.0)]
    found = rows(harder)  # undefended: 90 under the attack that rs met, 99 under others
    assert (found["rs"][0], found["none"][0]) == ("1", "2")
    alone = rows([*RESULTS[:2], result("rs", "pgd:db=20,steps=5", 60.0)])
    assert (alone["rs"][0], alone["none"][0]) == ("-", "-")


def test_controls_and_unfinished_attacks_choose_no_column() -> None:
    near = [
        result(d, "pgd:norm=l2,eps=1", w, snr_db=18.8) for d, w in (("none", 90.0), ("rs", 50.0))
    ]
    (board,) = boards(
        [*near, result("none", "noise:db=20", 6.0), result("rs", "pgd:db=20", 9.0, n=8)]
    )
    assert board.columns == (pytest.approx(18.8), None)
    assert [e.place for e in board.entries] == ["1", "2"]


def test_attacks_through_another_gradient_are_attacks_on_the_same_defense() -> None:
    made = [
        result("stft-flood", "pgd:db=20", 50.0),
        result("stft-flood:gradient=bpda", "pgd:db=20", 80.0),
    ]
    (board,) = boards(made)
    (entry,) = board.entries
    assert entry.system.defense == "stft-flood"
    assert entry.worst[0] is made[1]
    assert entry.attacks == (2, 0)


def test_the_gradient_that_breaks_most_decides_the_place() -> None:
    made = [
        result("none", "pgd:db=20", 90.0),
        result("stft-flood", "pgd:db=20", 95.0),
        result("stft-flood:gradient=resampled", "pgd:db=20", 60.0),
        result("stft-flood:gradient=bpda", "pgd:db=20", 10.0),
        result("rs", "pgd:db=20", 40.0),
    ]
    assert [rows(made)[name][0] for name in ("rs", "none", "stft-flood")] == ["1", "2", "3"]


def test_clean_speech_is_known_from_attacked_rows_too() -> None:
    (board,) = boards([result("none", "pgd:db=20", 90.0)])
    (entry,) = board.entries
    assert entry.system.benign is not None
    assert entry.system.benign.error_rate == pytest.approx(1.0, abs=0.5)


def test_of_a_cell_that_several_runs_have_the_largest_counts(tmp_path: Path) -> None:
    write_run(tmp_path / "results" / "a", [result("rs", "pgd:db=20", 99.0, n=8), RESULTS[4]])
    write_run(tmp_path / "results" / "b", [RESULTS[5], result("rs", "none", 50.0, n=8)])
    text = write_leaderboard([tmp_path / "results"], tmp_path / "board")[0].read_text()
    (line,) = [line for line in text.splitlines() if "ds2-an4 / rs" in line]
    assert "60.9 [" in line
    assert "n = 8" not in line
    assert "99." not in line


@pytest.mark.parametrize(
    ("out", "base"), [("v1.2", "v1.2"), ("board.html", "board"), ("board.md", "board")]
)
def test_only_a_pages_own_suffix_is_replaced(out: str, base: str, tmp_path: Path) -> None:
    write_run(tmp_path / "a", RESULTS[:4])
    paths = write_leaderboard([tmp_path / "a"], tmp_path / out)
    assert [path.name for path in paths] == [f"{base}.md", f"{base}.html"]
    assert all(path.is_file() for path in paths)


def test_runs_of_a_folder_become_a_page_and_markdown(tmp_path: Path) -> None:
    write_run(tmp_path / "results" / "a", RESULTS[:4])
    write_run(tmp_path / "results" / "b", RESULTS[4:6])
    paths = write_leaderboard([tmp_path / "results"], tmp_path / "board")
    assert [p.name for p in paths] == ["board.md", "board.html"]
    text, page = (p.read_text(encoding="utf-8") for p in paths)
    assert "worst at 30 dB (measured at 29.5)" in text
    assert "| 1 | ds2-an4 / rs | 5." in text
    assert "(29.5)" in page
    assert page.count("<table") == 1
    with pytest.raises(MelmoatError, match="no runs here"):
        write_leaderboard([tmp_path], tmp_path / "board")


@pytest.mark.parametrize(("first", "told"), [(0, False), (1, True)])
def test_cells_of_other_utterances_are_told(first: int, told: bool, tmp_path: Path) -> None:
    """Their numbers are the same, so nothing showed it."""
    clean, pgd = result("none", "none", 4.0, n=8), result("none", "pgd:db=20", 90.0, n=9)
    some = dict(list(pgd.rows.items())[first : first + 8])
    write_run(tmp_path / "run", [clean, replace(pgd, rows=some)])
    done = CliRunner().invoke(app, ["export", str(tmp_path / "run"), "--format", "markdown"])
    assert ("warning: Not all of these cells" in done.stderr) is told
    texts = [*render(tmp_path / "run")[:2]]
    texts += [f.read_text() for f in write_leaderboard([tmp_path / "run"], tmp_path / "board")]
    assert [OTHERS in text for text in texts] == [told] * 4


def test_the_command_takes_runs_and_folders_of_them(tmp_path: Path) -> None:
    write_run(tmp_path / "results" / "a", RESULTS[:4])
    write_run(tmp_path / "results" / "b", RESULTS[4:6])
    out, runs = tmp_path / "board", [tmp_path / "results" / name for name in "ab"]
    words = ["leaderboard", *map(str, runs), "--out", str(out)]
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.stdout.split() == [f"{out}.md", f"{out}.html"]
    text = out.with_suffix(".md").read_text()
    assert f"melmoat leaderboard {runs[0]} {runs[1]} --out {out}\n" in text
    write_leaderboard([tmp_path / "results"], tmp_path / "same", " ".join(["melmoat", *words]))
    assert (tmp_path / "same.md").read_text() == text
    assert runs_in([*runs, tmp_path / "results"]) == runs


def test_the_committed_one_has_the_committed_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = str(HOME / "tools" / "leaderboard.py")
    monkeypatch.setattr(sys, "argv", [tool, "--out", str(tmp_path / "b")])
    runpy.run_path(tool, run_name="__main__")
    made, there = tmp_path / "b.md", HOME / "docs" / "leaderboard.md"
    assert figures(made) == figures(there), "run: python tools/leaderboard.py"


def figures(board: Path) -> list[str]:
    """Its rows without the audit's column, which knows less where an extra is missing."""
    return sorted(line.rsplit("|", 2)[0] for line in board.read_text("utf-8").splitlines())


def test_cells_of_one_name_and_other_weights_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name, [result("rs", "pgd:db=20", 50.0)])
    key, told = result("rs", "pgd:db=20", 50.0).cell.key, tmp_path / "b" / "run.json"
    told.write_text(told.read_text().replace(key, "0" * 16))  # as of weights trained again
    rows = tmp_path / "b" / "cells" / f"{key}.jsonl"
    rows.rename(rows.with_name(f"{'0' * 16}.jsonl"))
    with pytest.raises(MelmoatError, match=f"other weights.*{key} and {'0' * 16}"):
        write_leaderboard([tmp_path / "a", tmp_path / "b"], tmp_path / "board")
