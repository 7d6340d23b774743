"""What a check says, and what parts are tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from melmoat import data
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError, spared

Status = Literal["ok", "wrong", "note"]
SPOKEN = ("demo-0020-flite-rms", "demo-0002-flite-rms")  # 2.3 and 1.4 s, several words and letters
SEEDS = (11, 22)  # of these two; any would do
CLOSE = 1e-3  # float rounding is two powers of ten below it


@dataclass(frozen=True)
class Line:
    """One check of one part.

    Attributes:
        status: ``ok``; ``wrong``: ``text`` says what, and what to do; ``note``: worth knowing.
    """

    check: str
    status: Status
    text: str


class WrongError(MelmoatError):
    """A check that a part did not pass; the message is its line."""


class NoteError(MelmoatError):
    """A check that could not decide; the message is its line."""


Check = Callable[[], str]  # what is right; raises what is wrong


def lines(checks: dict[str, Check]) -> Iterator[Line]:
    """Run checks one after another; whatever one raises is its line.

    The global random state is left as it was: parts may draw from it, though they should not.
    """
    for number, (name, one) in enumerate(checks.items()):
        why: list[str] = []
        note, text = False, ""
        with torch.random.fork_rng(devices=[]), spared(why.append):
            torch.manual_seed(number)  # so that what draws from it differs between two checks
            try:
                text = one()
            except NoteError as error:
                note, text = True, str(error)
        if why:
            yield Line(name, "wrong", why[0])
        else:
            yield Line(name, "note" if note else "ok", text)


def ended(out: Audio) -> str:
    """Whether nothing stands behind the utterances' ends."""
    beyond = float((out.wav * ~out.mask).abs().max())
    if beyond:
        raise WrongError(
            f"samples behind an utterance's end are up to {beyond:.2g}, not zero: return "
            "audio.with_wav(...), which clears them"
        )
    return "kept; samples are finite, and zero behind each utterance's end"


def repeated(what: str, first: Audio, second: Audio) -> str:
    """Whether what came of the same draws twice is the same."""
    if not torch.equal(first.wav, second.wav):
        raise WrongError(
            f"two {what} with the same draws differ: it draws from a global generator. Take all "
            "random numbers from the draws that it is given"
        )
    return f"two {what} with the same draws agree to the bit"


def speech(rate: int) -> tuple[Audio, list[str]]:
    """Two utterances of different length as one batch, and what is said in them."""
    cuts = {cut.id: cut for cut in data.load("demo")}
    chosen = [cuts[name] for name in SPOKEN]
    waves = [data.recording(cut, rate).audio.wav[0] for cut in chosen]
    return Audio.of(waves, rate).quantized(), [data.written(cut) for cut in chosen]


def silence(audio: Audio) -> Audio:
    """As long as ``audio``, and nothing but zeros."""
    return audio.with_wav(torch.zeros_like(audio.wav))


def draws(*rows: int) -> Draws:
    """Fresh streams of the two utterances, or of some of them: the same at each call."""
    return Draws(SEEDS[i] for i in rows or range(len(SEEDS)))


def apart(one: Tensor, other: Tensor) -> float:
    """Relative distance of two tensors; 0 where both are zero."""
    size = float(other.double().norm())
    distance = float((one.double() - other.double()).norm())
    return distance / size if size else distance
