"""Attacking files and folders."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melmoat import audio
from melmoat.attacks import Attack
from melmoat.attacks.base import Targeted
from melmoat.bench.judge import judge
from melmoat.bench.store import write_text
from melmoat.data.folders import utf8
from melmoat.decoding import Channel
from melmoat.devices import CPU
from melmoat.draws import Draws, derive
from melmoat.errors import MelmoatError, spared
from melmoat.file_jobs import Job, failure_line
from melmoat.metrics.distortion import snr_db
from melmoat.models.base import Recognizer, as_written_by
from melmoat.models.domain import unlike

MANIFEST = "manifest.jsonl"
NAME = "audio_filepath"  # key of a line: its file, relative to the manifest


@dataclass(frozen=True)
class Attacked:
    """One file that was written.

    Attributes:
        before, after: what the system hears in the source, and in what was written.
        wanted: the transcript that the attacker wanted; None if untargeted.
        reached: whether ``after`` is what the attacker wanted.
        snr_db: of the perturbation; None where nothing was changed.
        seconds: that the attack took.
        unlike: whether the source is unlike what the recognizer knows.
    """

    source: Path
    target: Path
    before: str
    after: str
    wanted: str | None
    reached: bool
    snr_db: float | None
    queries: int | None
    seconds: float
    unlike: bool

    @property
    def size(self) -> str:
        """Whether the goal was reached, and how large the perturbation is."""
        size = "nothing was changed" if self.snr_db is None else f"SNR {self.snr_db:.1f} dB"
        return f"{'reached' if self.reached else 'not reached'}, {size}"


def attack_file(
    system: Recognizer,
    recognizer: Recognizer,
    attack: Attack,
    job: Job,
    seed: int = 0,
    text: str | None = None,
    tick: Callable[[float], None] = lambda amount: None,
    device: str = CPU,
    channel: Channel = "mix",
) -> Attacked:
    """Attack one file and write it, as :func:`melmoat.bench.judge.judge` judges it.

    Args:
        system: what is attacked, defense included.
        recognizer: what is in it, which knows what speech it knows.
        seed: with the job's name, it decides all random draws.
        text: what is said, for ``against=truth``.
        tick: gets the losses that were evaluated, in parts.

    Raises:
        MelmoatError: the file cannot be used, or the attack fails.
    """
    audio.check_target(job.target)
    recording = audio.read(job.source, system.rate, channel)
    clean = recording.audio.to(device)
    left = float(attack.evaluations)

    def count() -> None:
        nonlocal left
        left -= 1
        tick(1)

    truth = [as_written_by(system, text or "")]
    out = judge(system, clean, attack, truth, Draws([derive(seed, job.name)]), count)
    tick(max(left, 0.0))  # whatever an attack that ended early left
    audio.save(job.target, out.adversarial, recording.gain)
    snr = float(snr_db(out.clean, out.adversarial))
    return Attacked(
        job.source,
        job.target,
        out.benign[0],
        out.transcripts[0],
        out.goal.targets[0] if isinstance(out.goal, Targeted) else None,
        out.reached[0],
        round(snr, 2) if math.isfinite(snr) else None,
        out.queries[0],
        round(out.seconds, 3),
        unlike(recognizer, clean)[0],
    )


def attack_files(
    system: Recognizer,
    recognizer: Recognizer,
    attack: Attack,
    files: Sequence[Job],
    seed: int,
    tick: Callable[[float], None],
    device: str,
    channel: Channel,
    folder: Path,
    told: Mapping[str, Any],
) -> tuple[list[Attacked], list[str]]:
    """Attack every file; one that cannot be used does not stop the others.

    Args:
        files: what :func:`melmoat.file_jobs.jobs` found.
        folder: gets ``manifest.jsonl``, a JSON object a line: ``audio_filepath`` (relative to it),
            ``source``, and the fields of :class:`Attacked`. It is replaced after each file. Lines
            about other files, as of an earlier call, stay in it.
        told: what else each line says.

    Returns:
        What was written, and why the others failed.
    """
    written: list[Attacked] = []
    failed: list[str] = []
    earlier = _earlier(folder / MANIFEST)
    for job in files:
        why: list[str] = []
        with spared(why.append):
            job.target.parent.mkdir(parents=True, exist_ok=True)
            one = attack_file(system, recognizer, attack, job, seed, None, tick, device, channel)
            written.append(one)
            about = [_line(w, folder, told) for w in written]
            new = {line[NAME] for line in about}
            lines = [line for name, line in earlier if name not in new]
            lines += [json.dumps(line, ensure_ascii=False) for line in about]
            write_text(folder / MANIFEST, "".join(f"{line}\n" for line in lines))
        failed += [failure_line(job.source, reason) for reason in why]
    return written, failed


def _earlier(manifest: Path) -> list[tuple[str, str]]:
    """The lines that are in a manifest already, each with the file that it is about.

    Raises:
        MelmoatError: it cannot be read as one, so writing there would destroy something else.
    """
    if not manifest.exists():
        return []
    try:
        lines = [x for x in manifest.read_text(encoding="utf-8").split("\n") if x.strip()]
        return [(str(json.loads(line)[NAME]), line) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MelmoatError(
            f"{manifest}: not a manifest of attacked files ({error}), and it would be overwritten; "
            "move it away, or choose another target"
        ) from error


def _line(one: Attacked, folder: Path, told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        NAME: utf8(one.target.relative_to(folder).as_posix()),
        "source": utf8(one.source),
        "benign": one.before,
        "adversarial": one.after,
        "target": one.wanted,
        "reached": one.reached,
        "snr_db": one.snr_db,
        "queries": one.queries,
        "seconds": one.seconds,
        **told,
    }
