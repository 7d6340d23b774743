"""Universal perturbations (Neekhara et al. 2019): one pattern of samples for every utterance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from melmoat import weights
from melmoat.attacks.base import Access, AttackError, Goal, ThreatModel
from melmoat.attacks.budgets import Budget, within_scale
from melmoat.audio import RATE, Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer
from melmoat.weights import WeightsError

Where = Literal["everywhere", "prefix"]


class Pattern(nn.Module):
    """The samples of a universal perturbation, in [-1, 1]: a share of each utterance's radius.

    Args:
        samples: shape ``[N]``.
        rate: samples per second.
        where: ``everywhere``: repeated over each utterance. ``prefix``: once, before the speech: in
            the silence that an utterance must begin with.
    """

    def __init__(self, samples: Tensor, rate: int = RATE, where: Where = "everywhere") -> None:
        super().__init__()
        self.samples = nn.Parameter(samples)
        self.rate, self.where = rate, where

    def on(self, audio: Audio, ball: Budget) -> Tensor:
        """The pattern on each utterance, from its first sample on.

        It is scaled to the utterance's own radius and projected, so it stays within the budget.
        The samples must not be all zero for an l2 ball's gradient. Shape: ``[B, T]``.

        Raises:
            AttackError: a prefix would lie over the speech.
        """
        total, size = audio.wav.shape[1], len(self.samples)
        if self.where == "prefix":
            if total < size or bool(audio.wav[:, :size].any()):
                seconds = size / self.rate
                raise AttackError(
                    f"this pattern is a prefix: its {seconds:g} s come before the speech, and here "
                    "they would lie over it; give recordings that begin with as much silence, such "
                    f"as the corpus padded:CORPUS,before={seconds:g}"
                )
            row = torch.nn.functional.pad(self.samples, (0, total - size))
        else:
            row = self.samples.repeat(-(-total // size))[:total]
        return ball.project(ball.radius(audio)[:, None] * row.to(audio.wav) * audio.mask, audio)


def save(path: Path, pattern: Pattern, ball: Mapping[str, Any], card: Mapping[str, Any]) -> None:
    """Write ``pattern`` as safetensors; ``ball`` is the budget of its training, as a spec's
    keys."""
    header = {
        "architecture": "universal",
        "config": {
            "size": len(pattern.samples),
            "rate": pattern.rate,
            "where": pattern.where,
            "ball": dict(ball),
        },
        "card": dict(card),
    }
    weights.write(path, pattern, header)


def load(path: Path) -> tuple[Pattern, dict[str, Any]]:
    """Read a file of :func:`save`: the pattern, and the keys of the budget of its training."""
    header = weights.read_header(path)
    try:
        if header["architecture"] != "universal":
            raise ValueError(header["architecture"])
        config = header["config"]
        where = config.get("where", "everywhere")
        if where not in get_args(Where):
            raise ValueError(where)
        pattern = Pattern(torch.zeros(config["size"]), config["rate"], where)
        ball = dict(config["ball"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not a universal perturbation ({error!r})") from error
    weights.fill(pattern, weights.read(path), str(path))
    return pattern, ball


@dataclass(frozen=True)
class Universal(ThreatModel):
    """Adds a trained pattern, the same to every utterance; it does not use a recognizer.

    Budget as for :class:`ThreatModel`.
    """

    access: ClassVar[Access] = "transfer"
    pattern: Pattern = field(kw_only=True)
    evaluations = 0

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        if audio.rate != self.pattern.rate:
            raise AttackError(
                f"the pattern was trained at {self.pattern.rate} Hz and the audio has {audio.rate}"
            )
        with torch.no_grad():
            delta = within_scale(self.pattern.on(audio, self.budget), audio.wav)
        return audio.with_wav(audio.wav + delta)


def universal(
    path: Path,
    norm: Literal["linf", "l2", "snr"] | None = None,
    eps: float | None = None,
    db: float | None = None,
    ratio: float | None = None,
    against: Literal["benign", "truth"] | None = None,
    target: str | None = None,
) -> Universal:
    """One trained pattern, added to every utterance.

    ``path`` is a file of ``melmoat train universal``. An option that is not given has the value of
    the training; but ``db`` or ``ratio`` for a pattern of another norm than SNR goes with ``norm``.

    Raises:
        ValueError: ``db`` or ``ratio`` without ``norm``, which the training does not settle.
    """
    pattern, trained = load(path)
    size = {"norm": norm, "eps": eps, "db": db, "ratio": ratio}
    aim = {"against": against, "target": target}
    chosen = {k: v for k, v in trained.items() if k in aim}
    chosen |= {k: v for k, v in aim.items() if v is not None}
    given = {k: v for k, v in size.items() if v is not None}
    if not given:  # budget options replace each other as a whole
        chosen |= {k: v for k, v in trained.items() if k in size}
    else:
        own = trained.get("norm", "snr")
        if norm is None and eps is None and own != "snr":
            raise ValueError(
                f"the pattern was trained with norm={own}; {' and '.join(given)} may be meant for "
                "another one, so say norm=snr, or norm=linf"
            )
        chosen |= {"norm": own} | given
    return Universal(**chosen, pattern=pattern)
