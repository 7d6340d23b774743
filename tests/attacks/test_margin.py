from itertools import groupby, product

import pytest
import torch

from melmoat.attacks.margin import Margin, alignment
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.text import encode
from tests.attacks.toys import Frames

LABELS = "_AB"


def log_probs(frames: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(1, frames, len(LABELS), generator=generator)).log_softmax(-1)


def likeliest(scores: torch.Tensor, text: str) -> tuple[int, ...]:
    """The best of all label sequences that read as ``text``, tried one by one."""

    def reads(path: tuple[int, ...]) -> str:
        return "".join(LABELS[i] for i, _ in groupby(path) if i)

    every = product(range(len(LABELS)), repeat=len(scores))
    fitting = [path for path in every if reads(path) == text]
    return max(fitting, key=lambda path: sum(float(scores[t, i]) for t, i in enumerate(path)))


@pytest.mark.parametrize("text", ["", "A", "AB", "AA", "ABA", "BBA"])
def test_the_alignment_is_the_likeliest_of_all(text: str) -> None:
    for seed in range(5):
        scores = log_probs(6, seed)
        found = alignment(scores, torch.tensor([6]), [encode(text, LABELS)])
        assert tuple(found[0].tolist()) == likeliest(scores[0], text)


def test_a_batch_is_aligned_as_its_singles() -> None:
    scores = torch.cat([log_probs(9, seed) for seed in range(3)])
    frames, texts = torch.tensor([9, 4, 6]), ["ABAB", "", "AA"]
    found = alignment(scores, frames, [encode(text, LABELS) for text in texts])
    for i, text in enumerate(texts):
        n = int(frames[i])
        alone = alignment(scores[i : i + 1, :n], frames[i : i + 1], [encode(text, LABELS)])
        assert torch.equal(found[i, :n], alone[0])


def test_the_loss_is_what_the_best_other_label_is_ahead(ragged: Audio) -> None:
    model = Frames()
    logs, frames = model.log_probs(ragged, Draws([1, 2, 3]))
    best = zip(logs.argmax(2).tolist(), frames.tolist(), strict=True)
    # What is heard, with the spaces that a transcript leaves out.
    heard = ["".join(model.labels[i] for i, _ in groupby(row[:n]) if i) for row, n in best]
    assert Margin(model).loss(ragged, heard, Draws([1, 2, 3])).tolist() == [0, 0, 0]
    sure = Margin(model, confidence=2.0).loss(ragged, heard, Draws([1, 2, 3]))
    lead = logs.topk(2).values.diff()[..., 0].neg()  # of each frame's best label
    for i, n in enumerate(frames.tolist()):
        assert sure[i] == pytest.approx(float((2 - lead[i, :n]).relu().sum()), abs=1e-4)
    other = Margin(model).loss(ragged, ["NO", "HELP", "STOP IT"], Draws([1, 2, 3]))
    assert (other > 0).all()


def test_it_takes_frame_wise_probabilities() -> None:
    class Plain:
        rate = 16_000

    with pytest.raises(MelmoatError, match="use a CTC recognizer"):
        Margin(Plain())  # type: ignore[arg-type]
