"""Speech on its way to a network that learns behind a defense: attacked, then defended.

The attack knows the defense: it is crafted through it. The network then hears the attacked speech
through the defense with other draws, as it will hear it later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from melmoat.audio import Audio
from melmoat.defenses import FrontEnd, apply
from melmoat.draws import Draws, derive
from melmoat.training.adversarial import Adversary
from melmoat.training.trainable import Trainable

AT_ONCE = 40  # seconds of speech, padding too, that are attacked and defended at once


def defended(
    audio: Audio,
    texts: Sequence[str],
    model: Trainable,
    front_end: FrontEnd,
    share: float,
    adversary: Adversary | None,
    seed: int,
) -> Audio:
    """``audio`` as ``model`` hears it.

    Args:
        texts: the reference of each example.
        share: probability that an example passes through ``front_end``. The others are attacked
            without it.
        seed: of all choices and draws; each example has its own stream.

    Raises:
        MelmoatError: the front-end failed.
        AttackError: no finite gradient reaches the audio.
    """
    draws = Draws(derive(seed, "defense", i) for i in range(len(audio)))
    passes = (draws.fork("chosen").uniform(audio.wav[:, :1])[:, 0] < share).tolist()
    wav = audio.wav.clone()
    for through in (True, False):
        known = front_end if through else None
        for rows in _parts(
            audio, [row for row, passing in enumerate(passes) if passing == through]
        ):
            some = audio.pick(rows)
            if adversary is not None:
                given = [texts[row] for row in rows]
                some = adversary(model, some, given, derive(seed, rows[0]), known)
            if through:
                some = apply(front_end, some, draws.pick(rows).fork("heard"))
            wav[rows, : some.wav.shape[1]] = some.wav
    return audio.with_wav(wav)


def _parts(audio: Audio, rows: Sequence[int]) -> Iterator[list[int]]:
    """``rows`` a few at a time: the graph through a vocoder takes 0.1 GB a second of speech."""
    part: list[int] = []
    for row in rows:
        longest = int(audio.lengths[[*part, row]].max())
        if part and longest * (len(part) + 1) > AT_ONCE * audio.rate:
            yield part
            part = []
        part.append(row)
    if part:
        yield part
