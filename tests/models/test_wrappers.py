import pytest
import torch

from melmoat import defenses
from melmoat.audio import Audio
from melmoat.defenses import StraightThrough
from melmoat.defenses.smoothing import GaussianNoise
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2
from melmoat.models.base import CTCRecognizer, Recognizer, require_ctc
from melmoat.models.wrappers import EOT, Defended, Monitored, Smoothed, Voted

TEXTS = ["GO ON", "ENTER SIX", "A"]
SEEDS = (5, 6, 7)


def systems(model: DeepSpeech2) -> dict[str, Recognizer]:
    noisy = Defended(model, GaussianNoise(20))
    return {
        "defended": noisy,
        "smoothed": Smoothed(noisy, 3),
        "voted": Voted(noisy, 3),
        "expected": EOT(noisy, 3),
        "expected smoothed": EOT(Smoothed(noisy, 2), 2),
        "expected voted": EOT(Voted(noisy, 2), 2),
    }


NAMES = ["defended", "smoothed", "voted", "expected", "expected smoothed", "expected voted"]


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_of_the_very_noise_drawn(
    tiny: DeepSpeech2, ragged: Audio, name: str
) -> None:
    system = systems(tiny.double())[name]
    audio = Audio(ragged.wav.double(), ragged.lengths)

    def losses(wav: torch.Tensor) -> torch.Tensor:
        return system.loss(audio.with_wav(wav), TEXTS, Draws(SEEDS))

    wav = audio.wav.clone().requires_grad_()
    (grad,) = torch.autograd.grad(losses(wav).sum(), wav)
    torch.manual_seed(0)
    direction = torch.randn_like(audio.wav) * audio.mask
    h = 1e-8  # small: a Hardtanh has kinks
    numeric = (losses(audio.wav + h * direction) - losses(audio.wav - h * direction)) / (2 * h)
    assert torch.allclose((grad * direction).sum(1), numeric, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_equals_its_singles(tiny: DeepSpeech2, ragged: Audio, name: str) -> None:
    system = systems(tiny)[name]
    losses = system.loss(ragged, TEXTS, Draws(SEEDS))
    heard = system.transcribe(ragged, Draws(SEEDS))
    for i, wave in enumerate(ragged):
        alone, draws = Audio.of([wave]), Draws(SEEDS[i : i + 1])
        assert torch.allclose(system.loss(alone, TEXTS[i : i + 1], draws), losses[i], rtol=1e-5)
        assert system.transcribe(alone, Draws(SEEDS[i : i + 1])) == [heard[i]]


def test_smoothing_averages_probabilities(tiny: DeepSpeech2, ragged: Audio) -> None:
    noisy = Defended(tiny, GaussianNoise(-10))
    log_probs, frames = Smoothed(noisy, 3).log_probs(ragged, Draws(SEEDS))
    votes = [noisy.log_probs(ragged, Draws(SEEDS).fork(i))[0].exp() for i in range(3)]
    mean = torch.stack(votes).mean(0)
    for i, n in enumerate(frames.tolist()):
        assert torch.allclose(log_probs[i, :n].exp(), mean[i, :n], atol=1e-5)
    assert not torch.allclose(votes[0], votes[1], atol=1e-4)


def test_wrappers_keep_the_decoder(tiny: DeepSpeech2, ragged: Audio) -> None:
    tiny.decoder = lambda log_probs, frames, labels: ["DECODED"] * len(frames)
    noisy = Defended(tiny, GaussianNoise(10))
    for system in (noisy, Smoothed(noisy, 2), Monitored(noisy, lambda: None), EOT(noisy, 2)):
        assert system.transcribe(ragged, Draws(SEEDS)) == ["DECODED"] * 3
    smoothed = Smoothed(Monitored(noisy, lambda: None), 2)
    assert smoothed.decode(torch.zeros(1, 1, 29), torch.tensor([1])) == ["DECODED"]


def test_expectation_averages_losses(tiny: DeepSpeech2, ragged: Audio) -> None:
    noisy = Defended(tiny, GaussianNoise(10))
    mean = EOT(noisy, 3).loss(ragged, TEXTS, Draws(SEEDS))
    single = [noisy.loss(ragged, TEXTS, Draws(SEEDS).fork(i)) for i in range(3)]
    assert torch.allclose(mean, torch.stack(single).mean(0), rtol=1e-5)


@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_an_expectation_in_chunks_is_the_same_in_less_memory(
    tiny: DeepSpeech2, ragged: Audio, chunk: int
) -> None:
    sizes: list[int] = []

    class Counting(Defended):
        def loss(self, audio: Audio, texts: object, draws: Draws) -> torch.Tensor:
            sizes.append(len(audio))
            return super().loss(audio, texts, draws)  # type: ignore[arg-type]

    audio = Audio(ragged.wav.double(), ragged.lengths)
    noisy = Counting(tiny.double(), GaussianNoise(10))
    found = []
    for expected in (EOT(noisy, 5), EOT(noisy, 5, chunk)):
        sizes.clear()
        wav = audio.wav.clone().requires_grad_()
        loss = expected.loss(Audio(2 * wav, audio.lengths), TEXTS, Draws(SEEDS))
        (grad,) = torch.autograd.grad((loss * torch.tensor([1.0, 2.0, 3.0])).sum(), wav)
        found.append((loss.detach(), grad))
        assert len(sizes) == expected.passes
    assert max(sizes) == 3 * chunk
    assert sum(sizes) == 15
    assert torch.allclose(found[0][0], found[1][0], rtol=1e-10)
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-8, atol=1e-10)
    with torch.no_grad():
        unasked = EOT(noisy, 5, chunk).loss(audio, TEXTS, Draws(SEEDS))
    whole = EOT(noisy, 5).loss(audio, TEXTS, Draws(SEEDS))
    assert torch.allclose(unasked, whole, rtol=1e-10)


def test_straight_through_hears_the_defense_and_passes_the_gradient(ragged: Audio) -> None:
    inner = GaussianNoise(10)
    wav = ragged.wav.clone().requires_grad_()
    heard = StraightThrough(inner)(Audio(wav, ragged.lengths), Draws(SEEDS))
    expected = inner(ragged, Draws(SEEDS))
    assert torch.allclose(heard.wav, expected.wav, atol=1e-6)
    weights = torch.randn_like(wav)
    (grad,) = torch.autograd.grad((heard.wav * weights).sum(), wav)
    assert torch.equal(grad, weights * ragged.mask)


class Seq2Seq:
    rate = 16_000

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        return ["x"] * len(audio)

    def loss(self, audio: Audio, texts: object, draws: Draws) -> torch.Tensor:
        return audio.wav.square().sum(1)


def test_only_what_shows_probabilities_can_be_smoothed(ragged: Audio) -> None:
    wrapped = defenses.build("wgn").wrap(Seq2Seq())
    assert wrapped.transcribe(ragged, Draws(SEEDS)) == ["x"] * 3
    with pytest.raises(MelmoatError, match=r"neither frame-wise nor token.*vote=rover"):
        defenses.build("rs").wrap(Seq2Seq())
    with pytest.raises(MelmoatError, match="no frame-wise probabilities"):
        require_ctc(wrapped)


class Scripted(Seq2Seq):
    """Hears what is written down for each stream in turn."""

    def __init__(self, script: dict[int, str]) -> None:
        self.script = script

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        return [self.script[seed] for seed in draws.seeds]


def test_voting_hears_every_pass_of_an_utterance(ragged: Audio) -> None:
    passes = [["A B C", "NO", ""], ["A X C", "YES NO", "HM"], ["B C", "NO", ""]]
    script = {
        seed: text
        for number, texts in enumerate(passes)
        for seed, text in zip(Draws(SEEDS).fork(number).seeds, texts, strict=True)
    }
    assert Voted(Scripted(script), 3).transcribe(ragged, Draws(SEEDS)) == ["A B C", "NO", ""]


def test_rover_smooths_any_recognizer_and_its_loss_is_the_mean(ragged: Audio) -> None:
    voted = defenses.build("rs:snr=10,votes=4,vote=rover").wrap(Seq2Seq())
    assert voted.transcribe(ragged, Draws(SEEDS)) == ["x"] * 3
    noisy = Defended(Seq2Seq(), GaussianNoise(10))
    single = [noisy.loss(ragged, TEXTS, Draws(SEEDS).fork(i)) for i in range(4)]
    mean = torch.stack(single).mean(0)
    assert torch.allclose(voted.loss(ragged, TEXTS, Draws(SEEDS)), mean, rtol=1e-5)


def test_watching_counts_and_changes_nothing(tiny: DeepSpeech2, ragged: Audio) -> None:
    calls: list[int] = []
    watched = Monitored(tiny, lambda: calls.append(1))
    losses = watched.loss(ragged, TEXTS, Draws(SEEDS))
    assert torch.equal(losses, tiny.loss(ragged, TEXTS, Draws(SEEDS)))
    assert watched.transcribe(ragged, Draws(SEEDS)) == tiny.transcribe(ragged, Draws(SEEDS))
    assert len(calls) == 2


def test_wrappers_refuse_no_draws(tiny: DeepSpeech2) -> None:
    model: CTCRecognizer = tiny
    with pytest.raises(ValueError, match="votes must be at least 1"):
        Smoothed(model, 0)
    with pytest.raises(ValueError, match="votes must be at least 1"):
        Voted(model, 0)
    with pytest.raises(ValueError, match="must be at least 1"):
        EOT(model, 0)
    with pytest.raises(ValueError, match="must be at least 1"):
        EOT(model, 3, chunk=0)
