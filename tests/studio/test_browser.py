"""The page in a real browser, as a visitor uses it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile

from melmoat import data
from tests.studio.conftest import Serve

# Not imported here: that takes seconds, and the quick tests collect this file too.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra studio"),
]
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PATIENCE = 240_000  # ms; other work may be on the machine
Open = Callable[..., "sync_api.Page"]


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    return data.read([list(data.load("demo"))[1]]).wav[0].numpy()


@pytest.fixture(scope="module")
def address(served: Serve) -> Iterator[str]:
    options = ["--longest", "6", "--model", "ds2-an4"]
    with served(*options, "--defense", "none", "--defense", "wgn:snr=15") as found:
        yield found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory, speech: np.ndarray) -> Iterator[object]:
    spoken = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    soundfile.write(spoken, np.tile(speech, 3), 16_000)
    arguments = ["--no-sandbox", "--mute-audio", "--use-fake-ui-for-media-stream"]
    arguments += [
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={spoken}",
    ]
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        except sync_api.Error as error:
            pytest.skip(f"needs chromium: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: sync_api.Browser, address: str) -> Iterator[Open]:
    """Opens the page; at the end it must have been silent, and asked nobody else."""
    contexts, wrong, expected = [], [], []

    def opened(
        width: int = 1280, height: int = 900, error: str = "", query: str = ""
    ) -> sync_api.Page:
        expected.append(error)
        context = chromium.new_context(
            viewport={"width": width, "height": height}, permissions=["microphone"]
        )
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: message.type != "error" or wrong.append(message.text),
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                asked.url.startswith((address, "data:", "blob:")) or wrong.append(asked.url)
            ),
        )
        page.goto(f"{address}{query}")
        page.wait_for_selector("#start")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert set(wrong) <= {*expected}, wrong


def upload(page: sync_api.Page, path: Path) -> None:
    if page.locator("#speech").get_by_label("Clear").count():
        page.locator("#speech").get_by_label("Clear").click()
    page.locator("#speech input[type=file]").set_input_files(path)
    holds(page, path.name)


def holds(page: sync_api.Page, name: str) -> None:
    """Wait until the page has the recording."""
    page.wait_for_function(
        "name => [...document.querySelectorAll('#speech a')].some(one => one.href.endsWith(name))",
        arg=name,
    )


def steps(page: sync_api.Page, number: int) -> None:
    box = page.get_by_label("number input for Steps")
    box.fill(str(number))
    box.press("Enter")


def attack(page: sync_api.Page) -> None:
    page.get_by_role("button", name="Attack", exact=True).click()


def finished(page: sync_api.Page) -> str:
    page.wait_for_selector("#status :text('Done in')")
    return page.inner_text("#result")


def test_upload_attack_defend_and_compare_with_noise(
    visit: Open, tmp_path: Path, speech: np.ndarray
) -> None:
    page = visit()
    path = tmp_path / "mine.flac"  # two channels, at an odd rate
    soundfile.write(path, np.stack([speech, speech], 1), 15_999)
    upload(page, path)
    page.get_by_label("Defense").first.click()
    page.get_by_role("option", name="wgn:snr=15").click()
    steps(page, 3)
    attack(page)
    result = finished(page)
    assert "behind wgn:snr=15" in result
    assert "3 gradient passes" in result
    assert page.locator("#result figure").count() == 4
    assert page.evaluate(
        "[...document.querySelectorAll('#result img')].every(one => one.naturalWidth > 0)"
    )
    page.get_by_role("button", name="Same loudness").click()
    page.wait_for_selector("#result figure:has-text('random noise')")
    assert page.locator("#result figure").count() == 5
    assert page.locator("#result tbody tr").count() == 3
    assert "melmoat attack speech.wav noise.wav" in page.inner_text("body")


def test_a_link_opens_the_same_form(visit: Open) -> None:
    query = "?target=GO+ON&db=31&steps=2&defense=wgn%3Asnr%3D15&adaptive=false&seed=5"
    page = visit(query=query)
    page.wait_for_function("document.querySelector('input[type=number]').value == '31'")
    page.get_by_label("Example").click()
    page.get_by_role("option").nth(2).click()
    heard = list(data.load("demo"))[2].recording.sources[0].source
    holds(page, Path(heard).name)
    attack(page)
    said = finished(page)
    assert "GO ON" in said
    assert "2 gradient passes" in said
    link = page.get_by_role("link", name="This form as a link").get_attribute("href")
    assert link
    other = visit(query=link)
    holds(other, Path(heard).name)
    attack(other)
    assert finished(other).partition("cost")[0] == said.partition("cost")[0]
    commands = [one.locator(".cm-content").first.inner_text() for one in (page, other)]
    assert commands[0] == commands[1]
    assert "wgn:snr=15" in commands[0]


def test_a_link_to_what_is_not_offered_says_so(visit: Open) -> None:
    page = visit(query="?model=python%3Aos%3Asystem&steps=3")
    page.wait_for_selector("#status [role=alert]:has-text('is not offered here')")
    attack(page)
    assert "3 gradient passes" in finished(page)


def test_a_stopped_run_ends_and_the_next_one_works(visit: Open) -> None:
    page = visit()
    steps(page, 200)
    attack(page)
    page.wait_for_selector("#status :text('step')")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("#status :text('Stopped')")
    steps(page, 1)
    attack(page)  # there is one place, which the first one has left
    assert "SNR" in finished(page)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("silent.wav", "no sound in it"),
        ("long.wav", "of which 6 s are taken"),
        ("cut.wav", "cut short"),
        ("text.wav", "readable as audio"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason(
    visit: Open, tmp_path: Path, speech: np.ndarray, name: str, why: str
) -> None:
    waves = {"silent.wav": np.zeros(16_000), "long.wav": np.tile(speech, 5), "cut.wav": speech}
    path = tmp_path / name
    if name in waves:
        soundfile.write(path, waves[name], 16_000)
        path.write_bytes(path.read_bytes()[: -8_000 if name == "cut.wav" else None])
    else:
        path.write_text("this is a letter, and no recording\n" * 40)
    # the browser cannot draw it either
    page = visit(error="Waveform load error: MediaError" if name == "text.wav" else "")
    upload(page, path)
    attack(page)
    said = page.wait_for_selector("#status [role=alert]")
    assert said
    assert why in said.inner_text()
    assert name in said.inner_text()


def test_record_on_a_phone(visit: Open) -> None:
    page = visit(390, 844)
    page.locator("#speech").get_by_label("Clear").click()
    page.locator("#speech").get_by_label("Record audio").click()
    page.locator("#speech").get_by_role("button", name="Record", exact=True).click()
    page.wait_for_timeout(2_500)
    page.locator("#speech").get_by_role("button", name="Stop", exact=True).click()
    page.wait_for_selector("#speech a", state="attached")
    steps(page, 2)
    attack(page)
    assert "2 gradient passes" in finished(page)
    page.get_by_label("Defense").first.click()
    page.get_by_role("option", name="wgn:snr=15").click()
    attack(page)
    page.wait_for_selector("#result th:has-text('behind')")  # the table has one more column
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_keyboard_does_all(visit: Open) -> None:
    page = visit()
    page.get_by_label("Target text").focus()
    page.keyboard.type("STOP")
    page.keyboard.press("Tab")
    steps(page, 2)
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText"))
        if reached[-1] == "Attack":
            break
    assert "Attack" in reached
    page.keyboard.press("Enter")
    assert "STOP" in finished(page)
    page.wait_for_selector("#control:enabled")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")  # the control
    page.wait_for_selector("#result figure:has-text('random noise')")
