"""What the gallery plays is what its run measured, each sound once, and its page finds it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import gallery
import pytest
from torch import Tensor

from melmoat import data
from melmoat.analysis.results import read_results
from melmoat.audio import load
from melmoat.bench import audio_store
from melmoat.bench.suite import Suite, TableRow, find
from melmoat.bench.worker import choose
from melmoat.errors import MelmoatError

HOME = Path(__file__).parents[1]
SMALL = Suite(
    "small",
    [TableRow("None", "ds2-an4", "none"), TableRow("Noise", "ds2-an4", "rs:snr=15,votes=2")],
    {"No attack": "none", "Noise": "noise:norm=snr,db=20"},
    limit=1,
    choose="spread",
)
needs_sound = pytest.mark.skipif(
    not (gallery.KEPT / "audio").is_dir(), reason="needs the repository's docs/gallery/audio"
)


def decibels(sound: Tensor, change: Tensor) -> float:
    return float(10 * (sound.square().sum() / change.square().sum()).log10())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    gallery.run(SMALL, folder / "run")
    for _ in range(2):  # the second time in place of the first
        gallery.keep(SMALL, folder / "run", folder / "kept")
    return folder / "kept"


def test_each_sound_is_kept_once_and_smoothing_has_a_noisy_copy(kept: Path) -> None:
    keys = {label: cell.key for label, cell in SMALL.cells().items()}
    found = {(path.parent.name, path.name.split(".")[-2]) for path in kept.glob("audio/*/*.flac")}
    assert found == {
        (keys["None", "No attack"], "clean"),
        (keys["None", "Noise"], "adversarial"),
        (keys["Noise", "Noise"], "adversarial"),
        (keys["Noise", "No attack"], "defended"),
        (keys["Noise", "Noise"], "defended"),
    }
    (name,) = read_results(kept)[0].rows
    sent, noisy = (
        load(audio_store.file(audio_store.home(kept, keys["Noise", "Noise"]), name, kind)).wav
        for kind in ("adversarial", "defended")
    )
    # 15 dB below the loudest part, so below the whole by a little less
    assert 9 < decibels(sent, noisy - sent) < 15


def test_a_case_has_what_was_recorded_sent_and_defended(kept: Path) -> None:
    made = {(c.result.system_name, c.result.attack_name): c for c in gallery.cases(kept)}
    assert [clip.kind for clip in made["None", "No attack"].clips] == ["clean"]
    assert [clip.kind for clip in made["Noise", "Noise"].clips] == [
        *("clean", "adversarial", "defended")
    ]
    pictures = gallery.pictures(kept)
    for case in made.values():
        for clip in case.clips:
            assert (kept / clip.sound).is_file()
            assert pictures[clip.picture].startswith(b"\x89PNG")


def test_a_sound_that_is_missing_is_an_error(kept: Path, tmp_path: Path) -> None:
    shutil.copytree(kept, tmp_path / "kept")
    shutil.rmtree(tmp_path / "kept" / "audio")
    with pytest.raises(MelmoatError, match=r"no clean audio of demo-.*tools/gallery\.py"):
        gallery.cases(tmp_path / "kept")


def test_a_run_without_all_its_sounds_replaces_nothing(kept: Path, tmp_path: Path) -> None:
    shutil.copytree(kept, tmp_path / "kept")
    shutil.copytree(kept.parent / "run", tmp_path / "run")
    last = list(SMALL.cells().values())[-1].key
    shutil.rmtree(audio_store.home(tmp_path / "run", last))
    before = {path: path.stat().st_ino for path in (tmp_path / "kept").rglob("*")}
    with pytest.raises(MelmoatError, match="no audio of demo-"):
        gallery.keep(SMALL, tmp_path / "run", tmp_path / "kept")
    assert {path: path.stat().st_ino for path in (tmp_path / "kept").rglob("*")} == before


def test_what_is_kept_is_the_suite_on_speech_that_ships() -> None:
    suite = find(str(HOME / "suites" / "gallery.py"))
    results = read_results(gallery.KEPT)
    assert [result.key for result in results] == [cell.key for cell in suite.cells().values()]
    names = {cut.id for cut in choose(list(data.load("demo")), suite.limit, suite.choose)}
    assert len(names) == 10
    assert all(set(result.rows) == names for result in results)
    told = json.loads((gallery.KEPT / "run.json").read_text())
    assert not re.search(r'"/|/work|/home', json.dumps(told))


@needs_sound
def test_what_is_played_is_what_the_rows_measured() -> None:
    assert sum(path.stat().st_size for path in gallery.KEPT.rglob("*.*")) < 12e6
    cases = gallery.cases()
    for case in cases[::7]:
        played = {clip.kind: load(gallery.KEPT / clip.sound).wav for clip in case.clips}
        if "adversarial" in played:
            clean, sent = played["clean"], played["adversarial"]
            assert decibels(clean, sent - clean) == pytest.approx(case.row["snr_db"], abs=0.05)
        else:
            assert case.row["snr_db"] is None
    sounds = {clip.sound for case in cases for clip in case.clips}
    there = {p.relative_to(gallery.KEPT).as_posix() for p in gallery.KEPT.rglob("*.flac")}
    assert sounds == there


@needs_sound
def test_the_page_says_what_was_measured_and_opens_with_an_attack_that_succeeds() -> None:
    page = (HOME / "docs" / "gallery.md").read_text("utf-8")
    html = gallery.filled(page)
    assert gallery.MARK in page
    assert gallery.MARK not in html
    rates = {
        (r.system_name, r.attack_name): f"{r.error_rate:.1f} %" for r in read_results(gallery.KEPT)
    }
    assert re.findall(r"<strong>([\d.]+ %)</strong>", html) == [
        rates["No defense", attack] for attack in ("No attack", "Random noise, 20 dB", "PGD, 20 dB")
    ]
    cases = gallery.cases()
    assert len({case.address for case in cases}) == len(cases) == html.count('class="mg-case"')
    first = gallery.first(cases)
    wrong, right = (first.row["counts"][which]["words"][0] for which in ("adversarial", "benign"))
    assert wrong
    assert not right


@pytest.fixture
def browser() -> Iterator[object]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_api.sync_playwright() as playwright:
        try:
            made = playwright.chromium.launch(
                executable_path=found, args=["--no-sandbox", "--mute-audio"]
            )
        except sync_api.Error as error:
            pytest.skip(f"needs chromium: {error.message.splitlines()[0]}")
        yield made
        made.close()


@pytest.mark.slow
@needs_sound
def test_a_visitor_chooses_by_mouse_keys_and_address(browser: object, tmp_path: Path) -> None:
    shutil.copytree(gallery.KEPT, tmp_path / "gallery")
    text = gallery.filled((HOME / "docs" / "gallery.md").read_text("utf-8"))
    head = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">'
    (tmp_path / "gallery" / "index.html").write_text(head + text, "utf-8")
    for name, picture in gallery.pictures().items():
        (tmp_path / "gallery" / name).write_bytes(picture)
    page, wrong = browser.new_page(viewport={"width": 390, "height": 844}), []
    page.set_default_timeout(120_000)
    page.on("console", lambda said: said.type != "error" or wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("requestfailed", lambda asked: wrong.append(asked.url))
    address = (tmp_path / "gallery" / "index.html").as_uri()
    page.goto(address)

    def shown() -> str:
        (one,) = page.query_selector_all(".mg-case:not([hidden])")
        return one.get_attribute("data-address")

    assert shown() == gallery.first(gallery.cases()).address
    page.select_option("select", "demo-0022-flite-slt")
    page.get_by_label("Random noise, 20 dB", exact=True).check()
    assert shown() == "demo-0022-flite-slt/random-noise-20-db/no-defense"
    page.keyboard.press("ArrowRight")
    assert shown() == "demo-0022-flite-slt/pgd-30-db/no-defense" == page.url.split("#")[1]
    page.get_by_title("Listen: PGD, 20 dB, Noise flooding (MDNF)").click()
    assert shown() == "demo-0022-flite-slt/pgd-20-db/noise-flooding-mdnf"
    assert page.is_checked("input[value=noise-flooding-mdnf]")
    ended = """one => new Promise((yes, no) => {
        one.onended = yes; one.onerror = no; one.playbackRate = 8; one.play();
    })"""
    page.locator(".mg-case:not([hidden]) audio").last.evaluate(ended)
    page.goto(f"{address}#demo-0010-flite-slt/pgd-30-db/randomized-smoothing")
    assert shown() == "demo-0010-flite-slt/pgd-30-db/randomized-smoothing"
    assert page.input_value("select") == "demo-0010-flite-slt"
    for odd in ("no-such-example", "%E0%A4%A"):
        page.goto(f"{address}#{odd}")
        assert shown() == "demo-0010-flite-slt/pgd-30-db/randomized-smoothing"
    page.reload()  # opened with such an address
    assert shown() == gallery.first(gallery.cases()).address
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert not wrong
