from collections.abc import Sequence

import pytest
import torch

from melmoat import data, defenses, models
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer, labels_of
from melmoat.models.decoding import greedy
from melmoat.models.hf_ctc import OTHER, written
from melmoat.models.timing import Word, timeable, words_of
from tests.attacks.toys import Frames

LABELS = "_AB "


def path(*best: int) -> torch.Tensor:
    return torch.eye(len(LABELS) + 1)[list(best)][None].log()


@pytest.mark.parametrize(
    ("best", "words"),
    [
        ((0, 1, 1, 0, 1, 3, 0, 2), [Word("AA", 0.1, 0.5), Word("B", 0.7, 0.8)]),
        ((3, 3, 2, 3), [Word("B", 0.2, 0.3)]),
        ((2, 1), [Word("BA", 0.0, 0.2)]),
        ((0, 0), []),
    ],
)
def test_a_word_lasts_from_its_first_letter_to_its_last(
    best: Sequence[int], words: list[Word]
) -> None:
    frames = torch.tensor([len(best)])
    (found,) = words_of(path(*best), frames, LABELS, [0.1 * len(best)])
    assert [word.text for word in found] == [word.text for word in words]
    assert [word[1:] for word in found] == [pytest.approx(word[1:]) for word in words]
    assert " ".join(word.text for word in found) == greedy(path(*best), frames, LABELS)[0]


def test_only_the_utterance_s_own_frames_count() -> None:
    (found,) = words_of(path(1, 3, 2), torch.tensor([2]), LABELS, [1.0])
    assert found == [Word("A", 0.0, 0.5)]


def test_what_is_never_written_is_in_no_word() -> None:
    labels = LABELS + OTHER
    log_probs = torch.tensor([[[0.0, 1, 0, 0, 9], [5, 0, 0, 0, 9]]])
    frames = torch.tensor([2])
    (found,) = words_of(log_probs, frames, labels, [1.0])
    assert [word.text for word in found] == written(greedy)(log_probs, frames, labels) == ["A"]


def test_labels_that_look_alike_are_two_letters() -> None:
    labels = "_AA "
    frames = torch.tensor([3])
    (found,) = words_of(path(1, 2, 2), frames, labels, [3.0])
    assert [word.text for word in found] == greedy(path(1, 2, 2), frames, labels) == ["AA"]


def heard(model: Recognizer, audio: Audio) -> tuple[list[str], list[list[Word]]]:
    ctc = timeable(model)
    assert ctc is not None
    draws = Draws(range(len(audio)))
    with torch.no_grad():
        log_probs, frames = ctc.log_probs(audio, draws)
    words = words_of(log_probs, frames, labels_of(model) or "", audio.seconds.tolist())
    return model.transcribe(audio, draws), words


def test_words_are_where_they_are_said() -> None:
    model = models.load("ds2-an4")
    clean = data.read(list(data.load("demo"))[5:9])
    texts, words = heard(model, clean)
    assert [" ".join(word.text for word in found) for found in words] == texts
    late = [torch.nn.functional.pad(wave, (8000, 0)) for wave in clean]
    same, moved = heard(model, Audio.of(late))
    assert same == texts
    for found, after in zip(words, moved, strict=True):
        for one, other in zip(found, after, strict=True):
            assert other.start - one.start == pytest.approx(0.5, abs=0.1)
            assert other.end - one.end == pytest.approx(0.5, abs=0.1)


def test_votes_have_times_and_what_writes_otherwise_has_none() -> None:
    assert timeable(models.load("ds2-an4:beam=4")) is None
    model = models.load("ds2-an4")
    for spec in ("none", "wgn", "rs", "voted:wgn,votes=2"):
        assert timeable(defenses.build(spec).wrap(model))
    assert timeable(defenses.build("voted:wgn,votes=2,vote=rover").wrap(model)) is None


def test_a_transcript_of_somebody_s_own_has_no_times() -> None:
    class Corrected(Frames):
        def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
            return ["CORRECTED" for _ in audio]

    class Spelled(Frames):
        def decode(self, log_probs: torch.Tensor, frames: torch.Tensor) -> list[str]:
            return ["SPELLED" for _ in frames]

    wgn = defenses.build("wgn")
    assert timeable(wgn.wrap(Frames()))
    for model in (Corrected(), Spelled()):
        assert timeable(model) is timeable(wgn.wrap(model)) is None
