"""When a text that was written token after token is not believed: nobody spoke, or it is a loop.

Such a recognizer writes something for every sound, silence too. The three thresholds are those of
openai/whisper's ``transcribe``, by the same names. Its answer to a loop, to draw the text again at
random until one passes, is not: here a loop is cut behind its first round.
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
    """Thresholds, each off where it is None.

    Args:
        silence: the token that says right behind the start that nobody speaks, if there is one.
        no_speech_threshold: more than this probability of it, and the text is empty; the reference
            has 0.6.
        logprob_threshold: unless the text's mean log probability a token is above this; the
            reference has -1.
        compression_ratio_threshold: a text whose bytes zlib makes smaller by more than this factor
            is a loop; the reference has 2.4.

    Raises:
        ValueError: values that no text can have, or the second without the first.
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

    def kept(
        self, encoded: Encoded, written: Sequence[list[int]], vocabulary: Vocabulary
    ) -> list[list[int]]:
        """What is believed of the tokens that were written of a batch.

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
    """Mean log probability of one text's tokens and its end, among those that may be chosen.

    As the reference counts: a text that was broken off has no end, and is divided by one more.
    """
    logs = encoded.read(torch.tensor([tokens], dtype=torch.long, device=device))[0]
    logs = torch.cat(
        [vocabulary.allowed(logs[:1], first=True), vocabulary.allowed(logs[1:], first=False)]
    ).log_softmax(-1)
    chosen = [*tokens, vocabulary.end][: vocabulary.longest]
    rows = torch.arange(len(chosen), device=device)
    return float(logs[rows, torch.tensor(chosen, device=device)].sum()) / (len(tokens) + 1)


def compression_ratio(text: str) -> float:
    """How much smaller zlib makes a text's bytes; 0 for none.

    >>> compression_ratio("thank you. " * 20) > 2.4 > compression_ratio("How old are you, and I?")
    True
    """
    data = text.strip().encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data))


def first_round(tokens: Sequence[int]) -> list[int]:
    """``tokens`` without the end of them that only says again, perhaps not to its own end, what
    stands right before it.

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
