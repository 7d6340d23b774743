"""The level of the speech in a recording, so that noise can follow it.

All levels are computed without the mean of the signal (:attr:`melmoat.audio.Audio.centred`). The
offset of a converter is not audible, and an offset of 5 % of full scale can be 11 dB above quiet
speech.

**Why not the level of the file.** If noise follows the level of a whole file, the sender controls
it: two seconds of silence after one second of speech make the noise on the speech 4.8 dB weaker.
The active speech level of ITU-T P.56 (method B) solves this for silence, but not for an attacker.
It is a mean over everything within 15.9 dB of itself. So a quiet murmur after the speech that is
just loud enough to count lowers it, as silence lowers the level of the file.

**The loudest window.** With ``S(a, b)`` the sum over ``a <= t < b`` of ``(x_t - m)^2``, where ``m``
is the mean of these samples, the level here is the root of

    ``max over a of S(a, a + n) / w,   n = min(w, L)``

over all windows of ``w`` samples (0.4 s) in the ``L`` of the recording, each with its own mean: the
"maximum momentary" level of EBU Tech 3341, which slides a rectangular window of 0.4 s, without its
weighting of frequencies.

*Nothing that is added before or after the recording lowers it.* The windows of a longer recording
include those of the shorter one, each with the same sum. Where the recording was shorter than a
window, its window grows, and ``S`` never falls with it: by the decomposition of variance ``S(A and
B) >= S(A) + S(B)``. (So ``S`` is divided by ``w`` there too: half a window of speech has the level
that it has with silence around it, 3 dB less than its own.)

For a steady sound it equals the root mean square. For speech it is higher, because the loudest
syllables are louder than the mean. ``docs/defenses.md`` says by how much.
"""

from __future__ import annotations

import torch
from torch import Tensor

from melmoat.audio import Audio

WINDOW = 0.4  # seconds; EBU Tech 3341 (2023), momentary loudness


def loudest(audio: Audio) -> Tensor:
    """Root mean square of the loudest 0.4 s of each utterance, 0 at silence. Shape: ``[B]``.

    Its gradient is exact wherever one window is the loudest, and 0 at silence.
    """
    window = max(1, round(WINDOW * audio.rate))
    starts = _starts(audio, window)
    places = starts[:, None] + torch.arange(min(window, audio.wav.shape[1])).to(starts)
    inside = places < audio.lengths[:, None]
    window_samples = audio.wav.gather(1, places.clamp(max=audio.wav.shape[1] - 1))
    piece = Audio(window_samples * inside, audio.lengths.clamp(max=window), audio.rate)
    power = piece.centred.square().sum(1) / window
    return power.clamp(min=1e-30).sqrt() * (power > 0)


@torch.no_grad()
def _starts(audio: Audio, window: int) -> Tensor:
    """The start of the loudest window of each utterance; 0 if there is only one. Shape: ``[B]``."""
    wav = audio.centred.double()  # small numbers, so that sums of squares do not cancel
    size = min(window, wav.shape[1])
    sums, squares = (torch.nn.functional.pad(x.cumsum(1), (1, 0)) for x in (wav, wav.square()))
    total = sums[:, size:] - sums[:, :-size]
    around = squares[:, size:] - squares[:, :-size] - total.square() / size
    begins = torch.arange(around.shape[1], device=wav.device)
    last = (audio.lengths - window).clamp(min=0)[:, None]
    starts: Tensor = around.masked_fill(begins > last, -torch.inf).argmax(1)
    return starts
