import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from melmoat import audio
from melmoat.analysis.results import Result, read_results
from melmoat.audio import Audio
from melmoat.bench.store import Store, StoreError
from melmoat.cli.app import app
from melmoat.report.page import Options, md, render, write_report
from tests.bench.hand_made import result
from tests.bench.writing import write_run

EVIL = "<img src=x onerror=alert(1)>\"'&</td></script><script>alert(2)</script>"
VOID = {"meta", "link", "img", "br", "input", "wbr"}


class Page(HTMLParser):
    """Elements with their attributes; checks that tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.found if name == tag]


def with_audio(folder: Path, made: Result, names: list[str]) -> None:
    home = folder / "audio" / made.cell.key
    home.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for name in names:
        clean = 0.1 * torch.randn(4000, generator=generator)
        change = 0.01 * torch.randn(4000, generator=generator)
        for kind, wave in (("clean", clean), ("adversarial", clean + change), ("defended", clean)):
            audio.save(home / f"{name}.{kind}.flac", Audio.of([wave]))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = [
        result("none", "none", 4.0, n=6),
        result("none", "pgd:db=20", 90.0, n=6),
        result("none", "pgd:db=30", 50.0, n=6, snr_db=30.0),
        result("rs", "none", 5.0, n=6),
        result("rs", "pgd:db=20", 60.0, n=4),
    ]
    for one in made:
        one.rows["u000"]["reference"] = f"A {EVIL}"
    row = made[1].rows["u000"]
    row |= {"adversarial": f"B {EVIL}", "first": 3, "queries": 12}
    write_run(tmp_path / "my run", made)
    with_audio(tmp_path / "my run", made[1], ["u000", "u001"])
    with_audio(tmp_path / "my run", made[4], ["u000"])
    return tmp_path / "my run"


def test_the_page_is_whole_and_asks_the_network_for_nothing(folder: Path) -> None:
    page, _, left_out = render(folder)
    assert left_out == 0
    found = Page(page)
    for _, attrs in found.found:
        for key in ("src", "href"):
            assert (attrs.get(key) or "#").startswith(("data:", "#"))
    assert "url(" not in page
    (policy,) = [m["content"] for m in found.all("meta") if "http-equiv" in m]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert len(found.all("audio")) == 3 * 4
    assert (
        sum(
            a["src"] is not None and a["src"].startswith("data:image/png") for a in found.all("img")
        )
        == 12
    )
    assert all(a.get("alt") for a in found.all("img"))
    assert all(a.get("aria-label") for a in found.all("audio"))


def test_clean_speech_that_is_read_from_an_attacks_rows_has_no_cost_of_its_own(
    tmp_path: Path,
) -> None:
    made = [result("none", "none", 4.0, n=6), result("rs", "pgd:db=20", 60.0, n=6)]
    made.append(result("rs", "pgd:db=30", 40.0, n=6, snr_db=30.0))
    write_run(tmp_path / "run", made)
    page, text, _ = render(tmp_path / "run")
    (costs,) = [line for line in text.splitlines() if "rs |" in line and " s |" in line]
    assert costs.split("|")[2:-1] == [" - ", " 0.50 s ", " 0.50 s "]
    tips = re.findall(r"rs: ([^<]*)</title>", page)
    under = [tip for tip in tips if " under " in tip]
    assert ["no attack" in tip for tip in under] == [True, False, False]
    assert ["measured SNR" in tip for tip in under] == [False, True, True]


def test_against_silence_there_is_no_error_rate(tmp_path: Path) -> None:
    aimed = result("rs", "pgd:db=20,target=", 99.0, n=6)
    for i, row in enumerate(aimed.rows.values()):
        row |= {"target": "", "reached": i < 3}
        row["counts"]["target"] = {"words": [9, 0], "chars": [40, 0]}
    write_run(tmp_path / "run", [aimed])
    assert ", target silence (reached: 50 %)" in render(tmp_path / "run")[1]


def test_what_a_run_says_is_text_and_no_markup(folder: Path) -> None:
    page, text, _ = render(folder)
    found = Page(page)
    assert not [a for a in found.all("img") if "onerror" in a]
    assert len(found.all("script")) == 1
    assert "&lt;img" in page
    assert "<script>" not in text


def test_targeted_attacks_and_failures_are_told(folder: Path) -> None:
    aimed = result("rs", "pgd:db=20,target=STOP", 99.0, n=6)
    for i, row in enumerate(aimed.rows.values()):
        row |= {"target": "STOP", "reached": i < 2}
        row["counts"]["target"] = {"words": [int(i >= 2), 1], "chars": [0, 4]}
    store = Store(folder)
    store.begin([aimed.cell], {})
    store.append(aimed.cell, aimed.rows.values())
    store.fail(aimed.cell, "u999", f"AudioError: {EVIL}")
    page, text, _ = render(folder)
    Page(page)
    for said in (page, text):
        assert "target 66.7 (reached: 33 %)" in said
        assert "u999" in said
        assert "Failures" in said
    assert "| ds2-an4 / rs | 5" in text
    assert "pgd:db=20,target" not in text.split("## Systems")[1].split("| WER %")[0]
    assert "<script>alert" not in page


def test_only_the_pages_own_script_may_run(folder: Path) -> None:
    import base64
    import hashlib

    page, _, _ = render(folder)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_every_row_system_and_attack_is_there(folder: Path) -> None:
    page, text, _ = render(folder)
    found = Page(page)
    rows = [a for a in found.all("tr") if "data-attack" in a]
    assert len(rows) == 28
    for measured in read_results(folder):
        assert f"{measured.error_rate:.1f} [" in page
    for words in ("n = 4", "first success at iteration 3", "12 queries"):
        assert words in page
    for words in ("| ds2-an4 / rs |", "n = 4", "incomplete", "```sh"):
        assert words in text
    assert len(found.all("svg")) >= 2  # trade-off and WER against SNR
    sortable = [a for a in found.all("th") if "aria-sort" in a]
    assert len(sortable) == len(found.all("button"))
    targets = {a["id"] for _, a in found.found if "id" in a}
    links = {(a["href"] or "")[1:] for a in found.all("a")}
    assert links <= targets


def test_what_does_not_fit_is_left_out_and_said(folder: Path) -> None:
    page, _, left_out = render(folder, Options(megabytes=0.0, rows=5))
    found = Page(page)
    assert left_out == 3
    assert not found.all("audio")
    assert "Audio of 3 more utterances" in page
    assert len([a for a in found.all("tr") if "data-attack" in a]) == 5
    assert "5 of 28 rows, as many of each cell" in page


def test_each_cell_is_heard_before_any_is_heard_twice(folder: Path) -> None:
    whole, _, _ = render(folder)
    sizes = [len(a["src"] or "") for a in Page(whole).all("audio") + Page(whole).all("img")]
    page, _, left_out = render(folder, Options(megabytes=sum(sizes) * 0.7 / 1e6))
    assert left_out == 1
    names = [a["aria-label"] for a in Page(page).all("audio") if "clean" in str(a["aria-label"])]
    assert names == ["clean, u000", "clean, u000"]


def test_a_half_written_file_is_passed_over(folder: Path) -> None:
    for path in (folder / "audio").rglob("u001.clean.flac"):
        path.write_bytes(b"fLaC")
    page, _, left_out = render(folder)
    assert left_out == 1
    assert len(Page(page).all("audio")) == 8


def test_the_commands_measure_the_same_cells(folder: Path) -> None:
    _, text, _ = render(folder)
    lines = [line for line in text.splitlines() if line.startswith("melmoat bench")]
    assert len(lines) == 2
    words = shlex.split(lines[0])
    assert words[words.index("--out") + 1] == "my run"
    attacks = [words[i + 1] for i, word in enumerate(words) if word == "--attack"]
    assert attacks == ["none", "pgd:db=20", "pgd:db=30"]
    assert "--limit" not in words


def test_the_commands_choose_the_same_utterances(folder: Path) -> None:
    """A limit is what was asked for, not what was finished: it spreads over the corpus."""
    more = [result("rs", "pgd:db=20", 60.0, n=4), result("rs", "pgd:db=10", 90.0, n=2)]
    store = Store(folder)
    asked = {"limit": 6, "batch": 4, "save_audio": True, "x; true #": 1, "seconds": "1; true"}
    store.begin([more[0].cell], asked)
    store.begin([more[1].cell], {**asked, "limit": 40})
    _, text, _ = render(folder)
    lines = [line for line in text.splitlines() if "--defense rs" in line]
    assert "true" not in text.split("## Rerun")[1]
    assert [line.split(" --model")[0].partition("--data")[2] for line in lines] == [
        " an4:test --batch 4 --save-audio",
        " an4:test --batch 4 --save-audio --limit 6 --choose spread",
        " an4:test --batch 4 --save-audio --limit 40 --choose spread",
    ]


def test_files_are_written_by_the_command(folder: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["report", str(folder), "--audio-mb", "0"])
    assert found.exit_code == 0
    assert "audio of 3 utterances did not fit" in found.stdout
    assert (folder / "report.md").read_text().startswith("# my run")
    assert Page((folder / "report.html").read_text(encoding="utf-8")).all("main")
    with pytest.raises(StoreError, match=r"no run.json"):
        write_report(tmp_path)


def test_rows_of_older_runs_and_an_empty_run(tmp_path: Path) -> None:
    made = result("rs", "none", 5.0, n=2)
    for row in made.rows.values():
        del row["reached"], row["snr_db"], row["seconds"]
    store = write_run(tmp_path / "old", [])
    store.begin([made.cell], {})
    store.append(made.cell, made.rows.values())
    assert "u000" in render(tmp_path / "old")[0]
    assert "No defended rows" in render_empty(tmp_path)


def render_empty(tmp_path: Path) -> str:
    write_run(tmp_path / "empty", [])
    run = json.loads((tmp_path / "empty" / "run.json").read_text())
    del run["machine"], run["versions"]
    (tmp_path / "empty" / "run.json").write_text(json.dumps(run))
    return render(tmp_path / "empty")[0]


def test_markdown_text_stays_text() -> None:
    assert md("a|b\nc") == r"a\|b c"
    assert md("<b>*x*</b>") == r"&lt;b&gt;\*x\*&lt;/b&gt;"


def test_what_attacks_cost_is_told(folder: Path) -> None:
    page, text, _ = render(folder)
    assert "What each attack cost" in page
    lines = [line for line in text.splitlines() if line.startswith("| ds2-an4 / rs |")]
    assert " s" in lines[-1]
    assert lines[-1].split("|")[2].strip() == "-", "no attack costs nothing"
