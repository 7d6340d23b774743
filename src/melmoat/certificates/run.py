"""Certifies a corpus, utterance by utterance, in a folder that keeps what is finished.

::

    certify.json         the settings, with versions, machine and code revision
    cells/<key>.jsonl    counts of each finished utterance
    certificates.json    the table: certificates, curve, failures
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

from lhotse import MonoCut

from melmoat import data as corpora
from melmoat.audio import Audio
from melmoat.bench.cell import Cell, grid
from melmoat.bench.judge import gain_db
from melmoat.bench.provenance import machine, revision, versions
from melmoat.bench.rows import Row
from melmoat.bench.store import Store, StoreError, locked, write_json
from melmoat.bench.worker import Choose, choose
from melmoat.certificates.centers import distances
from melmoat.certificates.plan import Plan
from melmoat.certificates.results import Certificate, Table, certificate, failed
from melmoat.certificates.sampling import Sampler, words_only
from melmoat.defenses import DEFENSES
from melmoat.devices import CPU, usable
from melmoat.draws import Draws, derive, secret
from melmoat.errors import MelmoatError, spared
from melmoat.metrics import word_edits
from melmoat.models import MODELS, Recognizer
from melmoat.models.base import as_written_by, transcribe
from melmoat.objects import hand
from melmoat.progress import Progress, silent
from melmoat.writing_systems import unspaced

SETTINGS = "certify.json"
RESULTS = "certificates.json"


def certify(
    model: str | Recognizer = "ds2-an4",
    defense: str = "none",
    data: str = "demo",
    *,
    out: str | Path,
    sigma: float,
    draws: int = 1000,
    center_draws: int = 0,
    confidence: float = 99.9,
    delta: float = 0.0,
    limit: int = 0,
    choose: Choose = "shuffled",
    seed: int | None = None,
    batch: int = 32,
    device: str = CPU,
    progress: Progress = silent,
) -> Table:
    """Certify a recognizer under white Gaussian noise of a fixed level, on a corpus.

    The same call continues one that was stopped. The first call fixes the settings of a folder.

    Args:
        model: its spec, or an object.
        defense: the spec of a part behind the noise, such as a denoiser.
        data: the corpus.
        out: folder for the results.
        sigma, draws, center_draws, confidence, delta: see :class:`melmoat.certificates.Plan`.
        limit, choose: which utterances, as in :func:`melmoat.evaluate`.
        seed: of all draws; if None, a fresh secret one, which ``certify.json`` keeps.
        batch: draws that are transcribed together.
        device: where the recognizer computes.
        progress: called as ``progress(done, total, what)``, in utterances.

    Raises:
        MelmoatError: a setting is wrong or differs from the folder's, or the corpus has no words.
    """
    spec = model if isinstance(model, str) else hand(MODELS, model)
    (cell,) = grid([spec], [defense], ["none"], [data])
    cuts = _cuts(cell, limit, choose)
    plan = Plan(sigma, draws, len(cuts), confidence, center_draws, delta)
    usable(device)
    store = Store(Path(out))
    with locked(store.folder / ".lock", f"another process certifies in {store.folder}"):
        seed = _begin(store, cell, cuts, plan, seed, device)
        return _Run(store, cell, cuts, plan, seed, batch, device).finish(progress)


def _cuts(cell: Cell, limit: int, how: Choose) -> list[MonoCut]:
    """The chosen utterances.

    Raises:
        MelmoatError: there is none, or they have no words.
    """
    chosen = choose(list(corpora.listed(cell.data)), limit, how)
    if not chosen:
        raise MelmoatError(f"{cell.data} has no utterances")
    if unspaced(*map(corpora.written, chosen)):
        raise MelmoatError(
            f"{cell.data}: certificates count words, and its script has no spaces between them"
        )
    return chosen


def _begin(
    store: Store, cell: Cell, cuts: Sequence[MonoCut], plan: Plan, seed: int | None, device: str
) -> int:
    """Write the settings, or check that they are those of the folder. Returns the seed."""
    path = store.folder / SETTINGS
    asked: dict[str, Any] = {
        "model": cell.model,
        "defense": cell.defense,
        "data": cell.data,
        "key": cell.key,
        "plan": asdict(plan),
        "utterances": [cut.id for cut in cuts],
    }
    if path.exists():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            kept = int(known["seed"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}: not settings of this melmoat ({error})") from error
        asked |= {"seed": kept if seed is None else seed}
        if other := [name for name, value in asked.items() if known.get(name) != value]:
            raise MelmoatError(
                f"{store.folder} holds a run with another {', '.join(other)}: its confidence is "
                "that of one table with fixed settings. Give the same ones, or another --out"
            )
        return kept
    seed = secret() if seed is None else seed
    where = {"versions": versions(), "machine": machine(device), "revision": revision()}
    write_json(path, {**asked, "seed": seed, **where})
    return seed


class _Run:
    """One folder's work."""

    def __init__(
        self,
        store: Store,
        cell: Cell,
        cuts: Sequence[MonoCut],
        plan: Plan,
        seed: int,
        batch: int,
        device: str,
    ) -> None:
        self.store, self.cell, self.cuts, self.plan = store, cell, cuts, plan
        self.seed, self.batch, self.device = seed, batch, device
        self.key = f"certify-{cell.key}"  # not that of a bench in the same folder
        self.model = DEFENSES.build(cell.defense).wrap(MODELS.build(cell.model))

    def finish(self, progress: Progress) -> Table:
        """Measure what is missing, and write the table."""
        rows: dict[str, Mapping[str, Any]] = {r["id"]: r for r in self.store.rows_of(self.key)}
        failures: dict[str, str] = {}
        for place, cut in enumerate(self.cuts):
            progress(place, len(self.cuts), cut.id)
            if cut.id in rows:
                continue
            with spared(partial(failures.__setitem__, cut.id)):
                rows[cut.id] = self.measure(cut, partial(self._tell, progress, place, cut.id))
            if cut.id in rows:
                self.store.append_of(self.key, [cast(Row, rows[cut.id])])
        progress(len(self.cuts), len(self.cuts), "done")
        certificates = [self._certificate(cut, rows.get(cut.id)) for cut in self.cuts]
        asked = {name: getattr(self.cell, name) for name in ("model", "defense", "data")}
        table = Table(self.plan, certificates, asked, failures)
        write_json(self.store.folder / RESULTS, table.as_dict())
        return table

    def _tell(self, progress: Progress, place: int, name: str, part: float) -> None:
        progress(place + part, len(self.cuts), name)

    def measure(self, cut: MonoCut, tick: Callable[[float], None]) -> dict[str, Any]:
        """Counts of one utterance. Everything else is computed from them and the plan."""
        began = time.perf_counter()
        reference = self._reference(cut)
        recording = corpora.recording(cut, self.model.rate)
        audio = recording.audio.quantized()
        seed = derive(self.seed, self.cell.key, cut.id)
        done, total = 0, 2 * self.plan.center_draws + self.plan.draws

        def count(drawn: int) -> None:
            nonlocal done
            done += drawn
            tick(done / total)

        sampler = Sampler(
            self.model, audio.wav[0], self.plan.sigma, seed, self.batch, self.device, count
        )
        center, vote = sampler.smooth(self.plan)
        certifying = sampler("certify", self.plan.draws)
        benign = self._once(audio, seed)
        texts = {"benign": benign, "vote": vote, "center": center.transcript}
        errors = {name: word_edits(reference, text)[0] for name, text in texts.items()}
        row = {
            "id": cut.id,
            "reference": reference,
            **texts,
            "counts": {"words": len(reference.split()), **errors},
            "vote_hits": certifying[vote],
            "center_radius": center.radius,
            "center_share": center.share,
            "distances": distances(center.transcript, certifying),
            "samples": int(audio.lengths[0]),
            "level": float(audio.centred.double().norm()),
            "seconds": round(time.perf_counter() - began, 3),
            "revision": revision(),
        }
        return row if recording.gain == 1 else {**row, "gain_db": gain_db(recording.gain)}

    def _once(self, audio: Audio, seed: int) -> str:
        """One pass over the clean audio, without noise."""
        heard = transcribe(self.model, audio.to(self.device), Draws([derive(seed, "benign")]))
        return words_only(self.model, heard[0])

    def _reference(self, cut: MonoCut) -> str:
        return words_only(self.model, as_written_by(self.model, corpora.written(cut)))

    def _certificate(self, cut: MonoCut, row: Mapping[str, Any] | None) -> Certificate:
        if row is None:
            return failed(cut.id, len(self._reference(cut).split()))
        return certificate(row, self.plan)
