import torch

from melmoat import attacks
from melmoat.attacks.base import Untargeted
from melmoat.attacks.oracle import Crafted
from melmoat.audio import Audio
from melmoat.draws import Draws
from tests.attacks.toys import Frames


class Deaf(Frames):
    """Frames that nobody can take a gradient of, and that counts what it is asked."""

    asked = 0

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        assert not audio.wav.requires_grad
        Deaf.asked += len(audio)
        return super().transcribe(audio, draws)

    def loss(self, *args: object) -> torch.Tensor:
        raise AssertionError("a search that sees transcripts only asked for the loss")


def test_it_hears_transcripts_only_and_more_queries_do_more_harm(ragged: Audio) -> None:
    truth = Frames().transcribe(ragged, Draws([0, 1, 2]))
    goal = Untargeted([" ".join(text[::2]) for text in truth])  # words of one letter
    harm = []
    for queries in (1, 40):
        Deaf.asked = 0
        attack = attacks.build(f"blocks:db=25,queries={queries}")
        out = attack(Deaf(), ragged, goal, Draws([5, 6, 7]))
        assert isinstance(out, Crafted)
        assert out.queries is not None
        assert out.queries.sum() == Deaf.asked <= 3 * queries
        harm.append(sum(goal.scores(Frames().transcribe(out, Draws([0, 1, 2])))))
    assert harm[1] <= harm[0]


def test_an_utterance_without_a_word_right_is_left_alone(ragged: Audio) -> None:
    goal = Untargeted(["NOT WHAT IT HEARS", "NEITHER", "NOR THIS"])
    out = attacks.build("blocks:db=25,queries=9")(Deaf(), ragged, goal, Draws([5, 6, 7]))
    assert isinstance(out, Crafted)
    assert out.queries is not None
    assert out.queries.tolist() == [1, 1, 1]


class Chinese(Frames):
    """Hears one character of three wrong."""

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        return ["\u6253\u5f00\u5173"] * len(audio)


def test_a_text_without_spaces_is_not_done_with_one_character_wrong(ragged: Audio) -> None:
    attack, asked = attacks.build("blocks:db=25,queries=9"), []
    for said in ("\u6253\u5f00\u95e8", "\u4f60\u597d"):  # the other has no character right
        out = attack(Chinese(), ragged, Untargeted([said] * 3), Draws([5, 6, 7]))
        assert isinstance(out, Crafted)
        assert out.queries is not None
        asked.append(out.queries.tolist())
    assert asked == [[9, 9, 9], [1, 1, 1]]


def test_one_wrong_character_is_not_all_where_words_stand_without_spaces(ragged: Audio) -> None:
    """Such a text is one word, so the search ended at the first wrong character."""

    class Ideographs(Frames):
        labels = "_" + "".join(chr(0x4E00 + i) for i in range(28))

    model = Ideographs()
    truth = model.transcribe(ragged, Draws([0, 1, 2]))
    goal = Untargeted([text[:1] + "\u9580" + text[2:] for text in truth])  # one is wrong already
    assert goal.scores(truth) == [-1.0] * 3
    assert goal.enough() == [-float(len(text)) for text in truth]
    out = attacks.build("blocks:db=25,queries=9")(model, ragged, goal, Draws([5, 6, 7]))
    assert isinstance(out, Crafted)
    assert out.queries is not None
    assert out.queries.tolist() == [9, 9, 9]
