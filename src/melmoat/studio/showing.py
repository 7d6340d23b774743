"""A run as HTML: transcripts with their differences marked, players, spectrograms, waveforms."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from melmoat import audio
from melmoat.audio import Audio
from melmoat.report.diffs import text_diff
from melmoat.report.listening import spectrogram
from melmoat.report.page import environment
from melmoat.studio.session import Bounds, Finished, Texts, Ticket
from melmoat.vocoders.mel import LAB_MEL

TEMPLATES = Path(__file__).parent / "templates"
POINTS = 400  # of a waveform
PEAK = 0.5  # of full scale, at which the perturbation alone is played
_PAGES = environment(TEMPLATES, escaped=True)


@dataclass(frozen=True)
class Sound:
    """One player.

    Attributes:
        name: of the file, if it is saved.
        address: the recording, as a data URI.
        picture: its spectrogram, as a data URI.
        wave: the outline of its waveform, as the points of a polygon in a box of 400 x 2.
    """

    title: str
    name: str
    about: str
    address: str
    picture: str
    wave: str
    seconds: float


def result(finished: Finished) -> str:
    """The whole run."""
    return _PAGES.get_template("result.html.j2").render(
        run=finished,
        outcome=outcome(finished),
        rows=_rows(finished),
        sounds=sounds(finished),
        diff=lambda a, b: text_diff(finished.same(a), finished.same(b)),
    )


def progress(ticket: Ticket) -> str:
    """A bar that says how far a run is."""
    return _PAGES.get_template("progress.html.j2").render(ticket=ticket)


def message(text: str, failed: bool = False) -> str:
    """One message; an error is announced to screen readers at once."""
    return _PAGES.get_template("message.html.j2").render(text=text, failed=failed)


def head(bounds: Bounds) -> str:
    """What the page is for."""
    return _PAGES.get_template("head.html.j2").render(bounds=bounds)


def repeating(query: str) -> str:
    """How to use the commands, and a link to the page with this ``query``."""
    return _PAGES.get_template("repeat.html.j2").render(query=query)


def outcome(finished: Finished) -> str:
    """What the run shows, in a sentence."""
    asked, snr = finished.asked, finished.snr_db
    behind = asked.adaptive and finished.after.defended is not None
    who = f"{asked.model} behind {asked.defense}" if behind else asked.model
    heard = [t.defended if behind else t.plain for t in (finished.before, finished.after)]
    before, after = (text or "nothing" for text in heard)
    if snr is None:
        return f"The attack changed nothing. {who} hears “{before}”."
    size = f"with a perturbation {snr:.1f} dB below the speech"
    if finished.wanted is not None:
        if finished.reached:
            return f"Target reached, {size}: {who} hears “{after}” instead of “{before}”."
        return f"Target not reached, {size}: {who} hears “{after}”, not “{finished.wanted}”."
    if finished.reached:
        return f"Attack succeeded, {size}: {who} hears “{after}” instead of “{before}”."
    return f"Attack failed, {size}: {who} still hears “{before}”."


def _rows(finished: Finished) -> Mapping[str, Texts]:
    """What is heard, by the name of the recording."""
    rows = {"clean": finished.before, "adversarial": finished.after}
    return rows if finished.noisy is None else {**rows, "random noise": finished.noisy}


def sounds(finished: Finished) -> list[Sound]:
    """The players: clean, adversarial, defended, the perturbation alone, the control."""
    clean, bad = finished.clean, finished.adversarial
    change = bad.with_wav(bad.wav - clean.wav)
    peak = float(change.wav.abs().max())
    listed = [("clean", "speech.wav", "as the recognizer gets it", clean)]
    if peak:
        listed.append(("adversarial", "adversarial.wav", _size(finished), bad))
    if finished.defended is not None:
        about = f"the adversarial one after {finished.asked.defense}"
        listed.append(("defended", "defended.wav", about, finished.defended))
    if peak:
        gain = PEAK / peak
        about = f"what the attack added, played {20 * np.log10(gain):.0f} dB louder"
        listed.append(("perturbation alone", "", about, change))
    if finished.noise is not None:
        about = "the speech with random noise of the same SNR"
        listed.append(("random noise", "noise.wav", about, finished.noise))
    top = max(float(LAB_MEL(one)[0].max()) for *_, one in listed)
    loudest = max(float(one.wav.abs().max()) for *_, one in listed)
    return [
        Sound(
            title,
            name,
            about,
            _data("wav", audio.encode(_played(one, bool(name)), "wav")),
            _data("png", spectrogram(one, top)),
            outline(one, loudest),
            float(one.seconds),
        )
        for title, name, about, one in listed
    ]


def _played(one: Audio, as_it_is: bool) -> Audio:
    return one if as_it_is else one.with_wav(one.wav * (PEAK / float(one.wav.abs().max())))


def _size(finished: Finished) -> str:
    return f"SNR {finished.snr_db:.1f} dB" if finished.snr_db is not None else "unchanged"


def _data(kind: str, content: bytes) -> str:
    home = "image" if kind == "png" else "audio"
    return f"data:{home}/{kind};base64,{base64.b64encode(content).decode()}"


def outline(one: Audio, loudest: float) -> str:
    """The largest and least sample of each piece of the waveform, as the points of a polygon.

    Args:
        loudest: amplitude that fills the height.

    >>> import torch
    >>> outline(Audio.of([torch.tensor([0.25, -0.25])]), 0.5)
    '0,0.500 200,1.500 200,1.500 0,0.500'
    """
    wave = one.wav[0].numpy() / loudest
    pieces = np.array_split(wave, min(POINTS, len(wave)))
    places = np.linspace(0, POINTS, len(pieces), endpoint=False)
    upper = [f"{x:g},{1 - piece.max():.3f}" for x, piece in zip(places, pieces, strict=True)]
    lower = [f"{x:g},{1 - piece.min():.3f}" for x, piece in zip(places, pieces, strict=True)]
    return " ".join([*upper, *reversed(lower)])
