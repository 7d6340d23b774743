"""The attacks that see transcripts alone."""

import pytest
import torch
from torch import Tensor

from melmoat import attacks
from melmoat.attacks import Targeted, Untargeted
from melmoat.attacks.oracle import NEVER, Crafted
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.spec import SpecError

SPECS = ["nes:norm=l2,eps=1,queries={}", "genetic:norm=l2,eps=1,queries={}"]
POINT = 0.3 * torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0])


class Ladder:
    """Hears one ``A`` more for every 0.02 of distance from a point; it has nothing but texts."""

    rate = 16_000

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.streams: list[int] = []

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        self.heard.append(len(audio))
        self.streams += draws.seeds
        far: Tensor = (audio.wav - POINT[: audio.wav.shape[1]]).norm(dim=1)
        return ["A" * int(d / 0.02) for d in far]

    def loss(self, audio: Audio, texts: object, draws: Draws) -> Tensor:
        raise AssertionError("an attack that sees transcripts alone must not ask for a loss")


def flat() -> Audio:
    return Audio.of([torch.zeros(8), torch.zeros(8)])


@pytest.mark.parametrize("spec", SPECS)
class TestPopulation:
    def test_it_climbs_where_random_points_do_not(self, spec: str) -> None:
        start = float(POINT.norm())
        assert start > 0.8
        attack = attacks.build(spec.format(2000))
        four = Audio.of([torch.zeros(8)] * 4), Targeted([""] * 4), Draws(range(4))
        ended = (attack(Ladder(), *four).wav - POINT).norm(dim=1)
        rounds = attacks.build("nes:norm=l2,eps=1,step=1e-9,queries=2000")
        random = (rounds(Ladder(), *four).wav - POINT).norm(dim=1)
        assert ended.mean() < 0.5 * random.mean()
        assert (ended < 0.3 * start).all()

    def test_queries_are_counted_and_never_exceeded(self, spec: str) -> None:
        attack = attacks.build(spec.format("130,population=40,chunk=16"))
        model = Ladder()
        out = attack(model, flat(), Targeted(["NEVER", "NEVER"]), Draws([0, 1]))
        assert isinstance(out, Crafted)
        assert out.queries is not None
        assert out.queries.tolist() == [120, 120]
        assert sum(model.heard) == 240
        assert len(model.heard) == attack.evaluations == 9
        assert max(model.heard) == 32
        assert len(set(model.streams)) == 240  # every query has its own randomness
        assert out.first is not None
        assert out.first.tolist() == [NEVER, NEVER]

    def test_an_utterance_that_is_done_leaves(self, spec: str) -> None:
        model = Ladder()
        audio = Audio.of([torch.zeros(6), torch.zeros(8)])
        goal = Targeted(["NEVER", "A" * int(POINT.norm() / 0.02)])
        attack = attacks.build(spec.format("400,population=40,stop=true"))
        out = attack(model, audio, goal, Draws([0, 1]))
        assert isinstance(out, Crafted)
        assert out.queries is not None
        assert out.first is not None
        assert out.queries[0] == 400
        assert out.first[0] == NEVER
        rounds = int(out.first[1]) + 1
        assert out.queries[1] == 40 * rounds < 400
        assert model.heard == [80] * rounds + [40] * (10 - rounds)
        assert goal.reached(model.transcribe(out, Draws([0, 1]))) == [False, True]

    def test_a_chunk_changes_nothing(self, spec: str) -> None:
        one, two = (
            attacks.build(spec.format(f"120,chunk={chunk}"))(
                Ladder(), flat(), Targeted(["", ""]), Draws([0, 1])
            )
            for chunk in (7, "none")
        )
        assert torch.equal(one.wav, two.wav)


def test_distances_are_edits_in_characters() -> None:
    assert Targeted(["STOP", "GO"]).distances(["STEP", "GO"]) == [1, 0]
    assert Untargeted(["STOP", "GO"]).distances(["STEP", "GO"]) == [-1, 0]


def test_distances_see_what_counts_as_the_same_text_as_reached_does() -> None:
    heard = ["stop", "GO"]
    for goal in (Targeted(["STOP", "NO"], str.upper), Untargeted(["STOP", "NO"], str.upper)):
        at_zero = [distance == 0 for distance in goal.distances(heard)]
        assert at_zero == [True, False]
        assert goal.reached(heard) == [zero == isinstance(goal, Targeted) for zero in at_zero]


def test_mutation_grows_where_nothing_changes_and_makes_new_samples() -> None:
    class Deaf(Ladder):
        def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
            self.last = audio.wav.detach().clone()
            return [""] * len(audio)

    spec = "genetic:norm=linf,eps=1,population=10,elite=1,mutation=0"
    audio = Audio.of([torch.zeros(5_000)])
    changed = []
    for rounds in (2, 30):
        model = Deaf()
        attack = attacks.build(f"{spec},queries={10 * rounds}")
        attack(model, audio, Targeted(["GO"]), Draws([3]))
        changed.append(float((model.last[0] != model.last[1]).double().mean()))
    assert changed[0] == 0  # without mutation all children of one parent are the same
    assert changed[1] > 0.05


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nes:db=20,queries=10", "queries at least one population"),
        ("nes:db=20,population=5", "must be even"),
        ("nes:db=20,step=0", "step must be positive"),
        ("nes:db=20,chunk=0", "chunk must be at least 1"),
        ("genetic:db=20,elite=51", "at most population"),
        ("genetic:db=20,mutation=2", "between 0 and 1"),
    ],
)
def test_unusable_options_say_why(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        attacks.build(spec)
