import math
from itertools import product
from types import SimpleNamespace

import pytest
import torch

from melmoat.models.base import as_written_by, check_frames, ctc_loss, frames_needed
from melmoat.models.wrappers import Voted
from melmoat.text import TextError, encode

LABELS = "_AB"


def collapse(path: tuple[int, ...]) -> str:
    merged = [p for i, p in enumerate(path) if i == 0 or path[i - 1] != p]
    return "".join(LABELS[p] for p in merged if p)


@pytest.mark.parametrize("text", ["", "A", "AB", "AA"])
def test_ctc_loss_is_the_sum_over_all_paths(text: str) -> None:
    torch.manual_seed(0)
    log_probs = torch.randn(1, 4, 3).log_softmax(-1)
    paths = [p for p in product(range(3), repeat=4) if collapse(p) == text]
    total = sum(math.exp(sum(float(log_probs[0, t, i]) for t, i in enumerate(p))) for p in paths)
    loss = ctc_loss(log_probs, torch.tensor([4]), [encode(text, LABELS)])
    assert float(loss) == pytest.approx(-math.log(total), rel=1e-5)


def test_a_reference_is_spelled_as_the_recognizer_writes() -> None:
    said = "D\u00e9j\u00e0 vu."
    assert as_written_by(SimpleNamespace(labels="_D\u00c9JA VU"), said) == "D\u00c9JA VU"
    assert as_written_by(SimpleNamespace(normaliser=str.lower), said) == said
    assert as_written_by(SimpleNamespace(), said) == "D\u00c9J\u00c0 VU"
    french = SimpleNamespace(labels="_d\u00e9j\u00e0 vu", rate=16_000)
    assert as_written_by(Voted(french, 3), said) == "d\u00e9j\u00e0 vu"  # type: ignore[arg-type]


def test_frames_needed_counts_blanks_between_equal_letters() -> None:
    assert [frames_needed(t) for t in ("", "A", "AB", "AAB", "AAAA")] == [0, 1, 2, 4, 7]


def test_a_text_longer_than_its_frames_is_refused() -> None:
    with pytest.raises(TextError, match="needs 3 frames but the audio has 2"):
        check_frames(torch.tensor([3, 2]), [encode(t, LABELS) for t in ("AB", "AA")], ["AB", "AA"])


def test_the_number_of_texts_must_match() -> None:
    with pytest.raises(ValueError, match="1 texts for a batch of 2"):
        check_frames(torch.tensor([3, 2]), [encode("AB", LABELS)], ["AB"])
