from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from melmoat import attacks, defenses
from melmoat.assets import asset
from melmoat.audio import Audio
from melmoat.defenses import FrontEnd
from melmoat.draws import Draws
from melmoat.models import DeepSpeech2
from melmoat.training.adversarial import Adversary
from melmoat.training.asr import ASRTask, Recipe, train_asr
from melmoat.training.defending import defended
from melmoat.weights import read_header
from tests.conftest import tiny_config
from tests.training.restarts import check_restart
from tests.training.test_asr import sounds

TEXTS = ["GO ON", "ENTER SIX", "A"]
ATTACK = attacks.build("pgd:norm=linf,eps=0.03,steps=2,step=0.7")
NOISE = defenses.front_end("wgn:sigma=0.1")


class Twice(FrontEnd):
    """Doubles the samples."""

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio.with_wav(2 * audio.wav)


def task(front_end: FrontEnd | None, foe: Adversary | None = None) -> ASRTask:
    torch.manual_seed(0)
    recipe = Recipe(epochs=2, batch=4, average=0.9, join=0.0, extra=0.0, noise=0.0)
    model = DeepSpeech2(tiny_config(layers=1))
    return ASRTask(model, sounds(16), [], sounds(8), recipe, adversary=foe, front_end=front_end)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_the_examples_passes_through_the_defense(
    share: float, tiny: DeepSpeech2, ragged: Audio
) -> None:
    many, texts = ragged.repeat(8), TEXTS * 8
    out = defended(many, texts, tiny, Twice(), share, None, 1)
    assert torch.equal(out.lengths, many.lengths)
    doubled = [bool(torch.equal(a, 2 * b)) for a, b in zip(out.wav, many.wav, strict=True)]
    alone = [bool(torch.equal(a, b)) for a, b in zip(out.wav, many.wav, strict=True)]
    assert [a != b for a, b in zip(doubled, alone, strict=True)] == [True] * 24
    assert {0.0: sum(doubled) == 0, 0.5: 6 <= sum(doubled) <= 18, 1.0: all(doubled)}[share]


def test_each_step_draws_other_noise_and_the_same_step_the_same(
    tiny: DeepSpeech2, ragged: Audio
) -> None:
    first, again, other = (defended(ragged, TEXTS, tiny, NOISE, 1.0, None, s) for s in (1, 1, 2))
    assert torch.equal(first.wav, again.wav)
    assert not torch.equal(first.wav, other.wav)
    added = (first.wav - ragged.wav)[ragged.mask]
    assert float(added.std()) == pytest.approx(0.1, rel=0.05)
    assert first.wav[~ragged.mask].eq(0).all()


def test_the_attack_goes_through_the_defense_only_where_the_example_does(
    tiny: DeepSpeech2, ragged: Audio
) -> None:
    class Seen(Twice):
        def __init__(self) -> None:
            self.batches: list[int] = []

        def __call__(self, audio: Audio, draws: Draws) -> Audio:
            self.batches.append(len(audio))
            return super().__call__(audio, draws)

    for share, heard in ((0.0, 0), (1.0, len(ragged))):
        seen = Seen()
        out = defended(ragged, TEXTS, tiny, seen, share, Adversary(ATTACK), 1)
        assert set(seen.batches) == ({heard} if heard else set())
        before = out.wav / 2 if share else out.wav
        assert 0 < float((before - ragged.wav).abs().max()) <= 0.03 + 1e-6
    # What it moves away from is the reference, as the defended recognizer hears it.
    system = Twice().wrap(tiny)
    moved = out.with_wav(out.wav / 2)
    with torch.no_grad():
        losses = [system.loss(x, TEXTS, Draws([0] * 3)) for x in (ragged, moved)]
    assert (losses[1] > losses[0]).all()


def test_few_seconds_at_once_change_no_example(
    tiny: DeepSpeech2, ragged: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, texts = ragged.repeat(2), TEXTS * 2
    sizes: list[int] = []

    class Seen(FrontEnd):
        def __call__(self, audio: Audio, draws: Draws) -> Audio:
            sizes.append(len(audio))
            return NOISE(audio, draws)

    whole = defended(many, texts, tiny, Seen(), 1.0, None, 1)
    assert sizes == [6]
    sizes.clear()
    monkeypatch.setattr("melmoat.training.defending.AT_ONCE", 1e-6)  # less than any example
    alone = defended(many, texts, tiny, Seen(), 1.0, None, 1)
    assert sizes == [1] * 6
    assert torch.equal(whole.wav, alone.wav)


def test_a_step_is_the_same_after_a_restart() -> None:
    check_restart(lambda: task(NOISE, Adversary(ATTACK, 0.5)), "model", "average")


def test_validation_attacks_through_the_defense() -> None:
    bare, behind = task(None, Adversary(ATTACK)), task(NOISE, Adversary(ATTACK))
    assert bare.validate().keys() == behind.validate().keys() == {"wer", "attacked_wer"}
    heard: list[FrontEnd | None] = []

    class Spy(Adversary):
        def __call__(self, model, audio, texts, seed, front_end=None):  # type: ignore[no-untyped-def]
            heard.append(front_end)
            return super().__call__(model, audio, texts, seed, front_end)

    behind.adversary = Spy(ATTACK)
    behind.validate()
    assert heard
    assert set(heard) == {NOISE}


@pytest.mark.parametrize(
    ("defense", "attack", "fresh"),
    [
        ("wgn:snr=20", None, True),
        ("filter:low=300", None, False),
        ("filter:low=300", "pgd:db=30,steps=1", True),
    ],
)
def test_what_draws_or_is_attacked_is_defended_at_each_step_and_the_card_says_so(
    defense: str, attack: str | None, fresh: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0
    original: Callable[..., Audio] = defended

    def counted(*given: object) -> Audio:
        nonlocal count
        count += 1
        return original(*given)

    monkeypatch.setattr("melmoat.training.asr.defended", counted)
    few = f"tsv:{asset('demo')},longest=2"
    path, card = train_asr(
        tmp_path, [few], [], 1, tiny_config(layers=1), Recipe(epochs=1),
        defense=defense, attack=attack,
    )  # fmt: skip
    assert card.get("fresh_draws", False) == fresh == bool(count)
    assert read_header(path)["card"] == card
    log = (tmp_path / "log.jsonl").read_text()
    assert "clean_wer" in log
    assert ("attacked_wer" in log) == (attack is not None)
