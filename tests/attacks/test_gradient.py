from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from melmoat import attacks, defenses
from melmoat.attacks import PGD, Targeted, Untargeted
from melmoat.attacks.base import AttackError
from melmoat.attacks.oracle import NEVER, Crafted
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.decoding import beam, greedy
from melmoat.models.hf_ctc import written
from melmoat.models.wrappers import Monitored
from melmoat.spec import SpecError
from tests.attacks.toys import Frames


class Linear:
    """A recognizer whose loss is ``-w.x``: every attack on it has a closed form."""

    rate = 16_000

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        return ["" for _ in audio]

    def loss(self, audio: Audio, texts: object, draws: Draws) -> Tensor:
        return (audio.wav * self.weights.repeat(len(audio) // len(self.weights), 1)).sum(1)


def setup() -> tuple[Linear, Audio]:
    torch.manual_seed(0)
    weights = torch.randn(2, 50)
    weights[1, 40:] = 5.0  # beyond the second utterance: must not be used
    return Linear(weights), Audio.of([torch.rand(50) - 0.5, torch.rand(40) - 0.5])


@pytest.mark.parametrize("steps", [1, 20])
def test_l2_ends_at_the_radius_along_the_gradient(steps: int) -> None:
    model, audio = setup()
    out = PGD(norm="l2", eps=0.3, steps=steps, step=1.0)(
        model, audio, Untargeted(["", ""]), Draws([0, 1])
    )
    weights = model.weights * audio.mask
    best = 0.3 * weights / weights.norm(dim=1, keepdim=True)
    assert torch.allclose(out.wav - audio.wav, best, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda audio: audio.wav.detach().sum(1), "no gradient reaches the waveform"),
        (lambda audio: audio.wav.sum(), r"shape \[\] for 2 utterance\(s\); expected .*\[2\]"),
    ],
)
def test_a_loss_that_cannot_be_followed_is_told(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[[Audio], Tensor], message: str
) -> None:
    model, audio = setup()
    monkeypatch.setattr(Linear, "loss", lambda self, audio, texts, draws: wrong(audio))
    with pytest.raises(AttackError, match=message):
        PGD(norm="l2", eps=0.3)(model, audio, Untargeted(["", ""]), Draws([0, 1]))


def test_fgsm_is_one_signed_step() -> None:
    model, audio = setup()
    attack = attacks.build("pgd:norm=linf,eps=0.01,steps=1,step=1")
    out = attack(model, audio, Untargeted(["", ""]), Draws([0, 1]))
    best = 0.01 * model.weights.sign() * audio.mask
    assert torch.allclose(out.wav - audio.wav, best, atol=1e-7)


def test_fgsm_can_keep_the_point_with_most_errors(ragged: Audio) -> None:
    """It heard its start alone, so it gave the clean audio back."""
    model, passes = Frames(), 0

    def tick() -> None:
        nonlocal passes
        passes += 1

    clean = ragged.quantized()
    goal = Untargeted(model.transcribe(clean, Draws([0, 1, 2])))
    attack = attacks.build("pgd:db=5,steps=1,step=1,keep=errors")
    out = attack(Monitored(model, tick), clean, goal, Draws([0, 1, 2]))
    assert goal.reached(model.transcribe(out, Draws([0, 1, 2]))) == [True] * 3
    assert passes == attack.evaluations == 2


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_what_the_last_step_made_can_be_kept(steps: int, ragged: Audio) -> None:
    """Without ``best`` the last point was not heard, so the one before it was given back."""
    model, clean = Frames(), ragged.quantized()
    goal = Untargeted(model.transcribe(clean, Draws([0, 1, 2])))
    kept = [
        attacks.build(f"pgd:db=5,steps={steps},keep=errors{best}")(
            model, clean, goal, Draws([0, 1, 2])
        )
        for best in ("", ",best=true")
    ]
    assert torch.equal(kept[0].wav, kept[1].wav)


def test_full_scale_is_kept_but_a_louder_file_keeps_its_peaks() -> None:
    model = Linear(torch.ones(1, 3))
    audio = Audio.of([torch.tensor([0.995, 1.2, 0.0])])
    out = PGD(norm="linf", eps=0.01, steps=3)(model, audio, Untargeted([""]), Draws([0]))
    assert torch.allclose(out.wav, torch.tensor([[1.0, 1.2, 0.006]]), atol=1e-6)


def test_restarts_never_lose_and_can_win(tiny: object, ragged: Audio) -> None:
    goal = Untargeted(["GO ON", "ENTER SIX", "A"])
    losses = []
    for restarts in (1, 4):
        attack = PGD(norm="snr", db=20, steps=2, restarts=restarts)
        out = attack(tiny, ragged, goal, Draws([1, 2, 3]))  # type: ignore[arg-type]
        losses.append(goal.loss(tiny, out, Draws([1, 2, 3])))  # type: ignore[arg-type]
    assert (losses[1] <= losses[0] + 1e-4).all()
    assert (losses[1] < losses[0] - 1e-3).any()


def test_a_random_start_is_random_and_starts_within(tiny: object, ragged: Audio) -> None:
    goal = Untargeted(["GO ON", "ENTER SIX", "A"])

    def first_loss_at(attack: PGD, seed: int) -> Tensor:
        heard: list[Tensor] = []

        class Spy:
            rate = 16_000

            def loss(self, audio: Audio, texts: list[str], draws: Draws) -> Tensor:
                heard.append(audio.wav.detach().clone())
                return tiny.loss(audio, texts, draws)  # type: ignore[attr-defined,no-any-return]

        attack(Spy(), ragged, goal, Draws([seed, 1, 2]))  # type: ignore[arg-type]
        return heard[0] - ragged.wav

    assert first_loss_at(PGD(db=20, steps=1), 0).eq(0).all()
    starts = [first_loss_at(PGD(db=20, steps=1, random_start=True), seed) for seed in (0, 9)]
    assert (starts[0].norm(dim=1) > 0).all()
    assert not torch.equal(starts[0][0], starts[1][0])
    assert torch.equal(starts[0][1], starts[1][1])


def test_a_gradient_that_is_not_finite_is_an_error_not_a_robust_model() -> None:
    _, audio = setup()
    weights = torch.ones(2, 50)
    weights[1, 3] = torch.nan
    with pytest.raises(AttackError, match=r"utterance\(s\) \[1\]"):
        PGD(db=20, steps=2)(Linear(weights), audio, Untargeted(["", ""]), Draws([0, 1]))


def test_momentum_is_that_of_dong() -> None:
    class Turning(Linear):
        """Its gradient is ``a`` at the first step and ``b`` at the second."""

        def loss(self, audio: Audio, texts: object, draws: Draws) -> Tensor:
            self.weights = next(self.turns)
            return super().loss(audio, texts, draws)

    a, b = torch.tensor([[3.0, -1.0, 0.1]]), torch.tensor([[-3.0, 3.0, 0.3]])
    model = Turning(a)
    model.turns = iter([a, b])  # type: ignore[attr-defined]
    audio = Audio.of([torch.zeros(3)])
    attack = PGD(norm="linf", eps=1.0, steps=2, step=0.1, momentum=1.0)
    out = attack(model, audio, Untargeted([""]), Draws([0]))
    expected = 0.1 * a.sign() + 0.1 * (a / a.abs().sum() + b / b.abs().sum()).sign()
    assert torch.allclose(out.wav, expected)
    assert not torch.allclose(out.wav, 0.1 * a.sign() + 0.1 * b.sign())


def test_schedules_add_up_to_what_they_say() -> None:
    model, audio = setup()
    for schedule, total in {"constant": 4.0, "linear": 2.5, "cosine": 2.5}.items():
        attack = attacks.build(f"pgd:norm=linf,eps=1,steps=4,step=0.01,schedule={schedule}")
        out = attack(model, audio, Untargeted(["", ""]), Draws([0, 1]))
        moved = 0.01 * total * model.weights.sign() * audio.mask
        assert torch.allclose(out.wav, (audio.wav + moved).clamp(-1, 1), atol=1e-6)


class Bowl:
    """A recognizer whose loss is the distance to a point: steps that are too long overshoot."""

    rate = 16_000

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        return ["HIT" if abs(wave[0]) < 0.06 else "MISS" for wave in audio]

    def loss(self, audio: Audio, texts: object, draws: Draws) -> Tensor:
        return audio.wav[:, 0].abs()


def test_the_best_point_is_kept_and_more_steps_never_weaken() -> None:
    audio = Audio.of([torch.tensor([0.5, 0.0]), torch.tensor([0.3, 0.0])])

    def distance(**options: object) -> Tensor:
        attack = PGD(norm="linf", eps=1.0, step=0.4, **options)  # type: ignore[arg-type]
        return attack(Bowl(), audio, Targeted(["HIT", "HIT"]), Draws([0, 1])).wav[:, 0].abs()

    assert torch.allclose(distance(steps=2), torch.tensor([0.3, 0.3]))  # one step too many
    found = [distance(steps=steps, best=True) for steps in (1, 2, 3, 9)]
    assert torch.allclose(found[1], torch.tensor([0.1, 0.1]))
    assert all((b <= a + 1e-6).all() for a, b in pairwise(found))


def test_an_utterance_that_is_done_leaves_the_batch() -> None:
    sizes: list[int] = []

    class Counting(Bowl):
        def loss(self, audio: Audio, texts: object, draws: Draws) -> Tensor:
            sizes.append(len(audio))
            assert len(texts) == len(audio)  # type: ignore[arg-type]
            return super().loss(audio, texts, draws)

    audio = Audio.of([torch.tensor([0.5]), torch.tensor([0.0, 0.7]), torch.tensor([0.25, 0.1])])
    attack = PGD(norm="linf", eps=1.0, steps=8, step=0.1, stop=True)
    out = attack(Counting(), audio, Targeted(["HIT"] * 3), Draws([0, 1, 2]))
    assert torch.allclose(out.wav, torch.tensor([[0, 0], [0, 0.7], [0.05, 0.1]]), atol=1e-6)
    assert isinstance(out, Crafted)
    assert out.first is not None
    assert out.queries is not None
    assert out.first.tolist() == [5, 0, 2]
    assert out.queries.tolist() == [12, 2, 6]  # a loss and a transcript each
    assert sizes == [3, 2, 2, 1, 1, 1]
    never = Targeted(["NEVER"] * 3)
    first = attack(Counting(), audio, never, Draws([0, 1, 2])).first  # type: ignore[attr-defined]
    assert first.tolist() == [NEVER] * 3


def test_the_first_success_is_counted_in_gradient_steps_over_all_restarts() -> None:
    class Late(Bowl):
        """Never reached before its fifth gradient."""

        gradients = 0

        def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
            return ["HIT" if self.gradients >= 5 else "MISS"] * len(audio)

        def loss(self, audio: Audio, texts: object, draws: Draws) -> Tensor:
            self.gradients += audio.wav.requires_grad
            return super().loss(audio, texts, draws)

    audio = Audio.of([torch.tensor([0.5])])
    for spec in ("pgd:norm=linf,eps=1,steps=3", "apgd:norm=linf,eps=1,steps=3"):
        out = attacks.build(f"{spec},stop=true,restarts=3")(
            Late(), audio, Targeted(["HIT"]), Draws([0])
        )
        assert isinstance(out, Crafted)
        assert out.first is not None
        assert out.first.tolist() == [5]


def test_listening_by_transcribing_is_a_query_of_its_own() -> None:
    passes = []

    class Counting(Bowl):
        def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
            passes.append(len(audio))
            return super().transcribe(audio, draws)

        def loss(self, audio: Audio, texts: object, draws: Draws) -> Tensor:
            passes.append(len(audio))
            return super().loss(audio, texts, draws)

    audio = Audio.of([torch.tensor([0.5])])
    attack = attacks.build("pgd:norm=linf,eps=1,steps=3,stop=true,eot=2,chunk=1")
    out = attack(Counting(), audio, Targeted(["NEVER"]), Draws([0]))
    assert isinstance(out, Crafted)
    assert out.queries is not None
    assert out.queries.tolist() == [sum(passes)]


@pytest.mark.parametrize("spec", ["pgd:norm=linf,eps=0.02,steps=6", "apgd:norm=linf,eps=0.02"])
def test_where_hearing_is_free_the_first_success_is_noted_and_changes_nothing(
    spec: str, ragged: Audio
) -> None:
    class Beam(Frames):
        decoder = staticmethod(beam(2))

    class Filtered(Frames):  # as a network with outputs that are no characters
        decoder = staticmethod(written(greedy))
        criterion = torch.nn.CTCLoss()  # its own business

    draws = Draws([1, 2, 3])
    goal = Untargeted(Frames().transcribe(ragged, draws))
    out, early, unheard, filtered = (
        attacks.build(spec + more)(model, ragged, goal, draws)
        for model, more in (
            (Frames(), ""),
            (Frames(), ",stop=true"),
            (Beam(), ""),
            (Filtered(), ""),
        )
    )
    assert isinstance(out, Crafted)
    assert isinstance(early, Crafted)
    assert isinstance(unheard, Crafted)
    assert out.first is not None
    assert early.first is not None
    assert torch.equal(out.first, early.first)
    assert (out.first >= 1).all()
    assert unheard.first is None
    assert torch.equal(out.wav, unheard.wav)
    assert isinstance(filtered, Crafted)
    assert filtered.first is not None
    assert torch.equal(out.first, filtered.first)
    assert torch.equal(out.wav, filtered.wav)
    assert out.queries is not None
    assert unheard.queries is not None
    assert torch.equal(out.queries, unheard.queries)


def test_who_leaves_confirmed_has_reached_the_goal() -> None:
    generator = torch.Generator().manual_seed(0)
    waves = [0.1 * torch.randn(n, generator=generator) for n in (8000, 6400, 9600)]
    clean = Audio.of(waves).quantized()
    noisy = defenses.build("wgn:snr=25").wrap(Frames())
    goal = Targeted(["NO", "HELP ME", "STOP"])
    shares = []
    for more in ("", ",confirm=6"):
        attack = attacks.build("pgd:norm=snr,db=20,steps=30,stop=true" + more)
        out = attack(noisy, clean, goal, Draws([1, 2, 3]))
        heard = [goal.reached(noisy.transcribe(out, Draws([k, k, k]))) for k in range(50, 90)]
        shares.append(sum(map(sum, heard)) / 120)
    assert shares[0] < 0.8
    assert shares[1] > 0.9


def test_a_point_that_was_confirmed_is_kept_before_a_lucky_one() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = Audio.of([0.1 * torch.randn(8000, generator=generator)] * 6).quantized()
    noisy = defenses.build("wgn:snr=20").wrap(Frames())
    spec = "pgd:norm=snr,db=20,steps=40,step=0.1,stop=true,confirm=3"
    last, kept = (
        attacks.build(spec + more)(noisy, clean, Targeted(["NO"] * 6), Draws(range(6)))
        for more in ("", ",keep=errors")
    )
    assert isinstance(last, Crafted)
    assert last.first is not None
    assert (last.first >= 1).all()  # all left confirmed
    assert torch.equal(last.wav, kept.wav)


def test_a_huge_budget_always_succeeds(ragged: Audio) -> None:
    goal = Targeted(["NO", "HELP ME", "STOP"])
    out = PGD(norm="linf", eps=1.0, steps=60, step=0.02, best=True)(
        Frames(), ragged, goal, Draws([1, 2, 3])
    )
    assert goal.reached(Frames().transcribe(out, Draws([7, 8, 9]))) == [True] * 3


def test_evaluations_are_counted() -> None:
    calls = []

    class Counting(Linear):
        def loss(self, audio: Audio, texts: object, draws: Draws) -> Tensor:
            calls.append(len(audio))
            return super().loss(audio, texts, draws)

    model, audio = setup()
    for spec, sizes in {
        "pgd:db=20,steps=3": {2},
        "pgd:db=20,steps=3,restarts=2": {2},
        "pgd:db=20,steps=2,eot=3": {6},
        "pgd:db=20,steps=2,eot=3,chunk=2,best=true": {4, 2},
        "pgd:db=20,steps=2,eot=2,chunk=1,restarts=2,best=true": {2},
    }.items():
        calls.clear()
        attack = attacks.build(spec)
        out = attack(Counting(model.weights), audio, Untargeted(["", ""]), Draws([0, 1]))
        assert len(calls) == attack.evaluations
        assert set(calls) == sizes
        assert isinstance(out, Crafted)
        assert out.queries is not None
        assert out.queries.tolist() == [sum(calls) // 2] * 2
        assert out.first is None  # it never looked


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pgd", "norm=snr takes db"),
        ("pgd:norm=l2", "norm=l2 takes eps; got none"),
        ("pgd:norm=l2,db=20", "norm=l2 takes eps; got db"),
        ("pgd:db=20,ratio=100", "got db, ratio"),
        ("pgd:norm=linf,eps=-1", "finite and not negative"),
        ("pgd:db=20,steps=0", "steps must be positive"),
        ("pgd:db=nan", "finite number of dB"),
        ("pgd:db=-1000", "finite number of dB"),
        ("pgd:db=20,step=inf", "step must be positive and finite"),
        ("pgd:db=20,step=nan", "step must be positive and finite"),
        ("pgd:db=20,eot=0", "eot must be positive"),
        ("pgd:db=20,chunk=0", "chunk must be positive"),
        ("pgd:db=20,momentum=-1", "momentum must be finite and not negative"),
        ("pgd:ratio=0", "ratio must be positive"),
        ("noise:norm=l2,eps=inf", "must be finite"),
        ("pgd:db=20,confirm=8", "confirm has an effect only with stop=true"),
        ("pgd:db=20,target=endless,loss=margin", "a loss of its own; leave out loss=margin"),
        ("apgd:db=20,target=endless,loss=margin", "a loss of its own; leave out loss=margin"),
        ("apgd:db=20,confirm=8", "only with stop=true"),
    ],
)
def test_unusable_options_say_why(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        attacks.build(spec)
