"""Scores of a comparison, where both transcripts and both losses are known."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from melmoat import defenses, detectors
from melmoat.audio import Audio
from melmoat.detectors import score
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.metrics.errors import char_edits
from melmoat.models.seq2seq import Vocabulary, readable
from tests.attacks.toys import Frames
from tests.models.test_seq2seq import ENDS, ONE_WAY, Chain, Writer


class ByLevel:
    """Writes by the level of what it hears; a text's loss is its length times the level."""

    rate = 16_000

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        return ["Gone!" if level > 0.1 else "go" for level in audio.rms]

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        return audio.rms * torch.tensor([float(len(text)) for text in texts])


class Begun(Chain):
    """A chain that reads what every text begins with, as teacher forcing needs it."""

    begun = False

    def read(self, tokens: Tensor) -> Tensor:
        if not self.begun:
            tokens = torch.cat([torch.full((len(tokens), 1), -1), tokens], 1)
        self.begun = True
        return super().read(tokens)

    def pick(self, rows: Sequence[int]) -> Chain:
        picked = Begun(self.follows[list(rows)])
        picked.begun = self.begun
        return picked


class Spelled(Writer):
    """A writer that also reads A and B."""

    rate = 16_000

    def __init__(self, *follows: list[list[float]], longest: int, room: int) -> None:
        super().__init__(*follows, beam=0)
        self.vocabulary = Vocabulary(
            lambda text: ["AB".index(c) for c in text],
            self.vocabulary.decode,
            self.vocabulary.end,
            longest,
            room,
        )

    def encode(self, audio: Audio, draws: Draws) -> Chain:
        return Begun(self.chain.follows)


SELDOM_ENDS = [[0.3, 0.6, 0.1], [0.6, 0.3, 0.1], [0.8, 0.1, 0.1]]
LOUDER = "compress:power=0.5"
TONE = torch.sin(torch.arange(4_000) / 9)


def test_the_distance_of_transcripts_is_relative_to_the_longer_one() -> None:
    audio = Audio.of([0.05 * TONE, 0.9 * TONE])
    made = detectors.build(f"disagreement:({LOUDER})")
    assert score(made, ByLevel(), audio) == [0.5, 0]  # GO and GONE, and twice GONE


def test_two_empty_transcripts_agree() -> None:
    class Deaf(ByLevel):
        def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
            return [""] * len(audio)

    made = detectors.build(f"disagreement:({LOUDER})")
    assert score(made, Deaf(), Audio.of([TONE])) == [0]


def test_the_drop_of_likelihood_is_a_difference_of_losses_for_each_character() -> None:
    audio = Audio.of([0.05 * TONE, 0.9 * TONE])
    louder = defenses.front_end(LOUDER)(audio, Draws([1, 2]))
    found = score(detectors.build(f"likelihood:({LOUDER})"), ByLevel(), audio)
    assert found == pytest.approx((louder.rms - audio.rms).tolist())


def test_the_evasion_of_a_target_is_its_loss_behind_the_defense(ragged: Audio) -> None:
    made, model = detectors.build("disagreement:(mulaw:bits=2,gradient=bpda)"), Frames()
    behind = defenses.build("mulaw:bits=2,gradient=bpda").wrap(model)
    texts = ["NO", "GO", "A"]
    expected = behind.loss(ragged, texts, Draws([0] * 3))
    assert torch.equal(made.evasion(model, ragged, Draws([1, 2, 3]), texts), expected)
    heard = model.transcribe(ragged, Draws([0] * 3))
    assert char_edits(heard[0], behind.transcribe(ragged, Draws([0] * 3))[0])[0] > 0
    expected = behind.loss(ragged, heard, Draws([0] * 3))
    assert torch.equal(made.evasion(model, ragged, Draws([1, 2, 3]), None), expected)


def test_tokens_have_distributions_too() -> None:
    """Those behind the start and behind each token of the own transcript."""

    model = Spelled(ENDS, ONE_WAY, longest=2, room=9)
    audio = Audio.of([torch.zeros(9)] * 2)
    texts = model.transcribe(audio, Draws([0, 0]))
    assert texts == ["AA", "AB"]

    def entropy(row: list[float]) -> float:
        return float(torch.special.entr(torch.tensor(row)).sum())

    wanted = [(entropy(ENDS[2]) + 2 * entropy(ENDS[0])) / 3, 0]
    assert score(detectors.build("distriblock"), model, audio) == pytest.approx(wanted)


@pytest.mark.parametrize("spec", ["likelihood:wgn", "distriblock"])
def test_a_transcript_that_the_decoder_broke_off_has_a_score(spec: str) -> None:
    """It has as many tokens as can be read, and the end is one more."""

    model, audio = Spelled(SELDOM_ENDS, longest=4, room=4), Audio.of([torch.ones(900)])
    assert model.transcribe(audio, Draws([0])) == ["ABAB"]
    assert readable(model, "ABAB") == "ABA"
    assert readable(model, "AB") == "AB"
    assert len(score(detectors.build(spec), model, audio)) == 1


def test_a_defense_without_a_gradient_has_no_evasion(ragged: Audio) -> None:
    made = detectors.build("disagreement:mulaw")
    with pytest.raises(MelmoatError, match="gradient=bpda"):
        made.evasion(Frames(), ragged, Draws([1, 2, 3]), None)
