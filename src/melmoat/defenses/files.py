"""Passing files and folders through a front-end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from melmoat import audio
from melmoat.audio import AudioError
from melmoat.decoding import Channel
from melmoat.defenses.base import FrontEnd, through
from melmoat.devices import CPU
from melmoat.draws import Draws, derive, secret
from melmoat.errors import MelmoatError

SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au"}


@dataclass
class Passed:
    """What came of it."""

    files: int = 0
    seconds: float = 0.0  # of audio
    spent: float = 0.0  # in the front-end
    failed: list[str] = field(default_factory=list)  # why each file failed that did

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for a second of audio."""
        return self.spent / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Job:
    """One file to read, one to write, and the name that decides what is drawn for it."""

    source: Path
    target: Path
    name: str


def jobs(sources: Sequence[Path], target: Path) -> list[Job]:
    """What is to be done.

    One file goes to ``target`` itself if that has a suffix. Otherwise ``target`` is a folder: files
    lie in it under their own names, folders' files as they lay there, as FLAC where their own
    format cannot be written.

    Raises:
        AudioError: a source that does not exist, a folder without audio, two sources for one
            target, a source that would be overwritten, or a target inside a folder of sources.
    """
    for source in sources:
        if not source.exists():
            raise AudioError(f"{source}: no such file or folder")
    if len(sources) == 1 and sources[0].is_file() and target.suffix and not target.is_dir():
        audio.check_target(target)
        found = [Job(sources[0], target, sources[0].name)]
    else:
        found = []
        for source in sources:
            if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
                raise AudioError(f"{target} lies in {source}; choose a target outside of it")
            files = audio_files(source)
            base = source if source.is_dir() else source.parent
            names = [file.relative_to(base) for file in files]
            found += [
                Job(file, _writable(target / name), name.as_posix())
                for file, name in zip(files, names, strict=True)
            ]
    read = {job.source.resolve() for job in found}
    taken: dict[Path, Path] = {}
    for job in found:
        if job.target in taken:
            raise AudioError(f"{taken[job.target]} and {job.source} would both become {job.target}")
        if job.target.resolve() in read:
            raise AudioError(f"{job.target} would be overwritten; choose another target")
        taken[job.target] = job.source
    return found


def audio_files(source: Path) -> list[Path]:
    """The audio files of a folder and those in it, sorted; of anything else, itself.

    Raises:
        AudioError: a folder without audio.
    """
    if not source.is_dir():
        return [source]
    files = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise AudioError(f"{source}: no audio files in it ({', '.join(sorted(SUFFIXES))})")
    return files


def named(source: Path, error: Exception) -> str:
    """An error in words that name the file it is about."""
    reason = str(error)
    return reason if str(source) in reason else f"{source}: {reason}"


def _writable(path: Path) -> Path:
    return path if path.suffix.lower() in (".wav", ".flac") else path.with_suffix(".flac")


def defend_files(
    front_end: FrontEnd,
    files: Sequence[Job],
    seed: int | None = None,
    tick: Callable[[], None] = lambda: None,
    device: str = CPU,
    channel: Channel = "mix",
) -> Passed:
    """Pass every file through ``front_end``; one that cannot be used does not stop the others.

    Args:
        files: what :func:`jobs` found. Audio is brought to 16 kHz mono.
        seed: with a job's name, it decides what is drawn for that file; None: nobody knows it.
        tick: called after each file.
        device: where it is computed, such as ``cuda``.
        channel: which one of each file; ``mix`` is the mean of all.
    """
    passed, seed = Passed(), secret() if seed is None else seed
    for job in files:
        try:
            job.target.parent.mkdir(parents=True, exist_ok=True)
            audio.check_target(job.target)
            recording = audio.read(job.source, channel=channel)
            clean = recording.audio
            began = time.perf_counter()
            heard = through(front_end, clean.to(device), Draws([derive(seed, job.name)]))
            passed.spent += time.perf_counter() - began
            audio.save(job.target, heard, recording.gain)
            passed.seconds += float(clean.seconds)
            passed.files += 1
        except (MelmoatError, OSError, RuntimeError) as error:  # such as no memory on a device
            passed.failed.append(named(job.source, error))
        tick()
    return passed
