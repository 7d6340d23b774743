"""Runs cells: the attack proposes, the runner judges.

The judge rounds to 16 bits, checks the budget, transcribes with draws that the attacker never saw,
and measures errors and distortion itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from lhotse import MonoCut

from melmoat import attacks, data, defenses, models
from melmoat.attacks.base import Attack, Goal, Targeted
from melmoat.attacks.budgets import to_pcm16
from melmoat.audio import Audio, AudioError
from melmoat.audio import save as save_audio
from melmoat.bench.cell import Cell
from melmoat.bench.store import Row, Store, StoreError, writing
from melmoat.defenses import Defense, FrontEnd
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.memory import keep_freed_memory
from melmoat.metrics import distortion
from melmoat.metrics.errors import char_edits, word_edits
from melmoat.models.base import Recognizer
from melmoat.models.wrappers import Watched

Tick = Callable[[float], None]


class JudgeError(MelmoatError):
    """An attack broke its own rules: budget, lengths or rate. A defect of the attack."""


@dataclass(frozen=True)
class Outcome:
    """A batch, attacked and judged. Lists have one entry an utterance."""

    clean: Audio
    adversarial: Audio
    benign: list[str]
    transcripts: list[str]
    goal: Goal
    reached: list[bool]
    seconds: float


def judge(
    model: Recognizer,
    audio: Audio,
    attack: Attack,
    truth: Sequence[str],
    draws: Draws,
    tick: Callable[[], None] = lambda: None,
) -> Outcome:
    """Attack ``audio`` against ``model`` and measure what comes of it.

    Args:
        model: the whole system under attack, defense included.
        truth: what was said.
        tick: called at each loss that the attack evaluates.

    Raises:
        JudgeError: the attack left its budget or changed lengths or rate.
    """
    clean = audio.quantized()
    benign = model.transcribe(clean, draws.fork("benign"))
    goal = attack.goal(benign, truth)
    began = time.perf_counter()
    proposed = attack(Watched(model, tick), clean, goal, draws.fork("attack"))
    seconds = time.perf_counter() - began
    if proposed.rate != clean.rate or not torch.equal(proposed.lengths, clean.lengths):
        raise JudgeError("the attack changed an utterance's length or the rate")
    if not torch.isfinite(proposed.wav).all():
        raise JudgeError("the attack's audio holds NaN or Inf")
    budget = attack.budget
    if budget is None:
        adversarial = proposed.quantized()
    else:
        adversarial = to_pcm16(proposed.wav - clean.wav, clean, budget)
        used = budget.norm(adversarial.wav - clean.wav) / budget.radius(clean).clamp(min=1e-12)
        if bool((used > 1.0001).any()):
            raise JudgeError(f"the attack used {float(used.max()):.4f} times its budget")
    transcripts = model.transcribe(adversarial, draws.fork("judge"))
    reached = goal.reached(transcripts)
    return Outcome(clean, adversarial, benign, transcripts, goal, reached, seconds)


def rows_of(names: Sequence[str], truth: Sequence[str], attack: Attack, out: Outcome) -> list[Row]:
    """One row an utterance, as the run's folder keeps it."""
    snr = distortion.snr_db(out.clean, out.adversarial).tolist()
    linf = distortion.linf(out.clean, out.adversarial).tolist()
    l2 = distortion.l2(out.clean, out.adversarial).tolist()
    targets = out.goal.targets if isinstance(out.goal, Targeted) else [None] * len(names)
    rows = []
    for i, (name, reference, target) in enumerate(zip(names, truth, targets, strict=True)):
        heard, benign = out.transcripts[i], out.benign[i]
        rows.append(
            {
                "id": name,
                "reference": reference,
                "benign": benign,
                "adversarial": heard,
                "target": target,
                "counts": {
                    "benign": _counts(reference, benign),
                    "adversarial": _counts(reference, heard),
                    "target": None if target is None else _counts(target, heard),
                },
                "reached": out.reached[i],
                "snr_db": snr[i] if math.isfinite(snr[i]) else None,
                "linf": linf[i],
                "l2": l2[i],
                "steps": attack.evaluations,
                "seconds": round(out.seconds / len(names), 4),
            }
        )
    return rows


def _counts(reference: str, hypothesis: str) -> dict[str, tuple[int, int]]:
    return {"words": word_edits(reference, hypothesis), "chars": char_edits(reference, hypothesis)}


def choose(cuts: Sequence[MonoCut], limit: int) -> list[MonoCut]:
    """``limit`` cuts spread evenly over the corpus, so over its speakers; all for 0."""
    if not limit or limit >= len(cuts):
        return list(cuts)
    return [cuts[i * len(cuts) // limit] for i in range(limit)]


def plan(cuts: Sequence[MonoCut], batch: int, seconds: float = 0) -> list[list[MonoCut]]:
    """Batches of similar length, longest first, so that memory runs out at once or never.

    Args:
        batch: most utterances of a batch.
        seconds: most audio of a batch, padding included; a longer utterance goes alone. 0: no
            bound.
    """
    batches: list[list[MonoCut]] = []
    for cut in sorted(cuts, key=lambda cut: (-cut.duration, cut.id)):
        last = batches[-1] if batches else []
        fits = not seconds or (bool(last) and (len(last) + 1) * last[0].duration <= seconds)
        if last and len(last) < batch and fits:
            last.append(cut)
        else:
            batches.append([cut])
    return batches


@dataclass
class Runner:
    """Runs cells in this process, one batch at a time, and writes each batch when it is done.

    Where a batch fails, its utterances are tried one by one; what fails alone is noted in the
    store and the run goes on.

    Args:
        store: where rows go; rows that are there already are not computed again.
        batch: utterances attacked together.
        limit: utterances of each corpus, spread evenly over it; 0 for all.
        save_audio: keep clean, adversarial and defended audio as FLAC.
        seconds: most audio of a batch, padding included; 0 for no bound.
    """

    store: Store
    batch: int = 8
    limit: int = 0
    save_audio: bool = False
    seconds: float = 0

    def __post_init__(self) -> None:
        self._corpora: dict[str, list[MonoCut]] = {}

    def cuts(self, cell: Cell) -> list[MonoCut]:
        """The utterances of ``cell``."""
        if cell.data not in self._corpora:
            self._corpora[cell.data] = choose(list(data.load(cell.data)), self.limit)
        return self._corpora[cell.data]

    def run(self, cells: Iterable[Cell], tick: Callable[[Cell, float], None]) -> None:
        """Run what is missing of ``cells``; ``tick(cell, utterances)`` reports progress.

        Raises:
            StoreError: the folder cannot be written, or another process measures one of the cells.
        """
        keep_freed_memory()
        recognizers = lru_cache(maxsize=4)(models.load)
        for cell in cells:
            with self.store.claimed(cell):
                done = {row["id"] for row in self.store.rows(cell)}
                defense = defenses.build(cell.defense)
                attack = attacks.build(cell.attack)
                model = defense.wrap(recognizers(cell.model))
                one = partial(self._one, cell, model, defense, attack)
                for batch in plan(self.cuts(cell), self.batch, self.seconds):
                    missing = [cut for cut in batch if cut.id not in done]
                    if missing:
                        self._finish(cell, one, batch, missing, partial(tick, cell))
                    else:
                        tick(cell, len(batch))

    def _finish(
        self,
        cell: Cell,
        one: Callable[[Sequence[MonoCut], Tick], list[Row]],
        batch: Sequence[MonoCut],
        missing: Sequence[MonoCut],
        tick: Tick,
    ) -> None:
        """Write the rows of ``missing``, from the whole batch or, where that fails, one by one."""
        wanted = {cut.id for cut in missing}
        ticked = 0.0

        def count(amount: float) -> None:
            nonlocal ticked
            ticked += amount
            tick(amount)

        try:
            rows = one(batch, count)
        except StoreError:
            raise
        except Exception as error:
            tick(len(batch) - ticked)
            if len(batch) == 1:
                self.store.fail(cell, batch[0].id, error)
                return
            for cut in missing:
                self._finish(cell, one, [cut], [cut], lambda amount: None)
            return
        self.store.append(cell, [row for row in rows if row["id"] in wanted])

    def _one(
        self,
        cell: Cell,
        model: Recognizer,
        defense: Defense,
        attack: Attack,
        batch: Sequence[MonoCut],
        tick: Tick,
    ) -> list[Row]:
        """Attack and judge ``batch``; ``tick`` gets its utterances, in parts."""
        names = [cut.id for cut in batch]
        truth = [cut.supervisions[0].text or "" for cut in batch]
        draws = Draws(cell.seed_of(name) for name in names)
        share = len(batch) / (attack.evaluations + 1)
        audio = data.read(batch, model.rate)
        out = judge(model, audio, attack, truth, draws, lambda: tick(share))
        if self.save_audio:
            self._save(cell, names, out, defense, draws)
        tick(share)
        return rows_of(names, truth, attack, out)

    def _save(
        self, cell: Cell, names: Sequence[str], out: Outcome, defense: Defense, draws: Draws
    ) -> None:
        folder = self.store.folder / "audio" / cell.key
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        kinds = {"clean": out.clean, "adversarial": out.adversarial}
        if isinstance(defense, FrontEnd):
            with torch.no_grad():
                kinds["defended"] = defense(out.adversarial, draws.fork("listen"))
        for kind, audio in kinds.items():
            for name, wave in zip(names, audio, strict=True):
                try:
                    save_audio(_flat(folder, name, kind), Audio.of([wave], audio.rate))
                except AudioError as error:  # the folder's fault, not the utterance's
                    raise StoreError(str(error)) from error


def _flat(folder: Path, name: str, kind: str) -> Path:
    """An utterance's file; ids with slashes stay in the folder."""
    return folder / f"{name.replace('/', '_')}.{kind}.flac"
