"""Places of the standard's leaderboard, and its pages."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from melmoat.report.leaderboard import write_leaderboard
from melmoat.report.standing import standard_boards
from melmoat.standard.entries import Entry, Statement, read_entries
from melmoat.standard.result import Result
from tests.bench.hand_made import result as bench_result
from tests.bench.writing import write_run
from tests.standard.made_results import made, with_normaliser, write_entry

HARD, EASY = [4, 4, 4, 3] * 5, [1, 2, 1, 0] * 5


def entry(name: str, result: Result) -> Entry:
    return Entry(name, Statement(name, "It is.", "https://x.org", False), result, "AN4 test")


def places(results: dict[str, Result]) -> dict[str, str]:
    (board,) = standard_boards([entry(name, result) for name, result in results.items()])
    return {row.entry.name: row.place for row in board.rows}


def test_rows_are_in_the_order_of_their_places() -> None:
    found = places({"hard": made(HARD), "easy": made(EASY)})
    assert list(found.items()) == [("easy", "1"), ("hard", "2")]
    more = made([*EASY, *[4] * 40])  # more errors in all, and fewer on the utterances of both
    found = places({"small": made([2] * 20), "large": more})
    assert list(found.items()) == [("large", "1"), ("small", "2")]


def test_systems_that_nothing_tells_apart_share_places() -> None:
    near = [4, 4, 4, 4, *HARD[4:]]  # one error more
    found = places({"a": made(HARD), "b": made(near), "c": made(EASY)})
    assert found == {"c": "1", "a": "2 to 3", "b": "2 to 3"}


def test_pairs_tell_apart_what_overlapping_intervals_do_not() -> None:
    ours, theirs = [0, 4] * 10, [1, 4] * 10  # always a little worse where anything is right
    (board,) = standard_boards([entry("ours", made(ours)), entry("theirs", made(theirs))])
    assert board.rows[0].mean.interval[1] > board.rows[1].mean.interval[0]
    assert [row.place for row in board.rows] == ["1", "2"]


def test_a_suspect_system_is_last_and_has_no_place() -> None:
    found = places({"suspect": made(EASY, sign="weaker attackers"), "hard": made(HARD)})
    assert list(found.items()) == [("hard", "1"), ("suspect", "-")]
    assert places({"open": made(EASY, still="more steps"), "hard": made(HARD)})["open"] == "1"


def test_only_what_is_counted_alike_is_compared() -> None:
    entries = [
        entry("a", made(HARD)),
        entry("b", with_normaliser(made(EASY), "whisper-english")),
        entry("c", made(EASY, data="an4:an4/train")),
    ]
    assert [[row.place for row in board.rows] for board in standard_boards(entries)] == [["1"]] * 3


ALL = [4] * 20  # at 20, 30 and 40 dB alike
FALLS = {"linf 30 dB": ALL, "l2 30 dB": ALL, "l2 40 dB": ALL}
QUIETER = FALLS | {"l2 50 dB": [3] * 20, "l2 60 dB": [1] * 20}
QUIETEST = FALLS | {"l2 50 dB": [4] * 20, "l2 60 dB": [2] * 20}


def test_the_plots_tell_apart_what_falls_at_20_db() -> None:
    entries = [entry("a", made(ALL, at=QUIETER)), entry("b", made(ALL, at=QUIETEST))]
    (board,) = standard_boards([*entries, entry("c", made(HARD))])
    assert [row.entry.name for row in board.rows] == ["c", "a", "b"]
    tips = re.findall(r"<title>(\w): .*?, (\S+) in the worst case, mean over", board.plot.picture)
    assert tips == [("c", "23.4"), ("a", "80.0"), ("b", "90.0")]
    points = Counter(re.findall(r"<title>(\w): ", board.curves.picture))
    assert points == {"a": 6, "b": 6, "c": 4}  # clean speech and the levels that were tried


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    tmp_path = tmp_path_factory.mktemp("pages")
    folder = tmp_path / "results" / "standard"
    write_entry(folder, "easy", made(EASY, defense="rs:snr=15"), "<script>x</script>", True)
    write_entry(folder, "hard", made([*HARD, 4, 4], still="more steps"), "Plain | one")
    line = replace(made(ALL).members[0], defense="mulaw:gradient=bpda")
    blind = replace(made(ALL, defense="mulaw", at=QUIETER), members=(line,))
    write_entry(folder, "blind", blind)
    write_run(tmp_path / "results" / "bench", [bench_result("stft", "pgd:db=20", 90.0)])
    paths = write_leaderboard(
        [tmp_path / "results"],
        tmp_path / "board",
        judged=standard_boards(read_entries(folder)),
        entries_at="../results/standard",
    )
    text, page = (path.read_text("utf-8") for path in paths)
    return text, page


def test_both_pages_have_the_places_and_lead_to_the_entries(pages: tuple[str, str]) -> None:
    text, page = pages
    lines = [line for line in text.splitlines() if "leaderboard.html#entry-" in line]
    assert [line.split(" | ")[0] for line in lines] == ["| 1", "| 2", "| 3"]
    assert "Plain \\| one" in lines[1]
    assert "(../results/standard/easy.json)" in lines[0]
    assert "no sign found" in lines[0]
    assert "incomplete: more steps" in lines[1]
    assert 'href="../results/standard/easy.json"' in page
    assert 'id="entry-easy"' in page
    assert 'href="#entry-easy"' in page
    assert "+12.5 / 20" in page  # what a member did
    assert ", n = 20 |" in text  # fewer than the other one
    assert "25.0 [" in lines[0]


def test_both_pages_have_the_quieter_levels_and_say_why_others_lack_them(
    pages: tuple[str, str],
) -> None:
    text, page = pages
    head, _, easy, _, blind = (
        [cell.strip() for cell in line.split(" | ")]
        for line in text.splitlines()
        if line.startswith(("| place | system | gradient", "|---|---|---|---|---|---|---|---|---|"))
        or "leaderboard.html#entry-" in line
    )
    levels = [f"l2 {db} dB" for db in (60, 50, 40, 30, 20)]
    assert [head.index(level) for level in levels] == [5, 6, 7, 8, 9]
    assert easy[5:7] == ["-", "-"]
    assert blind[5:7] == ["25.0 [25.0, 25.0]", "75.0 [75.0, 75.0]"]
    for one in (text, page):
        assert one.count("A dash at 60 or 50 dB: this level was not needed") == 1
    labels = re.findall(r'data-label="l2 60 dB"[^>]*>([^<]*)', page)
    assert labels == ["-", "-", "25.0"]


def test_both_pages_mark_a_stand_in_for_the_gradient_in_its_row(pages: tuple[str, str]) -> None:
    text, page = pages
    rows = [line.split(" | ") for line in text.splitlines() if "leaderboard.html#entry-" in line]
    assert [row[2] for row in rows] == ["exact", "exact", "stand-in"]
    assert re.findall(r'class="(slope[^"]*)">gradient: ([\w-]+)<', page) == [
        ("slope", "exact"), ("slope", "exact"), ("slope warned", "stand-in")]  # fmt: skip


def test_what_a_submitter_writes_is_escaped_and_nothing_is_loaded(pages: tuple[str, str]) -> None:
    _, page = pages
    assert "<script>x" not in page
    assert "default-src 'none'" in page
    assert page.count("<script>") == 1
    assert "src=" not in page
    assert page.index('class="chart"') < page.index("<table")  # it opens with a plot


def test_the_benches_follow(pages: tuple[str, str]) -> None:
    text, page = pages
    part = "Systems that the standard has not judged yet"
    assert text.index("entry-easy") < text.index(part) < text.index("ds2-an4 / stft")
    assert page.index('id="entry-easy"') < page.index(part)


def test_a_page_without_entries_says_so(tmp_path: Path) -> None:
    write_run(tmp_path / "a", [bench_result("stft", "pgd:db=20", 90.0)])
    for path in write_leaderboard([tmp_path / "a"], tmp_path / "board", judged=[]):
        assert "No system has been judged yet" in path.read_text("utf-8")
    for path in write_leaderboard([tmp_path / "a"], tmp_path / "own"):
        assert "judged" not in path.read_text("utf-8")  # runs of somebody's own
