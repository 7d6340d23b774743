"""Open reports in a headless Chromium as a reader would, and check that they work.

    pip install playwright
    python tools/check_report.py runs/first/report.html --chromium /usr/bin/chromium --shots shots

Fails on console errors, requests, players or pictures that do not load, a filter or a sort that
does nothing, and a page wider than the screen.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

SCREENS = {"desktop": (1280, 900), "phone": (390, 844)}
LOADED = """async () => {
  const players = [...document.querySelectorAll("audio")];
  const ready = (p) => p.readyState > 0 ? p : new Promise((done) => {
    p.onloadedmetadata = p.onerror = () => done(p);
    p.load();
  });
  await Promise.all(players.map(ready));
  const pictures = [...document.images];
  for (const one of pictures) one.loading = "eager";
  await Promise.all(pictures.map((one) => one.decode().catch(() => null)));
  return {
    silent: players.filter((p) => !(p.duration > 0)).length,
    blank: pictures.filter((p) => !p.naturalWidth).length,
    counted: [players.length, pictures.length],
  };
}"""
PLAYED = """async () => {
  const player = document.querySelector("audio");
  player.muted = true;
  await player.play();
  await new Promise((done) => setTimeout(done, 500));
  player.pause();
  return player.currentTime;
}"""


def use(page: Page) -> list[str]:
    """Filter, sort by the keyboard and play; what went wrong."""
    wrong = []
    found = page.evaluate(LOADED)
    print(f"  players, pictures: {found['counted']}")
    wrong += [f"{found['silent']} players do not load"] if found["silent"] else []
    wrong += [f"{found['blank']} pictures do not load"] if found["blank"] else []
    if page.query_selector("audio"):
        at = page.evaluate(PLAYED)
        wrong += [] if at > 0 else ["a player does not play"]
    if page.query_selector("#filter"):
        everything = page.inner_text("#filter output")
        page.fill("#filter input[name=text]", "no such words")
        wrong += [] if page.inner_text("#filter output").startswith("0 of") else ["filter is deaf"]
        page.fill("#filter input[name=text]", "")
        wrong += [] if page.inner_text("#filter output") == everything else ["filter forgets rows"]
    button = page.locator("table[data-sortable] thead button").first
    for order in ("ascending", "descending"):
        button.focus()
        page.keyboard.press("Enter")
        header = page.locator("table[data-sortable] thead th").first
        wrong += [] if header.get_attribute("aria-sort") == order else [f"no {order} sort"]
    return wrong


def check(browser: Browser, path: Path, shots: Path | None) -> list[str]:
    """Open one file on every screen in both themes; what went wrong."""
    wrong: list[str] = []
    for name, (width, height) in SCREENS.items():
        for theme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme=theme,  # type: ignore[arg-type]
            )
            page = context.new_page()
            said: list[str] = []
            page.on("console", lambda m, to=said: to.append(m.text))  # type: ignore[misc]
            page.on("pageerror", lambda e, to=said: to.append(str(e)))  # type: ignore[misc]
            page.on(
                "request",
                lambda r, to=said: r.url[:5] in ("data:", "file:") or to.append(r.url),  # type: ignore[misc]
            )
            page.goto(path.resolve().as_uri())
            if shots:
                shots.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=shots / f"{path.parent.name}-{name}-{theme}.png")
            page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
            found = use(page)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                found.append("wider than the screen")
            wrong += [f"{path}, {name}, {theme}: {one}" for one in (*said, *found)]
            context.close()
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--chromium", help="its path, where playwright has none of its own")
    parser.add_argument("--shots", type=Path, help="folder for screenshots")
    given = parser.parse_args()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=given.chromium, args=["--no-sandbox", "--mute-audio"]
        )
        failures = [one for path in given.reports for one in check(chromium, path, given.shots)]
    print(*failures or ["all well"], sep="\n")
    sys.exit(bool(failures))
