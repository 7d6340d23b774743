"""A recognizer of letters with hama's Conformer.

Before it is trained, its last layer is made from the one for phonemes, and no speech is needed:

1. Which letters a phoneme stands for is learnt from how common words are spelled. Each phoneme is
   held for two frames of its own probabilities of letters, and these are fitted by CTC.
2. Around each phoneme's own direction, points of the last layer's input are drawn. There the new
   layer is fitted to the letters that the phonemes' probabilities stand for.

What it then writes is half right (``COTINU`` for *continue*). That is enough to train it on: from
random weights CTC falls into writing nothing, and stays there long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from melmoat import weights
from melmoat.models.base import ctc_loss, frames_needed
from melmoat.models.hama.conformer import WIDTH, Block
from melmoat.models.hama.phonemes import BOUNDARY
from melmoat.models.hama.recognizer import Framewise, Hama
from melmoat.models.words.lm import trigrams
from melmoat.models.words.pronunciations import ENGLISH
from melmoat.text import LABELS, encode
from melmoat.weights import WeightsError

ARCHITECTURE = "hama-letters"
COMMON = 1000  # words
HELD = 2  # frames of a phoneme
DRAWN = 60  # points around each phoneme
BLANKS = 40  # times as many around the blank, which most frames are
SPREAD = 2.0  # their standard deviation, of coordinates whose own is 1
SILENT = 0.1  # of a phoneme's probability of no letter, what is kept: peaks are to be heard


class Letters(Framewise):
    """English letters by the Conformer of hama.

    Args:
        labels: the characters that it writes, the blank first.
    """

    def __init__(self, labels: str = LABELS) -> None:
        super().__init__("conformer", len(labels))
        self.labels = labels


def save(path: Path, model: Letters, card: Mapping[str, Any], half: bool = False) -> None:
    """Write ``model`` as safetensors, with its labels and ``card`` in the header.

    ``half`` stores 16-bit floats.
    """
    header = {"architecture": ARCHITECTURE, "labels": model.labels, "card": dict(card)}
    weights.write(path, model, header, half)


def load(path: Path) -> Letters:
    """A recognizer of :func:`save`, in eval mode with frozen weights. It needs no package.

    Raises:
        WeightsError: weights of something else.
    """
    header = weights.read_header(path)
    if header.get("architecture") != ARCHITECTURE:
        raise WeightsError(
            f"{path}: weights of {header.get('architecture')}; expected {ARCHITECTURE}, as melmoat "
            "writes them"
        )
    model = Letters(header["labels"])
    weights.fill(model, weights.read(path), str(path))
    model.card = header.get("card", {})
    return model


def untrained(heard: Hama) -> Letters:
    """A recognizer of letters from hama's of phonemes, in eval mode with frozen weights.

    Args:
        heard: its Conformer.

    Raises:
        MelmoatError: pocketsphinx is not installed, from which the common words are.
    """
    model = Letters()
    kept = {k: v for k, v in heard.state_dict().items() if not k.startswith("network.head.")}
    with torch.enable_grad():
        head = fitted(heard, spelled(heard))
    state = {f"network.head.{key}": value for key, value in head.state_dict().items()}
    weights.fill(model, kept | state, "hama")
    return model


def spelled(heard: Hama) -> Tensor:
    """The probability of each of ``LABELS``, given each symbol of ``heard``: ``[V, 29]``."""
    inventory = heard.inventory
    words = [word for word in trigrams().words[:COMMON] if word.isalpha()]
    pairs = zip(inventory.pronounced(words), (encode(word.upper()) for word in words), strict=True)
    fits = [(p, t) for p, t in pairs if HELD * len(p) >= frames_needed(t.tolist())]
    frames = torch.tensor([HELD * len(phonemes) for phonemes, _ in fits])
    path = torch.zeros(len(fits), int(frames.max()), dtype=torch.long)
    for row, (phonemes, _) in zip(path, fits, strict=True):
        row[: HELD * len(phonemes)] = torch.tensor(phonemes).repeat_interleave(HELD)
    logits = torch.zeros(len(inventory.symbols), len(LABELS), requires_grad=True)
    targets = [target for _, target in fits]

    def loss() -> Tensor:
        return ctc_loss(logits.log_softmax(-1)[path], frames, targets).mean()

    _fit([logits], loss, steps=60, lr=0.3)
    letters = logits.detach().softmax(-1)
    letters[:, 0] *= SILENT
    letters[0] = torch.eye(len(LABELS))[0]
    letters[inventory.symbols.index(BOUNDARY)] = torch.eye(len(LABELS))[LABELS.index(" ")]
    return letters / letters.sum(1, keepdim=True)


def fitted(heard: Hama, letters: Tensor) -> nn.Linear:
    """The last layer whose probabilities are those of the phonemes times ``letters``, nearly.

    Args:
        heard: whose last layer gives the phonemes.
        letters: the probability of each label, given each symbol. Shape: ``[V, 29]``.
    """
    old, norm = heard.network.head, cast(Block, heard.network.blocks[-1]).norm
    symbols = [i for i, s in enumerate(heard.inventory.symbols) if _is_english(i, s)]
    directions = _normal((old.weight * norm.weight)[symbols].detach())
    draws = torch.Generator().manual_seed(0)
    points = directions[[0] * BLANKS + list(range(len(symbols)))].repeat(DRAWN, 1)
    points = _normal(points + SPREAD * torch.randn(points.shape, generator=draws))
    inputs = (points * norm.weight + norm.bias).detach()
    wanted: Tensor = (old(inputs).softmax(-1) @ letters).detach()
    head = nn.Linear(WIDTH, len(LABELS))
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)

    def loss() -> Tensor:
        log_probs: Tensor = head(inputs).log_softmax(-1)
        return -(wanted * log_probs).sum(-1).mean()

    _fit(list(head.parameters()), loss, steps=300, lr=0.02)
    return head


def _is_english(index: int, symbol: str) -> bool:
    return index == 0 or symbol == BOUNDARY or symbol in ENGLISH


def _normal(x: Tensor) -> Tensor:
    """As layer norm makes them: mean 0 and variance 1 over the last axis."""
    return nn.functional.layer_norm(x, x.shape[-1:])


def _fit(parameters: Sequence[Tensor], loss: Callable[[], Tensor], steps: int, lr: float) -> None:
    optimizer = torch.optim.Adam(parameters, lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
