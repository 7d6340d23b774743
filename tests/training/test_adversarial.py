from pathlib import Path

import pytest
import torch

from melmoat import attacks
from melmoat.audio import Audio
from melmoat.models import DeepSpeech2
from melmoat.training.adversarial import Adversary
from melmoat.training.asr import ASRTask, Recipe, train_asr
from melmoat.weights import read_header
from tests.conftest import tiny_config
from tests.training.test_asr import sounds

TEXTS = ["GO ON", "ENTER SIX", "A"]
ATTACK = attacks.build("pgd:norm=linf,eps=0.03,steps=2,step=0.7")


def task(adversary: Adversary | None) -> ASRTask:
    torch.manual_seed(0)
    recipe = Recipe(epochs=32, batch=4, lr=1e-2, average=0.9, join=0.0, extra=0.0, noise=0.0)
    return ASRTask(
        DeepSpeech2(tiny_config(layers=1)), sounds(16), [], sounds(8), recipe, adversary=adversary
    )


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_utterances_is_attacked_within_the_budget(
    share: float, tiny: DeepSpeech2, ragged: Audio
) -> None:
    many, texts = ragged.repeat(8), TEXTS * 8
    adversary = Adversary(attacks.build("pgd:norm=linf,eps=0.01,steps=1,step=1"), share)
    out = adversary(tiny, many, texts, seed=1)
    assert torch.equal(out.lengths, many.lengths)
    size = (out.wav - many.wav).abs().amax(1)
    assert out.wav[~many.mask].eq(0).all()
    touched = int((size > 0).sum())
    assert {0.0: touched == 0, 0.5: 6 <= touched <= 18, 1.0: touched == 24}[share]
    assert size.max() <= 0.01 + 1e-6
    again, other = (adversary(tiny, many, texts, seed) for seed in (1, 2))
    assert torch.equal(out.wav, again.wav)
    assert torch.equal(out.wav, other.wav) == (share != 0.5)


def test_it_moves_away_from_the_truth_and_leaves_the_weights_as_they_were(
    tiny: DeepSpeech2, ragged: Audio
) -> None:
    tiny.requires_grad_(True).head.weight.requires_grad_(False)
    wanted = [weight.requires_grad for weight in tiny.parameters()]
    before = {key: value.clone() for key, value in tiny.state_dict().items()}
    out = Adversary(ATTACK)(tiny.train(), ragged, TEXTS, seed=1)
    assert [weight.requires_grad for weight in tiny.parameters()] == wanted
    assert all(torch.equal(value, before[key]) for key, value in tiny.state_dict().items())
    assert not out.wav.requires_grad
    with torch.no_grad():
        losses = [tiny.eval().loss(heard, TEXTS, None) for heard in (ragged, out)]  # type: ignore[arg-type]
    assert (losses[1] > losses[0]).all()


def test_what_learns_under_attack_withstands_it() -> None:
    adversary = Adversary(ATTACK)
    plain, hardened = task(None), task(adversary)
    for number in range(plain.steps):
        plain.step(number)
        hardened.step(number)
    plain.adversary = adversary  # to validate by
    naive, trained = plain.validate(), hardened.validate()
    assert naive["wer"] <= 10
    assert trained["wer"] <= 10
    assert trained["attacked_wer"] <= 10 < 30 <= naive["attacked_wer"]


def test_a_step_is_the_same_after_a_restart() -> None:
    whole, cut, resumed = (task(Adversary(ATTACK, 0.5)) for _ in range(3))
    for number in range(3):
        whole.step(number)
    cut.step(0)
    resumed.restore(cut.state())
    for number in (1, 2):
        resumed.step(number)
    pairs = zip(whole.state()["model"].values(), resumed.state()["model"].values(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


def test_the_card_says_against_what(tmp_path: Path) -> None:
    path, card = train_asr(
        tmp_path, ["demo"], [], 1, tiny_config(layers=1), Recipe(epochs=1, batch=8),
        attack="pgd:db=30,steps=1", attacked=0.5,
    )  # fmt: skip
    assert card == read_header(path)["card"]
    assert card["attack"] == "pgd:db=30,steps=1"
    assert card["attacked"] == 0.5
    assert card["held_out_attacked_wer"] > 0
