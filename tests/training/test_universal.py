from pathlib import Path

import pytest
import torch

from melmoat import attacks, data, models
from melmoat.assets import asset
from melmoat.attacks import Targeted, Untargeted
from melmoat.attacks.base import AttackError
from melmoat.attacks.budgets import SNR, Linf, LinfSNR
from melmoat.attacks.universal import Pattern, Universal, load, save
from melmoat.audio import Audio
from melmoat.data.in_memory import write_corpus
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2
from melmoat.spec import SpecError
from melmoat.training.universal import train_universal
from melmoat.weights import WeightsError


def pattern() -> Pattern:
    return Pattern(torch.tensor([1.0, -0.5, 0.25]))


def test_the_pattern_is_repeated_from_the_first_sample_and_cut() -> None:
    audio = Audio.of([0.1 * torch.ones(5), 0.1 * torch.ones(2)])
    on = pattern().on(audio, Linf(0.02))
    expected = 0.02 * torch.tensor([[1, -0.5, 0.25, 1, -0.5], [1, -0.5, 0, 0, 0]])
    assert torch.allclose(on, expected)


def test_the_gradient_of_a_pattern_is_exact_in_both_geometries() -> None:
    audio = Audio.of([torch.rand(50) - 0.5, torch.rand(20) - 0.5])
    audio = Audio(audio.wav.double(), audio.lengths)
    samples = (torch.rand(15, dtype=torch.float64) - 0.5).requires_grad_()

    def through(x: torch.Tensor, ball: Linf | SNR) -> torch.Tensor:
        made = Pattern(torch.zeros(15))
        del made.samples
        made.samples = x  # type: ignore[assignment]
        return made.on(audio, ball)

    for ball in (Linf(0.01), SNR(20.0)):
        assert torch.autograd.gradcheck(lambda x, b=ball: through(x, b), samples)


def test_a_file_remembers_its_budget_and_may_be_given_another(
    tmp_path: Path, tiny: DeepSpeech2, ragged: Audio
) -> None:
    path = tmp_path / "u.safetensors"
    save(path, pattern(), {"norm": "snr", "db": 25.0, "target": "GO"}, {"about": "test"})
    made = attacks.build(f"universal:{path}")
    assert made.budget == SNR(25.0)
    assert made.goal(["A"], ["B"]) == Targeted(["GO"])
    assert attacks.build(f"universal:{path},norm=linf,eps=0.01").budget == Linf(0.01)
    assert attacks.build(f"universal:{path},db=0").budget == SNR(0.0)
    save(path, pattern(), {"norm": "linf", "db": 20.0}, {})
    assert attacks.build(f"universal:{path}").budget == LinfSNR(20.0)
    assert attacks.build(f"universal:{path},eps=0.01").budget == Linf(0.01)
    assert attacks.build(f"universal:{path},norm=linf,db=30").budget == LinfSNR(30.0)
    assert attacks.build(f"universal:{path},norm=snr,db=30").budget == SNR(30.0)
    with pytest.raises(MelmoatError, match="trained with norm=linf; db may be meant for another"):
        attacks.build(f"universal:{path},db=30")
    found, _ = load(path)
    assert torch.equal(found.samples, pattern().samples)
    other = Audio(ragged.wav, ragged.lengths, 8_000)
    with pytest.raises(AttackError, match="16000 Hz and the audio has 8000"):
        made(tiny, other, Untargeted(["A", "B", "C"]), Draws([1, 2, 3]))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weights file"):
        attacks.build(f"universal:{tmp_path / 'none'}")
    with pytest.raises(WeightsError, match="not a universal perturbation"):
        attacks.build(f"universal:{asset('ds2-an4.safetensors')}")


def test_a_target_that_does_not_fit_names_the_utterances() -> None:
    long = "A VERY LONG TEXT INDEED " * 12
    with pytest.raises(AttackError, match=r"needs \d+ frames .* \(among demo-"):
        train_universal("ds2-an4", f"norm=snr,db=10,target={long}", "demo", limit=2, batch=2)


def test_training_raises_the_loss_of_utterances_it_never_saw() -> None:
    ticks: list[float] = []
    budget = "norm=snr,db=10,against=truth"
    found, ball, card = train_universal(
        "ds2-an4", budget, "demo", seconds=0.5, epochs=4, limit=4, batch=4, tick=ticks.append
    )
    assert sum(ticks) == pytest.approx(16)
    assert ball == {"norm": "snr", "db": 10.0, "against": "truth"}
    assert card["trained_on"]["corpus"] == "demo"
    cuts = list(data.load("demo"))[1:4]  # the four are spread over the corpus, the first is 0
    audio, model = data.read(cuts), models.load("ds2-an4")
    goal = Untargeted([cut.supervisions[0].text or "" for cut in cuts])
    losses = []
    for samples in (found.samples, torch.rand(8_000) - 0.5):
        attack = Universal(norm="snr", db=10.0, pattern=Pattern(samples.detach()))
        out = attack(model, audio, goal, Draws([0, 1, 2]))
        losses.append(-goal.loss(model, out, Draws([0, 1, 2])).detach())
    assert losses[0].mean() > 1.2 * losses[1].mean()


def test_silence_has_no_part_in_the_mean_loss(tmp_path: Path) -> None:
    speech = next(iter(data.read(list(data.load("demo"))[:1])))
    cards = {}
    for name, waves in {"alone": [speech], "both": [speech, torch.zeros(8_000)]}.items():
        corpus, _ = write_corpus([(wave, "GO") for wave in waves], tmp_path / name)
        budget = "norm=snr,db=20,against=truth"
        cards[name] = train_universal("ds2-an4", budget, corpus, seconds=0.5, epochs=1, batch=1)[2]
    assert cards["alone"]["loss"] == cards["both"]["loss"] != 0


@pytest.mark.parametrize(
    ("defense", "told"),
    [
        ("mulaw", "flows through mulaw, so the pattern would stay .* random"),
        ("voted:(chain:mulaw,then=wgn),votes=2", "flows through voted"),
        ("python:tests.standard.toys:Zero", "no utterance had a gradient"),
    ],
)
def test_a_pattern_that_no_gradient_reaches_is_not_sold_as_trained(defense: str, told: str) -> None:
    with pytest.raises(AttackError, match=told):
        train_universal("ds2-an4", "db=20", "demo", defense, seconds=0.5, epochs=1, limit=1)


def test_one_pattern_has_one_target() -> None:
    with pytest.raises(AttackError, match="one target for all utterances: target=TEXT"):
        train_universal("ds2-an4", "db=20,target=matched", "demo")


def test_a_budget_must_say_something() -> None:
    with pytest.raises(SpecError, match="norm=snr takes db"):
        train_universal("ds2-an4", "", "demo")


def test_a_prefix_stands_once_in_the_silence_before_the_speech(tmp_path: Path) -> None:
    prefix = Pattern(torch.tensor([1.0, -0.5]), where="prefix")
    audio = Audio.of([torch.tensor([0, 0, 0.1, 0.2]), torch.tensor([0, 0, 0.3])])
    expected = 0.02 * torch.tensor([[1, -0.5, 0, 0], [1, -0.5, 0, 0]])
    assert torch.allclose(prefix.on(audio, Linf(0.02)), expected)
    path = tmp_path / "prefix.safetensors"
    save(path, prefix, {"norm": "linf", "eps": 0.02}, {})
    assert load(path)[0].where == "prefix"
    speech = Audio.of([torch.tensor([0, 0.1, 0.2])])
    with pytest.raises(AttackError, match=r"over it; give .* padded:CORPUS,before="):
        prefix.on(speech, Linf(0.02))


def test_a_prefix_is_trained_on_padded_speech() -> None:
    found, _, _ = train_universal(
        "ds2-an4",
        "norm=linf,eps=0.02,target=",
        "padded:demo,before=0.1",
        seconds=0.1,
        epochs=1,
        limit=1,
        batch=1,
        where="prefix",
    )
    assert (found.where, len(found.samples)) == ("prefix", 1_600)
