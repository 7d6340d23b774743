"""Mixes several channels to one."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from melmoat.decoding.engines import Samples

Channel = int | Literal["mix"]
CANCELLED = -20.0  # dB: a mix this far below its loudest channel has lost its content
ALIKE = 0.25  # correlation; channels of one scene correlate more than the two sides of a call
QUIET = 1e-4  # power relative to the loudest piece; below it a piece is silent
SOME = 0.1  # share of a recording that may cancel
LOOKED = 32  # channels; a call does not have more


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
    """Reduces blocks of channels to one: the mean of all, or one of them (0 is the first).

    Channels of opposite phase cancel in the mean. In a call with one speaker per channel, the mean
    has two voices at once. :meth:`notes` warns about both. It compares pieces of half a second,
    each without its mean.

    Args:
        channel: the channel, or ``mix``.
        channels: number of channels.
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
        mono = block.mean(axis=1) if self.channel == "mix" else block[:, self.channel]
        self._parts.append(np.ascontiguousarray(mono, dtype=np.float32))
        self.frames += len(block)
        if self.channel == "mix" and 1 < self.channels <= LOOKED:
            for at in range(0, len(block), self._piece):
                piece = block[at : at + self._piece].astype(np.float64)
                piece -= piece.mean(axis=0)
                self._products.append(piece.T @ piece)

    @property
    def samples(self) -> Samples:
        """All samples so far. Shape: ``[n]``."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]
        return self._parts[0]

    def notes(self) -> list[str]:
        """Warnings about the mix."""
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
        correlations = whole[np.ix_(*2 * [powers > QUIET * powers.max()])]
        alike = np.abs(correlations) / np.sqrt(
            np.outer(correlations.diagonal(), correlations.diagonal())
        )
        if len(correlations) > 1 and alike.min() < ALIKE:
            return [f"its channels differ, as of two speakers, and were mixed; {choose}"]
        return []
