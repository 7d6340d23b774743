"""Many channels to one."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from melmoat.decoding.engines import Samples

Channel = int | Literal["mix"]
CANCELLED = -20.0  # dB: a mix so far below its loudest channel has lost what is in it
ALIKE = 0.25  # correlation; channels of one recording are more alike than those of a call
QUIET = 1e-4  # power beside the loudest: what is under it is silent
SOME = 0.1  # share of a recording that may cancel
LOOKED = 32  # channels; more are no call


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
    two voices at once; :meth:`notes` says so. It looks at pieces of half a second, each without its
    mean.

    Args:
        channel: which one, or the mean.
        channels: that there are.
        rate: Hz.
    """

    def __init__(self, channel: Channel, channels: int, rate: int) -> None:
        self.channel, self.channels = channel, channels
        self.frames = 0
        self._piece = max(1, rate // 2)
        self._parts: list[Samples] = [np.zeros(0, np.float32)]
        self._products: list[NDArray[np.float64]] = []  # of channels, a matrix a piece

    def add(self, block: Samples) -> None:
        """One more block. Shape: ``[n, channels]``."""
        one = block.mean(axis=1) if self.channel == "mix" else block[:, self.channel]
        self._parts.append(np.ascontiguousarray(one, dtype=np.float32))
        self.frames += len(block)
        if self.channel == "mix" and 1 < self.channels <= LOOKED:
            for at in range(0, len(block), self._piece):
                piece = block[at : at + self._piece].astype(np.float64)
                piece -= piece.mean(axis=0)
                self._products.append(piece.T @ piece)

    @property
    def samples(self) -> Samples:
        """All that came. Shape: ``[n]``."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def notes(self) -> list[str]:
        """What is to be known about the mix."""
        if not self._products:
            return []
        pieces = np.stack(self._products)  # [pieces, channels, channels]
        loudest = pieces.diagonal(axis1=1, axis2=2).max(axis=1)
        if not np.isfinite(pieces).all() or not loudest.any():
            return []
        pieces, loudest = (x[loudest > QUIET * loudest.max()] for x in (pieces, loudest))
        choose = "choose one of them: channel=0 is the first"
        mixed = pieces.sum(axis=(1, 2)) / self.channels**2
        lost = float(np.mean(mixed < 10 ** (CANCELLED / 10) * loudest))
        if lost > SOME:
            where = "" if lost == 1 else f" in {100 * lost:.0f} % of it"
            return [
                f"its {self.channels} channels cancel{where}: their mean is far weaker; {choose}"
            ]
        whole = pieces.sum(axis=0)
        powers = whole.diagonal()
        heard = whole[np.ix_(*2 * [powers > QUIET * powers.max()])]
        alike = np.abs(heard) / np.sqrt(np.outer(heard.diagonal(), heard.diagonal()))
        if len(heard) > 1 and alike.min() < ALIKE:
            return [f"its channels differ, as of two speakers, and were mixed; {choose}"]
        return []
