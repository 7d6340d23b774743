from itertools import product

import pytest
import torch

from melmoat.models.decoding import beam, greedy

LABELS = "_AB "


def frames_of(*best: int) -> torch.Tensor:
    return torch.eye(4)[list(best)][None].log()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((1, 1, 0, 1), "AA"),
        ((0, 0, 0), ""),
        ((3, 1, 3, 3, 2, 3), "A B"),
        ((1, 2, 2, 0), "AB"),
    ],
)
def test_greedy_merges_and_drops_blanks(path: tuple[int, ...], text: str) -> None:
    assert greedy(frames_of(*path), torch.tensor([len(path)]), LABELS) == [text]


def test_frames_beyond_the_utterance_are_not_read() -> None:
    assert greedy(frames_of(1, 0, 2), torch.tensor([2]), LABELS) == ["A"]
    assert beam(4)(frames_of(1, 0, 2), torch.tensor([2]), LABELS) == ["A"]


def test_a_wide_beam_finds_the_most_probable_text() -> None:
    torch.manual_seed(0)
    for _ in range(20):
        log_probs = torch.randn(1, 4, 3).log_softmax(-1)
        totals: dict[str, float] = {}
        for path in product(range(3), repeat=4):
            text = greedy(torch.eye(3)[list(path)][None].log(), torch.tensor([4]), "_AB")[0]
            p = float(log_probs[0, range(4), path].sum().exp())
            totals[text] = totals.get(text, 0.0) + p
        best = max(totals, key=lambda text: totals[text])
        assert beam(100)(log_probs, torch.tensor([4]), "_AB") == [best]


def test_the_sum_over_paths_can_beat_the_best_path() -> None:
    # Graves et al. 2006: blank is the best label of both frames, "A" the best text.
    log_probs = torch.tensor([[[0.6, 0.4], [0.6, 0.4]]]).log()
    assert greedy(log_probs, torch.tensor([2]), "_A") == [""]
    assert beam(4)(log_probs, torch.tensor([2]), "_A") == ["A"]


def test_a_beam_of_no_width_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        beam(0)
