"""Embeds the saved audio of a run in a page: players and spectrograms."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from melmoat.analysis.results import Result
from melmoat.audio import Audio, load
from melmoat.bench import audio_store
from melmoat.errors import MelmoatError
from melmoat.vocoders.mel import LAB_MEL, MelSpec

DECADES = 4.0  # range of magnitude in a spectrogram
# Dark violet to pale yellow, with evenly rising lightness.
_COLORS = (
    (0, 0, 4),
    (59, 15, 112),
    (140, 41, 129),
    (222, 73, 104),
    (254, 159, 109),
    (252, 253, 191),
)


@dataclass(frozen=True)
class Clip:
    """One player: its sound and its picture, as data URIs."""

    kind: str
    audio: str
    picture: str
    seconds: float


@dataclass(frozen=True)
class Players:
    """The players of one utterance of one cell. ``gain_db`` is the gain of the player that plays
    the perturbation alone."""

    result: Result
    utterance: str
    clips: tuple[Clip, ...]
    gain_db: float | None


def saved_audio(
    folder: Path, results: Sequence[Result]
) -> list[tuple[Result, str, dict[str, Path]]]:
    """Audio files of a run: the first utterance of each cell, then the second ones, and so on."""
    clips = []
    for order, result in enumerate(results):
        home = audio_store.home(folder, result.key)
        for number, name in enumerate(sorted(result.rows)):
            paths = {kind: audio_store.find(home, name, kind) for kind in audio_store.KINDS}
            files = {kind: path for kind, path in paths.items() if path is not None}
            if files:
                clips.append((number, order, (result, name, files)))
    return [what for *_, what in sorted(clips, key=lambda item: item[:2])]


def listen(folder: Path, results: Sequence[Result], megabytes: float) -> tuple[list[Players], int]:
    """Embed what fits.

    Args:
        megabytes: total size limit of the data URIs.

    Returns:
        The players, cell by cell, and the number of utterances with audio that were left out.
    """
    files = saved_audio(folder, results)
    taken: list[Players] = []
    room = megabytes * 1e6
    for result, name, paths in files:
        players = _players(result, name, paths)
        if players is None:
            continue
        size = sum(len(clip.audio) + len(clip.picture) for clip in players.clips)
        if size > room:
            break
        room -= size
        taken.append(players)
    order = {result.key: i for i, result in enumerate(results)}
    taken.sort(key=lambda h: order[h.result.key])
    return taken, len(files) - len(taken)


def _players(result: Result, name: str, paths: dict[str, Path]) -> Players | None:
    try:
        audio = {kind: load(path) for kind, path in paths.items()}
    except MelmoatError:  # half-written by a killed run
        return None
    gain: float | None = None
    if {"clean", "adversarial"} <= set(audio):
        clean, bad = audio["clean"].wav, audio["adversarial"].wav
        if clean.shape == bad.shape and bool((clean != bad).any()):
            change = bad - clean
            audio["perturbation"] = Audio.of([change[0]], audio["clean"].rate)
            gain = float(20 * (0.5 / change.abs().max()).log10())
        elif clean.shape == bad.shape:
            del audio["adversarial"]  # nothing was changed
    reference = audio.get("adversarial", audio.get("clean"))
    if reference is not None and "defended" in audio and reference.wav.equal(audio["defended"].wav):
        del audio["defended"]  # nothing was defended
    top = max(map(peak, audio.values()))
    clips = []
    for kind, wave in audio.items():
        if kind == "perturbation":
            assert gain is not None
            data = _flac((wave.wav[0] * 10 ** (gain / 20)).numpy(), wave.rate)
        else:
            data = paths[kind].read_bytes()
        clips.append(
            Clip(
                kind,
                "data:audio/flac;base64," + base64.b64encode(data).decode(),
                "data:image/png;base64," + base64.b64encode(spectrogram(wave, top)).decode(),
                wave.wav.shape[1] / wave.rate,
            )
        )
    return Players(result, name, tuple(clips), gain)


def _mel(audio: Audio, mel: MelSpec = LAB_MEL) -> NDArray[np.float32]:
    spectrogram, frames = mel(audio)
    image: NDArray[np.float32] = spectrogram[0, :, : int(frames[0])].numpy()
    return image


def _flac(wave: NDArray[np.float32], rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def peak(audio: Audio) -> float:
    """The largest log10 magnitude of a spectrogram."""
    return float(_mel(audio).max())


def spectrogram(audio: Audio, top: float) -> bytes:
    """A log-mel spectrogram as PNG, low frequencies at the bottom.

    Args:
        audio: one utterance.
        top: log10 magnitude of the lightest colour; ``DECADES`` below it is the darkest.
    """
    image = np.clip((_mel(audio)[::-1] - top) / DECADES + 1, 0, 1)
    return png(np.round(255 * image).astype(np.uint8))


def png(image: NDArray[np.uint8]) -> bytes:
    """A picture with one byte per pixel, coloured from dark to light. Shape: ``[rows,
    columns]``."""
    rows, columns = image.shape
    scale = np.linspace(0, 1, len(_COLORS))
    palette = [
        np.interp(np.linspace(0, 1, 256), scale, channel) for channel in zip(*_COLORS, strict=True)
    ]
    lines = b"".join(b"\0" + row.tobytes() for row in image)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)),
        (b"PLTE", np.stack(palette, axis=1).round().astype(np.uint8).tobytes()),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    ]
    packed = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)
