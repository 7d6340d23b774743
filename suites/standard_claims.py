"""The paper's claims under the standard: pairs of the leaderboard's entries, level by level.

    python suites/standard_claims.py

Reads results/standard. A figure is the capped WER of the first system minus that of the second in
the worst case, on the utterances of both, with the paired 95 % interval: below zero is better. A
claim whose entries were not measured yet has no line. Writes results/standard/claims.md.
"""

from __future__ import annotations

from entries import ENTRIES
from lab import plainly

from melmoat.metrics.intervals import paired
from melmoat.standard.figures import CLEAN
from melmoat.standard.places import RANKED, on_both
from melmoat.standard.reading import read_result
from melmoat.standard.result import Result

CLAIMS = {
    "resynthesis alone helps, a little": ("mg", "none"),
    "flooding helps": ("mg-mdnf", "none"),
    "flooding helps more than resynthesis alone": ("mg-mdnf", "mg"),
    "flooding helps more than smoothing": ("mg-mdnf", "rs"),
    "smoothing helps": ("rs", "none"),
    "training on noisy speech helps": ("wgn", "none"),
    "adversarial training helps": ("at", "none"),
    "rounding (mu-law) helps": ("mulaw", "none"),
    "rounding helps after adversarial training": ("at-mulaw", "at"),
}
LEVELS = [CLEAN, *(level.name for level in RANKED)]


def main() -> None:
    text = table()
    (ENTRIES / "claims.md").write_text(text, encoding="utf-8")
    print(text, end="")


def table() -> str:
    """One line a claim and bench."""
    benches = {"AN4": "an4", "LibriSpeech": "hama"}
    lines = ["| claim | on | " + " | ".join(LEVELS) + " |", "|---" * (2 + len(LEVELS)) + "|"]
    for claim, pair in CLAIMS.items():
        for title, bench in benches.items():
            names = [f"{bench}-{one}" for one in pair]
            files = [ENTRIES / f"{name}.json" for name in names]
            if not all(file.exists() for file in files):
                continue
            one, other = map(read_result, files)
            shown = [difference(one, other, level) for level in LEVELS]
            lines.append(f"| {claim} | {title} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def difference(one: Result, other: Result, level: str) -> str:
    """Points of capped WER with their interval; a dash where a level was not needed."""
    ours, theirs = one.utterances.capped.get(level), other.utterances.capped.get(level)
    if ours is None or theirs is None:
        return "-"
    found = paired(*on_both(one, ours, other, theirs))
    return f"{found.points:+.1f} [{found.low:+.1f}, {found.high:+.1f}]" if found else "-"


if __name__ == "__main__":
    plainly(main)
