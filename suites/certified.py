"""Certificates on real speech, and attacks inside them, which must change nothing.

    python suites/certified.py --data "an4:an4/test,longest=1.6"

Short utterances, as of commands, with a recognizer that knows noise, under two levels of it. Each
certificate is then attacked by AutoPGD over draws of the same noise, a little inside its radius;
and, to see whether such an attack can do anything, far beyond it. What is finished is kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lab import HOME, plainly
from rapidfuzz.distance import Levenshtein

from melmoat import attacks, data, defenses, models
from melmoat.audio import Audio
from melmoat.certificates import Certificate, Plan, Table, certify
from melmoat.certificates.bounds import clopper_pearson
from melmoat.certificates.sampling import Sampler
from melmoat.draws import Draws, derive, secret
from melmoat.errors import MelmoatError
from melmoat.models.base import Recognizer
from melmoat.progress import Lines
from melmoat.report.certified import at_least, at_most

MODEL = "ds2-an4-noise"
SIGMAS = (0.005, 0.015)
DRAWS = 250
LIMIT = 12
INSIDE, BEYOND = 0.95, 8.0  # times the radius
SURE = 0.001  # error of one judgment that the vote has changed
ATTACK = "apgd:norm=l2,eps={eps},steps=50,eot=4,keep=errors"
OUT = HOME / "results" / "certified"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    runs = [run(sigma, given.data) for sigma in SIGMAS]
    (OUT / "certified.md").write_text(curve(runs), "utf-8")
    (OUT / "attacked.md").write_text(attacked(runs), "utf-8")


@dataclass(frozen=True)
class Run:
    """The certificates at one sigma, and what attacks did: by radius, then by utterance."""

    table: Table
    tried: dict[str, dict[str, dict[str, Any]]]


def run(sigma: float, corpus: str) -> Run:
    """Certify and attack, where it is not done yet."""
    folder = OUT / f"sigma-{sigma:g}"
    table = certify(
        MODEL,
        data=corpus,
        out=folder,
        sigma=sigma,
        draws=DRAWS,
        limit=LIMIT,
        progress=Lines(print),
    )
    cuts = {cut.id: cut for cut in data.load(corpus)}
    attacker = Attacker(models.load(MODEL), table.plan)
    path = folder / "attacked.json"
    asked = {"attack": ATTACK, "draws": DRAWS, "inside": INSIDE, "beyond": BEYOND}
    kept = json.loads(path.read_text("utf-8")) if path.exists() else {"asked": asked, "tried": {}}
    if kept["asked"] != asked:
        raise MelmoatError(f"{path} is of other settings: {kept['asked']}; remove it")
    tried: dict[str, dict[str, dict[str, Any]]] = kept["tried"]
    for name, share in (("inside", INSIDE), ("beyond", BEYOND)):
        for one in table.certificates:
            if one.id in tried.setdefault(name, {}):
                continue
            audio = data.read([cuts[one.id]]).quantized()
            tried[name][one.id] = attacker.tried(audio, one, share)
            path.write_text(f"{json.dumps(kept, indent=1)}\n", "utf-8")
            print(name, one.id, tried[name][one.id], flush=True)
    return Run(table, tried)


@dataclass(frozen=True)
class Attacker:
    """Attacks the smoothed systems of a recognizer, and judges what it made by fresh draws."""

    model: Recognizer
    plan: Plan

    def tried(self, audio: Audio, one: Certificate, share: float) -> dict[str, dict[str, Any]]:
        """What attacks at ``share`` of its radii did to each system that has a certificate."""
        found = {}
        if one.vote is not None:
            drawn, found["vote"] = self._attacked(audio, one.vote, share * one.vote_radius)
            found["vote"] |= self._vote(drawn, one.vote)
        if one.center is not None and one.center_steps:
            most, radius = one.center_steps[0]
            drawn, found["center"] = self._attacked(audio, one.center, share * radius)
            found["center"] |= self._center(drawn, one.center, most)
        return found

    def _attacked(self, audio: Audio, text: str, eps: float) -> tuple[Sampler, dict[str, Any]]:
        """Draws of the attacked audio, and what is known of it."""
        noisy = defenses.build(f"wgn:sigma={self.plan.sigma:g}").wrap(self.model)
        attack, seed = attacks.build(ATTACK.format(eps=eps)), secret()
        goal = attack.goal([text], [text], lambda: [text])
        made = attack(noisy, audio, goal, Draws([derive(seed, "attack")])).wav
        norm = float((made - audio.wav).double().norm())
        sampler = Sampler(self.model, made[0], self.plan.sigma, derive(seed, "judge"))
        return sampler, {"eps": eps, "norm": norm, "certified": text}

    def _vote(self, sampler: Sampler, text: str) -> dict[str, Any]:
        """The certificate says that ``text`` has more than half of the probability."""
        drawn = sampler("vote", DRAWS)
        heard = min(drawn, key=lambda one: (-drawn[one], one))
        false = clopper_pearson(DRAWS - drawn[text], DRAWS, SURE) >= 0.5
        return {"heard": heard, "share": drawn[text] / DRAWS, "false": false}

    def _center(self, sampler: Sampler, text: str, most: int) -> dict[str, Any]:
        """The certificate says that a center is at most ``most`` words from ``text``."""
        center, _ = sampler.smooth(self.plan)
        if center.abstains(self.plan):
            return {"heard": None, "false": False}
        moved = Levenshtein.distance(text.split(), center.transcript.split())
        return {"heard": center.transcript, "moved": moved, "most": most, "false": moved > most}


def curve(runs: Sequence[Run]) -> str:
    """What is certified at some radii."""
    rows = [
        "| sigma | l2 up to | SNR dB | vote right % | vote WER % | center WER % |",
        "|---|---|---|---|---|---|",
    ]
    for one in runs:
        t = one.table
        for radius in t.radii:
            snr = t.snr_db(radius)
            cells = [f"{t.plan.sigma:g}", f"{radius:.4g}", "" if snr is None else f"{snr:.1f}"]
            cells.append(at_least(t.certified_right(radius), 0))
            cells += [at_most(t.certified_wer(kind, radius), 0) for kind in ("vote", "center")]
            rows.append(f"| {' | '.join(cells)} |")
    heads = [
        "",
        "| sigma | one pass, clean WER % | vote | center | vote abstained | center abstained |",
        "|---|---|---|---|---|---|",
    ]
    for one in runs:
        t, n = one.table, len(one.table.certificates)
        cells = [f"{t.plan.sigma:g}", *(f"{t.wer(k):.0f}" for k in ("benign", "vote", "center"))]
        cells += [f"{t.abstentions(kind)} of {n}" for kind in ("vote", "center")]
        heads.append(f"| {' | '.join(cells)} |")
    return "\n".join([*rows, *heads]) + "\n"


def attacked(runs: Sequence[Run]) -> str:
    """How often an attack changed what was certified, and by more than the certificate allows.

    A center that may move by as many words as it has cannot be found false by its words.
    """
    head = "| sigma | system | attack | certificates | changed | abstained | more than allowed |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    for one in runs:
        for system in ("vote", "center"):
            for name, share in (("inside", INSIDE), ("beyond", BEYOND)):
                found = [e[system] for e in one.tried[name].values() if system in e]
                changed = sum(r["heard"] not in (r["certified"], None) for r in found)
                silent = "-"
                if system == "center":
                    found = [r for r in found if r.get("most", 0) < len(r["certified"].split())]
                    changed = sum(r["heard"] not in (r["certified"], None) for r in found)
                    silent = str(sum(r["heard"] is None for r in found))
                more = sum(r["false"] for r in found)
                where = f"{one.table.plan.sigma:g} | {system} | {share:g} times the radius"
                rows.append(f"| {where} | {len(found)} | {changed} | {silent} | {more} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    plainly(main)
