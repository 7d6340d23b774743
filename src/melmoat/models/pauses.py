"""Audio longer than a recognizer hears at once: cut at pauses for a transcript, else refused."""

from __future__ import annotations

from torch import Tensor

from melmoat.audio import RATE, AudioError

LONGEST = 30 * RATE  # samples


def check_length(lengths: Tensor, recognizer: str, limit: int = LONGEST) -> None:
    """Refuse utterances of more than ``limit`` samples.

    Args:
        lengths: true number of samples. Shape: ``[B]``.
        recognizer: its name, for people.

    Raises:
        AudioError: an utterance is longer.
    """
    longest = int(lengths.max())
    if longest > limit:
        raise AudioError(
            f"{recognizer} hears {limit / RATE:g} s at once, got {longest / RATE:.1f} s; cut it at "
            "pauses (transcription does so by itself, a loss cannot know which words fall where)"
        )


def pieces(wave: Tensor, limit: int = LONGEST) -> list[Tensor]:
    """``wave`` cut into parts of at most ``limit`` samples, each at the quietest place of the last
    sixth of its window.

    Shape: ``[L]`` -> parts that concatenate to it.

    >>> import torch
    >>> [len(part) for part in pieces(torch.ones(5), 2_000)]
    [5]
    """
    parts = []
    block = RATE // 10
    while len(wave) > limit:
        late = wave[limit - limit // 6 : limit]
        energy = late[: len(late) // block * block].view(-1, block).square().sum(1)
        cut = limit
        if len(energy):
            cut = limit - limit // 6 + int(energy.argmin()) * block + block // 2
        parts.append(wave[:cut])
        wave = wave[cut:]
    return [*parts, wave]
