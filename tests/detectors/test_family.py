"""Invariants of every detector."""

import pytest
import torch

from melmoat import detectors
from melmoat.audio import Audio
from melmoat.detectors import Detector, score
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import CTC, Recognizer
from melmoat.models.wrappers import EOT
from tests.attacks.toys import Frames

SEEDS = (5, 6, 7)
SPECS = [
    "disagreement:(wgn:snr=10)",
    "disagreement:mulaw:gradient=bpda",
    "disagreement:(rs:snr=10,votes=2)",
    "likelihood:(wgn:snr=10)",
    "distriblock",
    "distriblock:over=median",
    "distriblock:over=max",
    "distriblock:measure=kl",
]


@pytest.fixture
def exact(ragged: Audio) -> Audio:
    return Audio(ragged.wav.double(), ragged.lengths)


@pytest.mark.parametrize("spec", SPECS)
def test_a_batch_equals_its_singles(spec: str, exact: Audio) -> None:
    made, model = detectors.build(spec), Frames(torch.float64)
    together = score(made, model, exact, Draws(SEEDS))
    pushed = made.evasion(model, exact, Draws(SEEDS), None)
    for i, wave in enumerate(exact):
        one, seed = Audio.of([wave]), SEEDS[i : i + 1]
        assert score(made, model, one, Draws(seed)) == pytest.approx([together[i]])
        alone = made.evasion(model, one, Draws(seed), None)
        assert alone.item() == pytest.approx(pushed[i].item())
    assert len(set(together)) > 1
    assert score(made, model, exact, Draws(SEEDS)) == together


@pytest.mark.parametrize("spec", [spec for spec in SPECS if "(" in spec])
def test_noise_of_other_draws_gives_another_score(spec: str, ragged: Audio) -> None:
    made = detectors.build(spec)
    assert score(made, Frames(), ragged, Draws(SEEDS)) != score(made, Frames(), ragged)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if "bpda" not in spec])
@pytest.mark.parametrize("targets", [None, ["NO", "HELP", "STOP IT"]])
def test_the_gradient_of_the_evasion_is_its_slope(
    spec: str, targets: list[str] | None, exact: Audio
) -> None:
    made, model = detectors.build(spec), Frames(torch.float64)
    generator = torch.Generator().manual_seed(4)
    direction = torch.randn(exact.wav.shape, generator=generator).double() * exact.mask

    def evasion(step: float) -> torch.Tensor:
        moved = exact.with_wav(exact.wav + step * direction)
        return made.evasion(model, moved, Draws(SEEDS), targets)

    wav = exact.wav.clone().requires_grad_()
    value = made.evasion(model, exact.with_wav(wav), Draws(SEEDS), targets)
    (slope,) = torch.autograd.grad(value.sum(), wav)
    assert slope[~exact.mask].eq(0).all()
    measured = (evasion(1e-7) - evasion(-1e-7)) / 2e-7
    assert (slope * direction).sum(1) == pytest.approx(measured, rel=1e-3, abs=1e-3)
    assert slope.abs().sum(1).gt(0).all()


class Fixed(CTC):
    """Frames with these log probabilities, whatever it hears."""

    rate, labels = 16_000, "_AB"

    def __init__(self, *logs: list[list[float]]) -> None:
        self.logs = torch.nn.utils.rnn.pad_sequence(
            [torch.tensor(one).log() for one in logs], batch_first=True
        )
        self.frames = torch.tensor([len(one) for one in logs])

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        return self.logs, self.frames


def test_statistics_of_known_distributions() -> None:
    flat, sure, half = [1 / 3] * 3, [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]
    model = Fixed([flat, sure, sure], [half, half, half, flat], [half])
    audio = Audio.of([torch.ones(9)] * 3)

    def found(spec: str) -> list[float]:
        return score(detectors.build(spec), model, audio)

    log2, log3 = torch.tensor([2.0, 3.0]).log().tolist()
    means = [log3 / 3, (3 * log2 + log3) / 4, log2]
    assert found("distriblock") == pytest.approx(means)
    assert found("distriblock:over=median") == pytest.approx([0, log2, log2])
    assert found("distriblock:over=max") == pytest.approx([log3, log3, log2])
    # From half to flat: log(3 / 2); one frame has no next one.
    model = Fixed([sure, half, flat], [half])
    audio = Audio.of([torch.ones(9)] * 2)
    expected = [(log2 + log3 - log2) / 2, 0]
    assert found("distriblock:measure=kl") == pytest.approx(expected)
    assert found("distriblock:measure=kl,over=median") == pytest.approx(expected)  # of two


@pytest.mark.parametrize("measure", ["entropy", "kl"])
def test_what_has_no_probability_has_no_gradient(measure: str) -> None:
    model = Fixed([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    model.logs.requires_grad_()
    made = detectors.build(f"distriblock:measure={measure}")
    made.evasion(model, Audio.of([torch.ones(9)]), Draws([0]), None).sum().backward()
    assert model.logs.grad is not None
    assert torch.isfinite(model.logs.grad).all()
    assert model.logs.grad[0, 0, 2] == 0


def test_what_shows_no_distribution_is_refused(ragged: Audio) -> None:
    with pytest.raises(MelmoatError, match=r"EOT shows none; use disagreement or likelihood"):
        score(detectors.build("distriblock"), EOT(Frames(), 2), ragged)


def test_no_defense_is_nothing_to_compare_with() -> None:
    with pytest.raises(MelmoatError, match="needs a defense that changes the audio"):
        detectors.build("disagreement:none")


class Silent(Detector):
    def __init__(self, value: object) -> None:
        self.value = value

    def score(self, model: Recognizer, audio: Audio, draws: Draws) -> torch.Tensor:
        return self.value  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.zeros(2), r"\[2\] for 3 utterance"),
        ([0.0] * 3, "returned list"),
        (torch.tensor([0, torch.nan, 0]), "NaN or Inf"),
    ],
)
def test_an_own_detector_is_checked(value: object, said: str, ragged: Audio) -> None:
    with pytest.raises(MelmoatError, match=said):
        score(Silent(value), Frames(), ragged)
    with pytest.raises(MelmoatError, match="Silent has no evasion"):
        Silent(value).evasion(Frames(), ragged, Draws(SEEDS), None)
