"""Speech on its way to a network that learns behind a defense: attacked, then defended.

The attack knows the defense: it is crafted through it. The network then hears the attacked speech
through the defense with other draws, as it will hear it later.
"""

from __future__ import annotations

from collections.abc import Sequence

from melmoat.audio import Audio
from melmoat.defenses import FrontEnd, apply
from melmoat.draws import Draws, derive
from melmoat.training.adversarial import Adversary
from melmoat.training.trainable import Trainable


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
        rows = [row for row, passing in enumerate(passes) if passing == through]
        if not rows:
            continue
        some = audio.pick(rows)
        if adversary is not None:
            known = front_end if through else None
            some = adversary(
                model, some, [texts[row] for row in rows], derive(seed, through), known
            )
        if through:
            some = apply(front_end, some, draws.pick(rows).fork("heard"))
        wav[rows, : some.wav.shape[1]] = some.wav
    return audio.with_wav(wav)
