"""What a recognizer learns from: speech and its text, in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from lhotse import MonoCut
from torch import Tensor

from melmoat import data
from melmoat.audio import PCM16, Audio, AudioError
from melmoat.defenses import FrontEnd, apply
from melmoat.devices import CPU
from melmoat.draws import Draws, derive
from melmoat.errors import MelmoatError
from melmoat.models.base import as_written_by, frames_needed
from melmoat.progress import Progress, silent
from melmoat.text import TextError
from melmoat.training.augment import FASTEST, SLOWEST, changed
from melmoat.training.trainable import Trainable, method_of


@dataclass(frozen=True)
class Utterance:
    """One training example: 16 kHz samples ``[L]``, their text, and the defended samples.

    Samples are floats, or 16-bit integers for a corpus in memory: half the size.
    """

    wave: Tensor
    text: str
    defended: Tensor | None = None


def floats(wave: Tensor) -> Tensor:
    """Samples as floats."""
    return wave if wave.is_floating_point() else wave / PCM16


def check(cuts: Sequence[MonoCut], model: Trainable) -> None:
    """Refuse texts that ``model`` cannot write, and audio that is too long for it.

    Otherwise a run could stop at the first of these, perhaps after hours.

    Raises:
        TextError, AudioError: the message names the first ones.
    """
    method = method_of(model)
    most = math.floor(method.longest * SLOWEST / (2 if method.joined else 1))
    long = [f"{cut.id} ({cut.duration:.0f} s)" for cut in cuts if cut.duration > most]
    if long:
        raise AudioError(
            f"{len(long)} utterance(s) are longer than the {most} s that can be trained on; cut "
            f"them at pauses, or leave them out (longest={most}): {', '.join(long[:5])}"
        )
    texts = {cut.id: as_written_by(model, data.written(cut)) for cut in cuts}
    bad = [name for name, text in texts.items() if not _writable(text, model)]
    if bad:
        some = "; ".join(f"{name}: {texts[name]}" for name in bad[:5])
        raise TextError(
            f"{len(bad)} text(s) have characters that the recognizer does not write; spell them "
            f"out in transcripts.tsv, or leave them out: {some}"
        )


def _writable(text: str, model: Trainable) -> bool:
    try:
        model.targets([text])
    except TextError:
        return False
    return True


def fits(utterance: Utterance, model: Trainable) -> bool:
    """Whether the text fits into the frames, even at the fastest speed."""
    available = method_of(model).frames(model, int(len(utterance.wave) / FASTEST))
    return frames_needed(model.targets([utterance.text])[0].tolist()) < available


def check_shortest(
    examples: Sequence[tuple[MonoCut, Utterance]],
    model: Trainable,
    front_end: FrontEnd | None = None,
    device: str = CPU,
    speed: float = FASTEST,
) -> None:
    """Let ``model`` hear the shortest of the ``examples`` at the fastest speed.

    Otherwise a run could stop in the middle at audio that is too short, and not name it: speech is
    sped up at each step, and only an empty text fits into so few samples.

    Args:
        examples: each behind the cut that it is from.
        front_end: what is applied at each step.
        speed: the fastest one.

    Raises:
        AudioError: it is too short; the message names it.
    """
    if not examples:
        return
    cut, shortest = min(examples, key=lambda pair: len(pair[1].wave))
    training = model.training
    model.to(device).eval()  # in training mode it would learn the statistics of this one
    try:
        audio = Audio.of([changed(floats(shortest.wave), speed, gain=1.0)]).to(device)
        if front_end is not None:
            audio = apply(front_end, audio, Draws([derive(cut.id)]))
        with torch.no_grad():
            model.log_probs(audio, Draws([0]))
    except MelmoatError as error:
        pace = f", {speed:g} times as fast" if speed != 1 else ""
        advice = "leave out what is as short (shortest=SECONDS)"
        raise AudioError(f"{cut.id}{pace}: {error}; {advice}") from error
    finally:
        model.train(training)


def utterances(
    cuts: Sequence[MonoCut],
    model: Trainable,
    front_end: FrontEnd | None = None,
    device: str = CPU,
    progress: Progress = silent,
) -> list[Utterance]:
    """Read a corpus into memory, as 16-bit integers, and each utterance through ``front_end`` (one
    draw). Texts are as ``model`` writes."""
    examples = []
    for number, cut in enumerate(cuts):
        progress(number, len(cuts), "reading speech")
        audio = data.read([cut])
        defended = None
        if front_end is not None:
            try:
                through_front_end = apply(front_end, audio.to(device), Draws([derive(cut.id)]))
                defended = through_front_end.to(CPU).int16[0]
            except MelmoatError as error:
                raise AudioError(f"{cut.id}: {error}") from error
        examples.append(
            Utterance(audio.int16[0], as_written_by(model, data.written(cut)), defended)
        )
    return examples
