"""Results of the standard, made by hand: consistent, so that a test breaks one thing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from melmoat.analysis.evidence import Finding
from melmoat.metrics.intervals import bootstrap, rate
from melmoat.standard.figures import Figures
from melmoat.standard.figures import half_of as half_point
from melmoat.standard.levels import in_order
from melmoat.standard.members import FULL, VERSION
from melmoat.standard.reading import CHECKS
from melmoat.standard.result import Cost, MemberLine, Result, Utterances
from melmoat.standard.verdict import verdict

DATA = "an4:an4/test"
WORDS = 4


def figures(level: str, errors: Sequence[float], lengths: Sequence[int]) -> Figures:
    found = rate(errors, lengths)
    nothing = dict.fromkeys(("capped_by_speaker", "substitutions", "deletions", "insertions"))
    nothing |= dict.fromkeys(("cer", "any_error", "empty", "runaway", "target_wer", "reached"))
    interval = bootstrap(errors, lengths)
    many: dict[str, Any] = {**nothing, "wer": found, "wer_interval": interval, "snr_db": 20.0}
    return Figures(
        level, len(errors), found, interval, worst_draw=found, by={"apgd": len(errors)}, **many
    )


def made(
    errors: Sequence[float],
    model: str = "ds2-an4",
    defense: str = "none",
    sign: str = "",
    still: str = "",
    data: str = DATA,
    draws: int = 1,
    at: Mapping[str, Sequence[float]] | None = None,
) -> Result:
    """A result with these errors of its utterances, of ``WORDS`` words each, at l2 20 dB; a quarter
    of them at 30 dB, none without an attack.

    Args:
        sign, still: the check that found a sign, or is open.
        at: errors at other levels, or others than these, by the name of the level.
    """
    n = len(errors)
    ids, lengths = tuple(f"u{i:02}" for i in range(n)), (WORDS,) * n
    capped = {level.name: tuple(e / 4 for e in errors) for level in FULL.levels}
    capped["clean"] = capped["l2 40 dB"] = (0.0,) * n
    capped["l2 20 dB"] = tuple(map(float, errors))
    capped |= {name: tuple(map(float, others)) for name, others in (at or {}).items()}
    levels = [lv for lv in in_order((*FULL.quiet, *FULL.levels)) if lv.name in capped]
    status = {sign: "sign", still: "open"}
    findings = tuple(
        Finding(check, status.get(check, "ok"), "what was found")  # type: ignore[arg-type]
        for check in sorted(CHECKS)
    )
    dbs = [level.db for level in levels if level.norm == "l2"]
    harm = np.array([capped[f"l2 {db:g} dB"] for db in dbs])
    return Result(
        version=VERSION,
        effort="full",
        model=model,
        defense=defense,
        data=data,
        seed=0,
        n=n,
        draws=draws,
        eot={},
        metric="WER",
        clean=figures("clean", capped["clean"], lengths),
        levels=tuple(figures(lv.name, capped[lv.name], lengths) for lv in levels),
        half=half_point(np.array(dbs), harm, np.array(lengths, dtype=float)),
        members=(MemberLine("l2 20 dB", "apgd", defense, "apgd:db=20", data, n, 12.5, n),),
        findings=findings,
        verdict=verdict(findings),
        needed=0,
        failures={},
        cost={name: Cost(100, 30, 1.5) for name in ids},
        utterances=Utterances(ids, None, lengths, capped),
        about={"revision": "0f3a"},
    )


def with_normaliser(result: Result, name: str) -> Result:
    """The same, with texts compared after a normaliser."""
    return replace(result, utterances=replace(result.utterances, normaliser=name))


def told(result: Result) -> dict[str, Any]:
    """As a file has it."""
    found: dict[str, Any] = json.loads(json.dumps(result.as_dict()))
    return found


STATEMENT = "label: {}\nsentence: It adds noise.\nlink: https://example.org/x\ntraining: {}\n"


def write_entry(
    folder: Path, name: str, result: Result, label: str = "", training: bool = False, more: str = ""
) -> None:
    """Both files of an entry, and the list of corpora."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(told(result)))
    said = STATEMENT.format(json.dumps(label or name), str(training).lower()) + more
    (folder / f"{name}.yaml").write_text(said)
    (folder / "corpora.yaml").write_text(f'"{DATA}": AN4 test\n"an4:an4/train": AN4 train\n')
