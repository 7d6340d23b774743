"""Defenses on live audio: samples go in piece by piece, defended samples come out.

The pieces of the output, joined, are what the defense makes of the whole recording with the same
random numbers, to float rounding. The sizes of the pieces do not matter: noise is drawn by position
(:meth:`melmoat.draws.Draws.normal_pieces`), and each output sample is computed once all that it
depends on is there.

So only a defense with a bounded view can be streamed. Noise at an SNR cannot, because the loudest
part of a recording may be its end. A level that follows the sound so far would be another defense,
with other numbers. ``wgn:sigma=`` is noise at a fixed level. A vocoder sees ``reach`` frames ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from melmoat.audio import RATE, Audio, AudioError, check
from melmoat.devices import CPU, beside
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.vocoders.base import Vocoder
from melmoat.vocoders.mel import MelSpec

if TYPE_CHECKING:
    from melmoat.defenses.base import FrontEnd

STREAMABLE = (
    "none, wgn:sigma=..., resynth and mdnf (norm=frame, with a vocoder other than griffin-lim), "
    "median, smooth, quantize and mulaw, and a chain of such"
)
LONGEST = 10  # seconds that are computed at a time
BLOCK = 8  # frames that a vocoder makes at a time, or a multiple; each time it sees its reach too


class Stage(Protocol):
    """A defense at work on one stream.

    Attributes:
        latency: samples by which the output lags behind the input, at most: of ``n`` samples that
            went in, at least ``n - latency`` have come out.
    """

    latency: int

    def push(self, samples: Tensor) -> Tensor:
        """The output that the next samples make possible. Shape: ``[N]`` -> ``[M]``."""
        ...

    def finish(self) -> Tensor:
        """The rest of the output, after the last samples. Shape: ``[M]``."""
        ...


class Streamed:
    """A front-end on one stream of samples.

    Args:
        front_end: a defense that is a function of audio.
        rate: sampling rate of the stream, Hz.
        draws: its random numbers, one stream; if None, from a fresh secret seed.
        device: device to compute on.

    Attributes:
        latency: as of :class:`Stage`. The time to compute comes on top.
        samples: samples that went in.

    Raises:
        MelmoatError: the front-end cannot be streamed, or not at this rate.

    >>> from melmoat.defenses import front_end
    >>> live = Streamed(front_end("smooth:width=3"), 16_000)
    >>> [live.push(torch.ones(4)).tolist(), live.latency, len(live.finish())]
    [[0.6666666865348816, 1.0, 1.0], 1, 1]
    """

    def __init__(
        self,
        front_end: FrontEnd,
        rate: int = RATE,
        draws: Draws | None = None,
        device: str = CPU,
    ) -> None:
        self.rate, self.samples, self._device = rate, 0, device
        self._stage = front_end.stream(rate, draws or Draws.secret(1))
        self.latency, self._done = self._stage.latency, False

    def push(self, samples: Tensor) -> Tensor:
        """The defended samples that the next samples of the stream make possible.

        Args:
            samples: any number of them, full scale 1.0. Shape: ``[N]``.

        Raises:
            AudioError: integers, several channels, NaN, Inf, or values far over full scale.
            ValueError: the stream has been finished.

        Shape: ``[N]`` -> ``[M]``, on the CPU; ``M`` may be 0.
        """
        self._open()
        if samples.dim() != 1 or not samples.is_floating_point():
            raise AudioError(
                f"the stream: {samples.dtype} of shape {list(samples.shape)}, and not the samples "
                "of one channel as floats; divide integers by their full scale (32768 for 16 bits)"
            )
        if not len(samples):
            return samples
        check(
            samples,
            "the stream",
            shortest=1,
            finite="send finite samples, and zeros for silence",
            scaled="before you send them",
        )
        self.samples += len(samples)
        with torch.no_grad():
            pieces = torch.split(samples.to(self._device), LONGEST * self.rate)
            return torch.cat([self._stage.push(piece) for piece in pieces]).to(CPU)

    def finish(self) -> Tensor:
        """The rest of the output: as many samples have then come out as went in. Shape: ``[M]``.

        Raises:
            AudioError: the whole stream is too short for this defense.
            ValueError: the stream has been finished before.
        """
        self._open()
        self._done = True
        if not self.samples:
            return torch.zeros(0)
        with torch.no_grad():
            return self._stage.finish().to(CPU)

    def _open(self) -> None:
        if self._done:
            raise ValueError("this stream has been finished; begin another one")


class Overlapping:
    """A deterministic front-end whose output depends on a few samples around each one, and for
    which there is silence outside of the recording.

    Args:
        front_end: the front-end.
        rate: sampling rate, Hz.
        sides: samples on each side that an output sample depends on; 0 for none.
    """

    def __init__(self, front_end: FrontEnd, rate: int, sides: int = 0) -> None:
        self.latency = self._sides = sides
        self._front_end, self._rate = front_end, rate
        self._held = torch.zeros(0)  # what is still needed, with `_past` samples that are out
        self._past = 0

    def push(self, samples: Tensor) -> Tensor:
        self._held = torch.cat([self._held.to(samples), samples])
        return self._out(len(self._held) - self._sides)

    def finish(self) -> Tensor:
        return self._out(len(self._held))

    def _out(self, end: int) -> Tensor:
        if end <= self._past:
            return self._held[:0]
        audio = Audio.of([self._held], self._rate)
        out = self._front_end(audio, Draws([0])).wav[0, self._past : end]
        dropped = max(0, end - self._sides)
        self._held, self._past = self._held[dropped:], end - dropped
        return out


class Noisy:
    """White noise of a fixed standard deviation.

    Args:
        sigma: standard deviation; full scale is 1.
        draws: one stream.
    """

    latency = 0

    def __init__(self, sigma: float, draws: Draws) -> None:
        self._sigma, self._normal = sigma, draws.normal_pieces()

    def push(self, samples: Tensor) -> Tensor:
        return samples + self._sigma * self._normal(samples[None])[0]

    def finish(self) -> Tensor:
        return torch.zeros(0)


class _Frames:
    """The log-mel spectrogram of a stream, frame by frame, reflected at both ends."""

    def __init__(self, mel: MelSpec) -> None:
        self.mel, self.count, self._samples = mel, 0, 0
        self._held = torch.zeros(0)  # from the first sample of the next frame's window on
        self._tail = torch.zeros(0)  # the last samples, which the end reflects
        self._begun = False

    def push(self, samples: Tensor) -> Tensor:
        """The frames that have become complete. Shape: ``[N]`` -> ``[1, bands, F]``."""
        before, pad = self.mel.before, self.mel.shortest - 1
        self._samples += len(samples)
        self._held = torch.cat([self._held.to(samples), samples])
        self._tail = torch.cat([self._tail.to(samples), samples])[-pad - 1 :]
        if not self._begun:
            if len(self._held) <= before:
                return samples.new_zeros(1, self.mel.bands, 0)
            self._held = torch.cat([self._held[1 : before + 1].flip(0), self._held])
            self._begun = True
        return self._take(max(0, 1 + (len(self._held) - self.mel.n_fft) // self.mel.hop))

    def finish(self) -> Tensor:
        """The other frames."""
        total = int(self.mel.frames(torch.tensor(self._samples)))
        self._held = torch.cat([self._held, self._tail[:-1].flip(0)])
        return self._take(total - self.count)

    def _take(self, frames: int) -> Tensor:
        if not frames:
            return self._held.new_zeros(1, self.mel.bands, 0)
        made = self.mel.framed(self._held[None], frames)
        self._held, self.count = self._held[frames * self.mel.hop :], self.count + frames
        return made


class Resynthesised:
    """A vocoder that sees ``reach`` frames ahead, with or without noise on each frame.

    Args:
        vocoder: the generator, of a finite reach.
        flood: noise on the next frames of the log-mel spectrogram; None for none.
        draws: noise of a ``noisy`` vocoder.
        block: frames that are made at a time, or a multiple. More cost less and come later.
    """

    def __init__(
        self,
        vocoder: Vocoder,
        flood: Callable[[Tensor], Tensor] | None,
        draws: Draws,
        block: int = BLOCK,
    ) -> None:
        assert vocoder.reach is not None
        mel = vocoder.mel
        self._vocoder, self._flood, self._block, self._reach = vocoder, flood, block, vocoder.reach
        self.latency = mel.n_fft - mel.before - 1 + (self._reach + block - 1) * mel.hop
        self._frames, self._normal = _Frames(mel), draws.normal_pieces()
        self._samples = self._made = 0  # that came in; frames that are out
        self._mel = torch.zeros(1, mel.bands, 0)  # from frame `_first` on
        self._noise = torch.zeros(1, 1, 0)
        self._first = 0

    def push(self, samples: Tensor) -> Tensor:
        self._samples += len(samples)
        self._append(self._frames.push(samples))
        ready = self._frames.count - self._reach - self._made
        return self._make(self._made + ready // self._block * self._block)

    def finish(self) -> Tensor:
        if self._samples < (least := self._vocoder.mel.shortest):
            rate = self._vocoder.mel.rate
            raise MelmoatError(
                f"a stream of {self._samples} samples is too short: at least {least} are needed at "
                f"{rate} Hz ({1000 * least / rate:.0f} ms)"
            )
        self._append(self._frames.finish())
        self._extend(self._mel[..., -1:].expand(-1, -1, self._reach))
        rest = self._samples - self._made * self._vocoder.hop
        return self._make(self._frames.count)[:rest]

    def _append(self, mel: Tensor) -> None:
        if not mel.shape[-1]:
            return
        if self._flood:
            mel = self._flood(mel)
        self._extend(self._vocoder.mel.normalise(mel))

    def _extend(self, mel: Tensor) -> None:
        self._mel = torch.cat([self._mel.to(mel), mel], dim=2)
        if self._vocoder.noisy:
            like = mel.new_zeros(1, 1, mel.shape[-1] * self._vocoder.hop)
            self._noise = torch.cat([self._noise.to(mel), self._normal(like)], dim=2)

    def _make(self, end: int) -> Tensor:
        """The samples of the next frames, up to frame ``end``."""
        hop, begin = self._vocoder.hop, self._made - self._first
        if end <= self._made:
            return self._mel.new_zeros(0)
        last = end - self._first
        seen = slice(0, last + self._reach)
        noise = self._noise[..., : seen.stop * hop] if self._vocoder.noisy else None
        wave: Tensor = beside(self._vocoder, self._mel)(self._mel[..., seen], noise)[0]
        self._made = end
        dropped = max(0, last - self._reach)
        self._first += dropped
        self._mel, self._noise = self._mel[..., dropped:], self._noise[..., dropped * hop :]
        return wave[begin * hop : last * hop]
