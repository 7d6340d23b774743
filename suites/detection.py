"""Detectors against attacks that know them and attacks that do not, on AN4.

    python suites/detection.py --train an4:an4/train

Thresholds are chosen on clean and noisy speech of the training speakers that ds2-an4's card lists
as held out. The test set is scored with these. Each detector meets all attacks that do not know it,
and the two that were made against it. What was heard and scored is kept in utterances.jsonl; where
it is there, nothing is measured again. Rows and audio are in --work.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import DATA, HOME, plainly
from level_sweep import held_out

from melmoat.analysis.detection import Scores, caught, score_run, separation
from melmoat.analysis.results import Result
from melmoat.bench.cell import Cell, grid
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store
from melmoat.evaluation import measure
from melmoat.metrics import detection
from melmoat.progress import Lines

PGD = "pgd:norm=snr,db={},steps=30"
PLAIN = {
    "untargeted, 20 dB": PGD.format(20),
    "targeted, 20 dB": PGD.format(20) + ",target=matched",
    "targeted, 30 dB": PGD.format(30) + ",target=matched",
}
ADAPTIVE = {f"adaptive {goal}": attack for goal, attack in PLAIN.items()}
LPC = "lpc:noise=0.5"
DETECTORS = {  # by what the tables call them
    "disagreement, LPC": f"disagreement:({LPC})",
    "likelihood, LPC": f"likelihood:({LPC})",
    "DistriBlock, mean entropy": "distriblock:measure=entropy",
}
# The evasion of likelihood is that of disagreement, so both meet the same audio.
KNOWN_AS = {"likelihood, LPC": "disagreement, LPC"}
BENIGN, NOISY = "none", "noise:norm=snr,db=20"
RATES = {"5 %": 0.05, "1 %": 0.01}
CHOSEN, TESTED, ATTACKED = 50, 40, 20  # utterances


def evading(name: str, attack: str) -> str:
    detector = DETECTORS[KNOWN_AS.get(name, name)]
    return f"evading:detector=({detector}),attack=({attack})"


def attacks_on(name: str) -> dict[str, str]:
    """The attacks that a detector meets, by column."""
    return PLAIN | {column: evading(name, attack) for column, attack in ADAPTIVE.items()}


class Bench:
    """Measures cells, scores their audio, and keeps a line an utterance of what came of it."""

    def __init__(self, work: Path, out: Path) -> None:
        self.work, self.kept = work, out / "utterances.jsonl"
        self.lines: dict[tuple[str, Cell, int], list[dict[str, Any]]] = {}
        out.mkdir(parents=True, exist_ok=True)
        if self.kept.is_file():
            for text in self.kept.read_text("utf-8").splitlines():
                line = json.loads(text)
                of = cell(line["attack"], line["data"])
                self.lines.setdefault((line["detector"], of, line["of"]), []).append(line)

    def of(self, name: str, one: Cell, limit: int) -> tuple[Result, Scores]:
        """The utterances of a cell, and their scores under a detector."""
        key = DETECTORS[name], one, limit
        if key not in self.lines:
            self.lines[key] = self.measured(*key)
            texts = [json.dumps(line, ensure_ascii=False) for line in self.lines[key]]
            with self.kept.open("a", encoding="utf-8") as file:
                file.write("".join(f"{text}\n" for text in texts))
        rows = {line["id"]: line for line in self.lines[key]}
        return Result(one, one.key, rows), {i: row["score"] for i, row in rows.items()}

    def measured(self, detector: str, one: Cell, limit: int) -> list[dict[str, Any]]:
        runner = Runner(Store(self.work), 10, limit, save_audio=True, choose="spread")
        lines = Lines(lambda line: print(line, file=sys.stderr, flush=True))
        run = measure(runner, [one], progress=lines)
        runner.require_whole([one])
        (result,) = run.results
        told = {"detector": detector, "attack": one.attack, "data": one.data, "of": limit}
        shown = ("id", "benign", "adversarial", "target", "reached", "snr_db")
        scores = score_run(self.work, [result], detector)[result.key]
        return [
            told | {key: row[key] for key in shown} | {"score": scores[i]}
            for i, row in result.rows.items()
        ]


def cell(attack: str, data: str) -> Cell:
    return grid(["ds2-an4"], ["none"], [attack], [data])[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=DATA)
    parser.add_argument("--train", default="an4:an4/train")
    parser.add_argument("--work", type=Path, default=HOME / "runs" / "detection")
    parser.add_argument("--out", type=Path, default=HOME / "results" / "detect")
    given = parser.parse_args()
    bench = Bench(given.work, given.out)
    train = held_out(given.train, "ds2-an4")
    found: dict[str, dict[str, Any]] = {}
    for name in DETECTORS:
        chosen = [bench.of(name, cell(a, train), CHOSEN)[1] for a in (BENIGN, NOISY)]
        tested = [bench.of(name, cell(a, given.data), TESTED)[1] for a in (BENIGN, NOISY)]
        faced = {
            column: bench.of(name, cell(attack, given.data), ATTACKED)
            for column, attack in attacks_on(name).items()
        }
        found[name] = figures(name, chosen, tested, faced)
        write(given.out, found)  # what is there so far


def figures(
    name: str,
    chosen: Sequence[Scores],
    tested: Sequence[Scores],
    faced: Mapping[str, tuple[Result, Scores]],
) -> dict[str, Any]:
    """A detector's thresholds, false alarms, and what it catches of each attack."""
    before = [value for one in chosen for value in one.values()]
    out: dict[str, Any] = {"spec": DETECTORS[name], "chosen on": len(before), "at": {}}
    for label, rate in RATES.items():
        limit = detection.threshold(before, rate)
        alarms = [[sum(v > limit for v in one.values()), len(one)] for one in tested]
        out["at"][label] = {"threshold": limit, "clean": alarms[0], "noisy": alarms[1]}
    out["attacks"] = {}
    for column, (result, scores) in faced.items():
        parted = separation(tested, result, scores)
        out["attacks"][column] = {
            "attack": result.cell.attack,
            "reached": sum(bool(row["reached"]) for row in result.rows.values()),
            "auc": None if parted is None else [parted.auc, parted.low, parted.high],
            "roc": [] if parted is None else parted.points,
            "at": {
                label: vars(caught(result, scores, at["threshold"]))
                for label, at in out["at"].items()
            },
        }
    return out


def write(out: Path, found: Mapping[str, Mapping[str, Any]]) -> None:
    (out / "detection.json").write_text(json.dumps(found, indent=1) + "\n")
    columns = [*PLAIN, *ADAPTIVE]
    save(out / "false_alarms.md", alarms_table(found))
    save(out / "auc.md", table("AUC", columns, found, area))
    save(out / "unseen.md", table("harmful and not suspect", columns, found, unseen))
    save(out / "caught.md", table("suspect", columns, found, parts))


def save(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(path.read_text())


def table(
    head: str, columns: Sequence[str], found: Mapping[str, Any], show: Callable[..., str]
) -> list[str]:
    lines = [f"| {head} | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    for name, of in found.items():
        cells = [show(of["attacks"][column], column) for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def area(attack: Mapping[str, Any], column: str) -> str:
    if attack["auc"] is None:
        return "-"
    return "{:.2f} [{:.2f}, {:.2f}]".format(*attack["auc"])


def unseen(attack: Mapping[str, Any], column: str) -> str:
    at = attack["at"]["5 %"]
    told = f"{at['harmful'] - at['harmful_caught']}/{at['n']}"
    untargeted = "untargeted" in column
    return told if untargeted else f"{told}, target {at['reached_unseen']}/{attack['reached']}"


def parts(attack: Mapping[str, Any], column: str) -> str:
    """Suspects of the harmful and of the harmless ones, at each rate of false alarms."""
    five, one = (attack["at"][label] for label in RATES)
    shown = [f"{five['harmful_caught']}, {one['harmful_caught']} of {five['harmful']}"]
    if five["harmless"]:
        shown.append(f"({five['harmless_caught']}, {one['harmless_caught']} of {five['harmless']})")
    return " ".join(shown)


def alarms_table(found: Mapping[str, Any]) -> list[str]:
    heads = [f"at {label}: threshold | clean | noisy" for label in RATES]
    lines = [f"| false alarms | {' | '.join(heads)} |", "|---" * (1 + 3 * len(RATES)) + "|"]
    for name, of in found.items():
        cells = [
            f"{at['threshold']:.3f} | {at['clean'][0]}/{at['clean'][1]} | "
            f"{at['noisy'][0]}/{at['noisy'][1]}"
            for at in of["at"].values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    plainly(main)
