"""What the tests of token recognizers share."""

from dataclasses import replace
from typing import TypeVar

import pytest

from melmoat.models.seq2seq import Seq2Seq

T = TypeVar("T", bound=Seq2Seq)


def far_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no network: the hub answers nobody."""
    import huggingface_hub

    def far(*args: object, **kwargs: object) -> str:
        raise OSError("no network in tests")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", far)


def in_numbers(model: T) -> T:
    """``model`` with the numbers of its tokens as its texts: random bytes are no characters."""
    model.vocabulary = replace(
        model.vocabulary,
        encode=lambda text: [int(number) for number in text.split()],
        decode=lambda tokens: " ".join(map(str, tokens)),
    )
    return model
