"""Passes files and folders through a front-end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from melmoat import audio
from melmoat.audio import AudioError
from melmoat.data.folders import FolderContents, find, passed_over, shown, utf8
from melmoat.decoding import Channel
from melmoat.defenses.base import FrontEnd, apply
from melmoat.devices import CPU
from melmoat.draws import Draws, derive, secret
from melmoat.errors import spared


@dataclass
class JobsSummary:
    """The result of a call."""

    files: int = 0
    seconds: float = 0.0  # of audio
    spent: float = 0.0  # in the front-end
    failed: list[str] = field(default_factory=list)  # the reason of each failure

    @property
    def real_time_factor(self) -> float:
        """Seconds of work per second of audio."""
        return self.spent / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Job:
    """One file to read, one to write, and the name that its random numbers derive from."""

    source: Path
    target: Path
    name: str


def jobs(
    sources: Sequence[Path], target: Path, folders: Sequence[FolderContents] | None = None
) -> list[Job]:
    """The files to process.

    One file goes to ``target`` itself if ``target`` has a suffix. Otherwise ``target`` is a folder,
    and files keep their names in it, and files of folders also their subfolders. If a format cannot
    be written, FLAC is used: ``b.ogg`` becomes ``b.flac``, or ``b.ogg.flac`` if that name is taken.

    Args:
        folders: the result of :func:`melmoat.data.folders.find` for each source; computed if None.

    Raises:
        AudioError: there is no audio, two sources have the same target, a source would be
            overwritten, or the target is inside a source folder.
    """
    folders = [find(source) for source in sources] if folders is None else folders
    if not any(contents.files for contents in folders):
        reasons = [
            failure_line(path, why) for contents in folders for path, why in contents.failed.items()
        ]
        reasons += [f"{source}: no audio files in it" for source in sources if source.is_dir()]
        raise AudioError("\n".join([*reasons, *passed_over(folders)]))
    if len(sources) == 1 and sources[0].is_file() and target.suffix and not target.is_dir():
        audio.check_target(target)
        made = [Job(sources[0], target, utf8(sources[0].name))]
    else:
        made = _into(target, sources, folders)
    read = {job.source.resolve() for job in made}
    taken: dict[Path, Path] = {}
    for job in made:
        if job.target in taken:
            raise AudioError(f"{taken[job.target]} and {job.source} would both become {job.target}")
        if job.target.resolve() in read:
            raise AudioError(f"{job.target} would be overwritten; choose another target")
        taken[job.target] = job.source
    return made


def _into(target: Path, sources: Sequence[Path], folders: Sequence[FolderContents]) -> list[Job]:
    """Jobs for a folder."""
    names: list[tuple[Path, Path]] = []
    for source, contents in zip(sources, folders, strict=True):
        if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
            raise AudioError(f"{target} lies in {source}; choose a target outside of it")
        base = source if source.is_dir() else source.parent
        names += [(file, file.relative_to(base)) for file in contents.files]
    wanted = Counter(_writable(name) for _, name in names)
    return [
        Job(
            file,
            target / (_writable(name) if wanted[_writable(name)] == 1 else _longer(name)),
            utf8(name.as_posix()),
        )
        for file, name in names
    ]


def failure_line(source: Path, error: Exception | str) -> str:
    """An error message that names the file."""
    reason = str(error)
    return reason if str(source) in reason else f"{shown(source)}: {reason}"


def _writable(path: Path) -> Path:
    return path if path.suffix.lower() in (".wav", ".flac") else path.with_suffix(".flac")


def _longer(path: Path) -> Path:
    """The path with its old suffix kept, so that ``b.ogg`` and ``b.mp3`` have different targets."""
    return path if _writable(path) == path else path.with_name(f"{path.name}.flac")


def defend_files(
    front_end: FrontEnd,
    files: Sequence[Job],
    seed: int | None = None,
    tick: Callable[[], None] = lambda: None,
    device: str = CPU,
    channel: Channel = "mix",
) -> JobsSummary:
    """Pass every file through ``front_end``. A file that fails does not stop the others.

    Args:
        files: the result of :func:`jobs`. Audio is converted to 16 kHz mono.
        seed: with a job's name, it determines the random numbers of the file. If None, a fresh
            secret seed is used.
        tick: called after each file.
        device: device to compute on, such as ``cuda``.
        channel: channel of each file; ``mix`` is the mean of all.
    """
    passed, seed = JobsSummary(), secret() if seed is None else seed
    for job in files:
        why: list[str] = []
        with spared(why.append):
            job.target.parent.mkdir(parents=True, exist_ok=True)
            audio.check_target(job.target)
            recording = audio.read(job.source, channel=channel)
            clean = recording.audio
            began = time.perf_counter()
            defended = apply(front_end, clean.to(device), Draws([derive(seed, job.name)]))
            passed.spent += time.perf_counter() - began
            audio.save(job.target, defended, recording.gain)
            passed.seconds += float(clean.seconds)
            passed.files += 1
        passed.failed += [failure_line(job.source, reason) for reason in why]
        tick()
    return passed
