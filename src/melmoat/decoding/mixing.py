"""Many channels to one."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from melmoat.decoding.engines import Samples

Channel = int | Literal["mix"]
CANCELLED = -20.0  # dB: a mix so far below its loudest channel has lost what is in it
ALIKE = 0.25  # correlation; channels of one recording are more alike than those of a call


def channel_of(text: str) -> Channel:
    """A channel as a spec or an option names it: a number from 0, or ``mix``.

    Raises:
        ValueError: it is neither.

    >>> channel_of("mix"), channel_of("1")
    ('mix', 1)
    """
    if text == "mix":
        return "mix"
    if not text.isdecimal():
        raise ValueError(f"channel must be mix or a number, 0 for the first; got {text!r}")
    return int(text)


class Mixer:
    """Takes blocks of channels and keeps one: the mean of all, or one of them (0 is the first).

    Channels of opposite phase cancel in a mean, and that of a call with a speaker a channel is
    two voices at once; :meth:`notes` says so.
    """

    def __init__(self, channel: Channel, channels: int) -> None:
        self.channel, self.channels = channel, channels
        self.frames = 0
        self._parts: list[Samples] = [np.zeros(0, np.float32)]
        self._products: NDArray[np.float64] = np.zeros((channels, channels))

    def add(self, block: Samples) -> None:
        """One more block. Shape: ``[n, channels]``."""
        one = block.mean(axis=1) if self.channel == "mix" else block[:, self.channel]
        self._parts.append(np.ascontiguousarray(one, dtype=np.float32))
        self.frames += len(block)
        if self.channel == "mix" and self.channels > 1:
            wide = block.astype(np.float64)
            self._products += wide.T @ wide

    @property
    def samples(self) -> Samples:
        """All that came. Shape: ``[n]``."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def notes(self) -> list[str]:
        """What is to be known about the mix."""
        powers = self._products.diagonal()
        if not powers.any() or not np.isfinite(self._products).all():
            return []
        choose = "choose one of them: channel=0 is the first"
        mixed = self._products.sum() / self.channels**2 / powers.max()  # powers
        if mixed < 10 ** (CANCELLED / 10):
            left = f"{-10 * math.log10(mixed):.0f} dB weaker" if mixed > 1e-12 else "nothing"
            return [
                f"its {self.channels} channels cancel: their mean is {left} beside the loudest of "
                f"them; {choose}"
            ]
        if self.channels == 2 and powers.all():
            alike = self._products[0, 1] / math.sqrt(powers.prod())
            if abs(alike) < ALIKE:
                return [f"its two channels differ, as of two speakers, and were mixed; {choose}"]
        return []
