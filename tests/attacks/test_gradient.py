import pytest
import torch
from torch import Tensor

from melmoat import attacks
from melmoat.attacks import PGD, Untargeted
from melmoat.attacks.base import AttackError
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.spec import SpecError


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


def test_fgsm_is_one_signed_step() -> None:
    model, audio = setup()
    attack = attacks.build("pgd:norm=linf,eps=0.01,steps=1,step=1")
    out = attack(model, audio, Untargeted(["", ""]), Draws([0, 1]))
    best = 0.01 * model.weights.sign() * audio.mask
    assert torch.allclose(out.wav - audio.wav, best, atol=1e-7)


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


def test_evaluations_are_counted() -> None:
    calls = []

    class Counting(Linear):
        def loss(self, audio: Audio, texts: object, draws: Draws) -> Tensor:
            calls.append(len(audio))
            return super().loss(audio, texts, draws)

    model, audio = setup()
    for spec in ("pgd:db=20,steps=3", "pgd:db=20,steps=3,restarts=2", "pgd:db=20,steps=2,eot=3"):
        calls.clear()
        attack = attacks.build(spec)
        attack(Counting(model.weights), audio, Untargeted(["", ""]), Draws([0, 1]))
        assert len(calls) == attack.evaluations
        assert set(calls) == {2 * getattr(attack, "eot")}  # noqa: B009


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pgd", "norm=snr takes db"),
        ("pgd:norm=l2", "norm=l2 takes eps; got none"),
        ("pgd:norm=l2,db=20", "norm=l2 takes eps; got db"),
        ("pgd:db=20,ratio=100", "got db, ratio"),
        ("pgd:norm=linf,eps=-1", "finite and not negative"),
        ("pgd:db=20,steps=0", "must be positive"),
        ("pgd:db=nan", "finite number of dB"),
        ("pgd:db=-1000", "finite number of dB"),
        ("pgd:db=20,step=inf", "step must be finite"),
        ("pgd:db=20,step=nan", "step must be finite"),
        ("pgd:ratio=0", "ratio must be positive"),
        ("noise:norm=l2,eps=inf", "must be finite"),
    ],
)
def test_unusable_options_say_why(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        attacks.build(spec)
