"""Speech from memory. It is written to files, so that a run can be read, played and continued.

An utterance's id has a digest of its samples: different sound with the same text is another corpus.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from lhotse import CutSet
from numpy.typing import NDArray

from melmoat import files
from melmoat.audio import RATE, AudioError, check
from melmoat.data.entries import CorpusError


def is_speech(value: object) -> bool:
    """Whether ``value`` is a Lhotse CutSet or a list of pairs of a wave and a text."""
    if isinstance(value, CutSet):
        return True
    return isinstance(value, Sequence) and not isinstance(value, str) and any(map(_pair, value))


def _pair(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and isinstance(value[1], str)
        and not isinstance(value[0], str)
    )


def write_corpus(speech: Any, folder: Path) -> tuple[str, str]:
    """Write speech into its own folder under ``folder``, if it is not there yet.

    Returns:
        The spec of the corpus, and its name.

    Raises:
        CorpusError: it is neither a CutSet nor pairs, or is empty.
        AudioError: a wave cannot be speech, or cannot be written.
    """
    try:
        return _written(speech, folder)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(
            f"{folder}: cannot write ({error}); is the disk full or the folder read-only?"
        ) from error


def _written(speech: Any, folder: Path) -> tuple[str, str]:
    if isinstance(speech, CutSet):
        text = "".join(json.dumps(cut.to_dict()) + "\n" for cut in speech)
        path = folder / f"{_digest(text.encode())}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        _write_text(path, text)
        return f"lhotse:({path})", f"{len(text.splitlines())} cuts"
    if not is_speech(speech):
        raise CorpusError(
            f"data: got a {type(speech).__name__}; expected a corpus's spec, a Lhotse CutSet, or a "
            "list of pairs (wave, text)"
        )
    if odd := [i for i, pair in enumerate(speech) if not _pair(pair)]:
        raise CorpusError(f"data: item {odd[0]} is not a pair (wave, text)")
    waves = [_wave(wave, f"data, item {i}") for i, (wave, _) in enumerate(speech)]
    ids = [f"{i:04}-{_digest(wave.tobytes())[:8]}" for i, wave in enumerate(waves)]
    texts = [" ".join(text.split()) for _, text in speech]
    rows = [f"{name}\t{text}\t{name}.wav\n" for name, text in zip(ids, texts, strict=True)]
    table = "id\ttext\tpath\n" + "".join(rows)
    home = folder / _digest(table.encode())
    home.mkdir(parents=True, exist_ok=True)
    for name, wave in zip(ids, waves, strict=True):
        if not (home / f"{name}.wav").exists():
            with files.replacing(home / f"{name}.wav") as partial:
                soundfile.write(partial, wave, RATE, subtype="FLOAT", format="wav")
    _write_text(home / "transcripts.tsv", table)
    return f"tsv:({home})", f"{len(waves)} recordings"


def _write_text(path: Path, text: str) -> None:
    with files.replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _wave(values: Any, name: str) -> NDArray[np.float32]:
    wave = values.detach().cpu() if isinstance(values, torch.Tensor) else np.asarray(values)
    made = torch.as_tensor(wave)
    if made.dim() != 1 or not made.is_floating_point():
        raise CorpusError(
            f"{name}: a wave of shape {list(made.shape)} and type {made.dtype}; expected a 1-D "
            "array of floats, full scale 1, at 16 kHz (divide 16-bit integers by 32768)"
        )
    samples: NDArray[np.float32] = check(made.float(), name).numpy()
    return samples


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
