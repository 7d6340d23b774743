from pathlib import Path
from typing import Any

import pytest
import torch

from melmoat import attacks
from melmoat.attacks.base import AttackError
from melmoat.audio import Audio
from melmoat.defenses import GaussianNoise, NoDefense
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2
from melmoat.normalisers import Normaliser
from melmoat.training.adversarial import Adversary, adversary
from melmoat.training.asr import ASRTask, Recipe, train_asr
from melmoat.training.trainable import Trainable
from melmoat.weights import read_header
from tests.conftest import tiny_config
from tests.training.test_asr import sounds

TEXTS = ["GO ON", "ENTER SIX", "A"]
ATTACK = attacks.build("pgd:norm=linf,eps=0.03,steps=2,step=0.7")


def task(foe: Adversary | None, device: str = "cpu") -> ASRTask:
    torch.manual_seed(0)
    recipe = Recipe(epochs=32, batch=4, lr=1e-2, average=0.9, join=0.0, extra=0.0, noise=0.0)
    return ASRTask(
        DeepSpeech2(tiny_config(layers=1)), sounds(16), [], sounds(8), recipe, device, foe
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


def test_texts_are_compared_as_the_recognizer_wants(
    tiny: DeepSpeech2, ragged: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The phonemes that hama's write are other words than the reference's, so an attack with
    stop=true changed nothing."""
    stops = Adversary(attacks.build("pgd:norm=linf,eps=0.01,steps=2,step=1,stop=true"))
    assert torch.equal(stops(tiny, ragged, TEXTS, seed=1).wav, ragged.wav)  # all are wrong already
    monkeypatch.setattr(tiny, "normaliser", Normaliser("deaf", lambda text: ""), raising=False)
    for front_end in (None, NoDefense(), GaussianNoise(sigma=1e-4)):
        out = stops(tiny, ragged, TEXTS, 1, front_end)
        assert (out.wav - ragged.wav).abs().amax(1).min() > 0.005


def test_fading_scales_each_perturbation_down_by_at_most_so_many_db(
    tiny: DeepSpeech2, ragged: Audio
) -> None:
    many, texts = ragged.repeat(8), TEXTS * 8
    whole, faded = (Adversary(ATTACK, 1.0, fade)(tiny, many, texts, seed=1) for fade in (0, 15))
    before, after = ((out.wav - many.wav).square().sum(1).sqrt() for out in (whole, faded))
    lost = 20 * (before / after).log10()
    assert lost.min() >= -1e-3
    assert lost.max() <= 15 + 1e-3
    assert lost.std() > 2  # each example has its own


@pytest.mark.parametrize("fade", [-1.0, float("nan"), float("inf")])
def test_a_fade_that_is_no_scaling_down_is_refused(fade: float) -> None:
    with pytest.raises(AttackError, match="finite and not negative"):
        Adversary(ATTACK, fade=fade)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    """With NaN nothing at all would be attacked."""
    with pytest.raises(AttackError, match="between 0 and 1"):
        Adversary(ATTACK, share)


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


@pytest.mark.slow
def test_what_learns_under_attack_withstands_it() -> None:
    foe = Adversary(ATTACK)
    plain, hardened = task(None), task(foe)
    for number in range(plain.steps):
        plain.step(number)
        hardened.step(number)
    plain.adversary = foe  # to validate by
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


def test_the_card_says_against_what_and_all_held_out_are_attacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[float, int]] = []
    real = Adversary.__call__

    def watched(self: Adversary, model: Trainable, audio: Audio, *rest: Any) -> Audio:
        sizes.append((self.share, len(audio)))
        return real(self, model, audio, *rest)

    monkeypatch.setattr(Adversary, "__call__", watched)
    path, card = train_asr(
        tmp_path, ["demo"], [], 1, tiny_config(layers=1), Recipe(epochs=1, batch=5),
        attack="pgd:db=30,steps=1", attacked=0.5,
    )  # fmt: skip
    learning = [size for share, size in sizes if share == 0.5]
    judging = [size for share, size in sizes if share == 1.0]
    assert max(learning) == max(judging) == 5
    held = len(judging)
    assert held % 2 == 0  # after the epoch, and of the exported file
    assert card == read_header(path)["card"]
    assert card["attack"] == "pgd:db=30,steps=1"
    assert card["attacked"] == 0.5
    assert card["held_out_attacked_wer"] > 0
    with pytest.raises(MelmoatError, match=r"attacked: 0\.5 there, 1\.0 asked"):
        train_asr(
            tmp_path, ["demo"], [], 1, tiny_config(layers=1), Recipe(epochs=1, batch=5),
            attack="pgd:db=30,steps=1",
        )  # fmt: skip


@pytest.mark.parametrize("spec", ["none", "pgd:db=20,target=GO", "pgd:db=20,target=matched"])
def test_what_cannot_be_trained_against_is_refused(spec: str) -> None:
    with pytest.raises(AttackError, match="an attack that changes audio within a budget"):
        adversary(spec, 1.0)


def test_a_text_that_does_not_fit_its_frames_is_left_as_it_is(
    tiny: DeepSpeech2, ragged: Audio
) -> None:
    out = Adversary(ATTACK)(tiny, ragged, ["GO ON", "A" * 400, "A"], seed=1)
    assert [bool(row) for row in (out.wav != ragged.wav).any(1)] == [True, False, True]


def test_a_gradient_that_is_not_finite_says_what_to_do(tiny: DeepSpeech2, ragged: Audio) -> None:
    with torch.no_grad():
        tiny.head.weight.fill_(torch.nan)
    with pytest.raises(AttackError, match="use a lower --lr"):
        Adversary(ATTACK)(tiny, ragged, TEXTS, seed=1)
    assert not tiny.training


def test_pretrained_networks_can_be_hardened_too(tmp_path: Path, ragged: Audio) -> None:
    pytest.importorskip("transformers", reason="needs the extra hf")
    tiny_hf = pytest.importorskip("tests.models.tiny_hf", reason="needs the extra hf").tiny_hf
    student = tiny_hf("wav2vec2", tmp_path).requires_grad_(True)
    out = Adversary(ATTACK)(student, ragged, TEXTS, seed=1)
    assert (out.wav - ragged.wav).abs().amax(1).gt(0).all()
    assert all(weight.requires_grad for weight in student.parameters())


def test_another_device_takes_the_same_step(device: str) -> None:
    here, there = task(Adversary(ATTACK)), task(Adversary(ATTACK), device)
    assert here.step(0) == pytest.approx(there.step(0), rel=1e-2)
