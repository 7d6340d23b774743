"""Speech that is played and recorded in a random room, for over-the-air attacks.

For an attack that survives the air, attack :class:`melmoat.models.EOT` over this front-end
(``--defense room --attack pgd:...,eot=5``), as Qin et al. 2019 made theirs robust.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.defenses.base import FrontEnd
from melmoat.draws import Draws
from melmoat.errors import extra

ORDER = 20  # most reflections of a path: 60 m in a room of 3 m, 0.17 s, and most of 0.3 s
WALL = 0.5  # least distance of speaker and microphone from the walls, metres
HEIGHT = (2.4, 3.2)  # metres
BLOCK = 1024  # FFT sizes are multiples of this, because prime sizes are slow


@dataclass(frozen=True)
class Room(FrontEnd):
    """Reverberation of a random room; no defense, but a channel to attack over the air.

    The room is a shoebox (image sources, Allen & Berkley 1979). Length, width, height, walls,
    speaker and microphone are drawn at each call, for each utterance from its own stream. The
    response has unit energy, and its direct sound has no delay, so speech is not shifted. The tail
    beyond each utterance's length is cut off.

    Args:
        rt60: mean reverberation time in seconds; rooms have 0.5 to 1.5 times that. The walls absorb
            at most 99 % of the energy, so very short times are not reached.
        size: mean length and width in metres; rooms have 0.7 to 1.3 times that.

    Raises:
        MelmoatError: pyroomacoustics is not installed.
    """

    rt60: float = 0.3
    size: float = 5.0
    stochastic = True

    def __post_init__(self) -> None:
        if not 0 < self.rt60 < math.inf:
            raise ValueError(f"rt60 must be positive and finite, got {self.rt60}")
        if not 2 <= self.size <= 50:
            raise ValueError(f"size must be between 2 and 50 metres, got {self.size}")
        _simulator()

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        numbers = draws.uniform(torch.empty(len(audio), 10)).double().numpy()
        responses = [self.response(row, audio.rate) for row in numbers]
        return audio.with_wav(convolve(audio.wav, responses))

    def response(self, numbers: np.ndarray[Any, Any], rate: int) -> tuple[Tensor, int]:
        """Impulse response, float64 of unit energy, and the sample where the direct sound comes in.

        Args:
            numbers: ten in [0, 1) that make the room.
            rate: Hz.
        """
        simulator = _simulator()
        low, high = HEIGHT
        sides = self.size * (0.7 + 0.6 * numbers[:2])
        room = np.array([*sides, low + (high - low) * numbers[2]])
        rt60 = self.rt60 * (0.5 + numbers[3])
        faces = 2 * (room[0] * room[1] + room[0] * room[2] + room[1] * room[2])
        absorbed = min(0.161 * room.prod() / (faces * rt60), 0.99)  # Sabine; of the energy
        ends = WALL + (room - 2 * WALL) * numbers[4:].reshape(2, 3)
        walls = simulator.Material(float(absorbed))
        shoebox = simulator.ShoeBox(room, fs=rate, materials=walls, max_order=ORDER)
        shoebox.add_source(ends[0])
        shoebox.add_microphone(ends[1])
        shoebox.compute_rir()
        response = np.asarray(shoebox.rir[0][0], dtype=np.float64)
        seconds = float(np.linalg.norm(ends[0] - ends[1])) / simulator.constants.get("c")
        delay = simulator.constants.get("frac_delay_length") // 2 + round(seconds * rate)
        return torch.from_numpy(response / np.linalg.norm(response)), delay


def convolve(wav: Tensor, responses: list[tuple[Tensor, int]]) -> Tensor:
    """Convolve each row with its own response, remove the delay, and cut to the row's length.

    Shape: ``[B, T]``.
    """
    length, longest = wav.shape[1], max(len(response) for response, _ in responses)
    size = -(-(length + longest) // BLOCK) * BLOCK
    rows = [torch.fft.rfft(response, size) for response, _ in responses]
    spectrum = torch.fft.rfft(wav, size) * torch.stack(rows).to(wav.device, _complex(wav))
    whole = torch.fft.irfft(spectrum, size)
    delays = torch.tensor([delay for _, delay in responses], device=wav.device)
    places = delays[:, None] + torch.arange(length, device=wav.device)
    convolved: Tensor = whole.gather(1, places)
    return convolved


def _complex(wav: Tensor) -> torch.dtype:
    return torch.complex128 if wav.dtype == torch.float64 else torch.complex64


def _simulator() -> Any:
    with extra("rooms", "room"):
        import pyroomacoustics
    return pyroomacoustics
