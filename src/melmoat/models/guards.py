"""Rejects texts of token recognizers when nobody spoke or the text is a loop.

Such a recognizer writes some text for every sound, also for silence. The three thresholds have the
names and meanings of openai/whisper's ``transcribe``. For a loop, that function samples the text
again until one passes. Here a loop is cut after its first round.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from melmoat.models.seq2seq import Encoded, Vocabulary


@dataclass(frozen=True)
class Guards:
    """Thresholds; None turns one off.

    Args:
        silence: the token which says, right after the start, that nobody speaks, if there is one.
        no_speech_threshold: if the probability of this token is higher, the text is empty; 0.6 in
            the reference.
        logprob_threshold: ... unless the mean log probability per token is above this; -1 in the
            reference.
        compression_ratio_threshold: a text that zlib compresses by more than this factor is a loop;
            2.4 in the reference.

    Raises:
        ValueError: a value is out of range, or the second threshold is set without the first.
    """

    silence: int | None
    no_speech_threshold: float | None = None
    logprob_threshold: float | None = None
    compression_ratio_threshold: float | None = None

    def __post_init__(self) -> None:
        speech, logprob = self.no_speech_threshold, self.logprob_threshold
        ratio = self.compression_ratio_threshold
        if speech is not None and not 0 <= speech <= 1:
            raise ValueError(f"no_speech_threshold is a probability, 0 to 1; got {speech}")
        if speech is not None and self.silence is None:
            raise ValueError("no_speech_threshold: this recognizer has no token for silence")
        if logprob is not None and (speech is None or not logprob <= 0):
            raise ValueError(
                f"logprob_threshold is a log probability, at most 0, and only goes with a "
                f"no_speech_threshold; got {logprob} and no_speech_threshold={speech}"
            )
        if ratio is not None and not ratio > 0:
            raise ValueError(f"compression_ratio_threshold must be above 0; got {ratio}")

    def apply(
        self, encoded: Encoded, written: Sequence[list[int]], vocabulary: Vocabulary
    ) -> list[list[int]]:
        """The accepted tokens of a batch.

        Args:
            encoded: the batch, with nothing read yet.
        """
        silent = self._silent(encoded, written, vocabulary)
        return [
            [] if nothing else self._without_loop(tokens, vocabulary)
            for nothing, tokens in zip(silent, written, strict=True)
        ]

    def _silent(
        self, encoded: Encoded, written: Sequence[list[int]], vocabulary: Vocabulary
    ) -> list[bool]:
        if self.no_speech_threshold is None or self.silence is None:
            return [False] * len(written)
        likely = encoded.opening(self.silence)
        silent = (likely > self.no_speech_threshold).tolist()
        if self.logprob_threshold is not None:
            for row, tokens in enumerate(written):
                if silent[row]:
                    sure = mean_log_prob(encoded.pick([row]), tokens, vocabulary, likely.device)
                    silent[row] = sure <= self.logprob_threshold
        return silent

    def _without_loop(self, tokens: list[int], vocabulary: Vocabulary) -> list[int]:
        most = self.compression_ratio_threshold
        if most is None or compression_ratio(vocabulary.decode(tokens)) <= most:
            return tokens
        once = first_round(tokens)
        return once if compression_ratio(vocabulary.decode(once)) <= most else []


def mean_log_prob(
    encoded: Encoded, tokens: Sequence[int], vocabulary: Vocabulary, device: torch.device
) -> float:
    """Mean log probability of one text's tokens and its end, among the allowed tokens.

    As in the reference, an unfinished text has no end, but is divided by one more.
    """
    logs = encoded.read(torch.tensor([tokens], dtype=torch.long, device=device))[0]
    logs = torch.cat(
        [vocabulary.allowed(logs[:1], first=True), vocabulary.allowed(logs[1:], first=False)]
    ).log_softmax(-1)
    chosen = [*tokens, vocabulary.end][: vocabulary.longest]
    rows = torch.arange(len(chosen), device=device)
    return float(logs[rows, torch.tensor(chosen, device=device)].sum()) / (len(tokens) + 1)


def compression_ratio(text: str) -> float:
    """The factor by which zlib compresses a text's bytes; 0 for an empty text.

    >>> compression_ratio("thank you. " * 20) > 2.4 > compression_ratio("How old are you, and I?")
    True
    """
    data = text.strip().encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data))


def first_round(tokens: Sequence[int]) -> list[int]:
    """``tokens`` without an end that only repeats the part right before it, perhaps incompletely.

    >>> first_round([7, 1, 2, 3, 1, 2, 3, 1, 2])
    [7, 1, 2, 3]
    >>> first_round([1, 2, 1])
    [1, 2, 1]
    """
    count = end = len(tokens)
    for period in range(1, count // 2 + 1):
        again = 0
        while again < count - period and tokens[-1 - again] == tokens[-1 - again - period]:
            again += 1
        if again >= period:
            end = min(end, count - again)
    return list(tokens[:end])
