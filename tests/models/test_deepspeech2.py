from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from melmoat import models
from melmoat.audio import Audio, AudioError
from melmoat.draws import Draws
from melmoat.models.deepspeech2 import DeepSpeech2, DeepSpeech2Config, MaskedConv, SumRNN
from tests.conftest import tiny_config

DRAWS = Draws([0, 1, 2])


def test_the_published_network_is_reproduced(shared: Path) -> None:
    path = shared / "golden" / "ds2_a.pt"
    golden = torch.load(path, weights_only=True)
    model = models.load(f"deepspeech.pytorch:{path}")
    assert isinstance(model, DeepSpeech2)
    log_probs, frames = model.log_probs(Audio.of(golden["waves"]), Draws([0, 0]))
    assert torch.equal(frames.int(), golden["out_lengths"])
    for row, expected, length in zip(log_probs, golden["probs"], frames, strict=True):
        assert torch.allclose(row[:length].exp(), expected[:length], atol=1e-5)


def test_the_published_size() -> None:
    with torch.device("meta"):
        model = DeepSpeech2(DeepSpeech2Config())
    assert sum(p.numel() for p in model.parameters()) == 86_618_400


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("length", [40, 41])
def test_the_fast_convolution_is_the_convolution(channels: int, length: int) -> None:
    conv = nn.Conv2d(channels, 6, (41, 11), stride=(2, 2), padding=(20, 5)).double()
    block = MaskedConv(conv).double()
    x = torch.randn(2, channels, 161, length, dtype=torch.float64)
    assert torch.allclose(block.convolve(x), conv(x), atol=1e-12)


@pytest.mark.parametrize("rnn", ["lstm", "gru", "rnn"])
def test_padded_recurrence_equals_packed(rnn: str) -> None:
    torch.manual_seed(0)
    layer = SumRNN(rnn, 7, 5, bidirectional=True, norm=False).double()
    kind = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[rnn]
    reference = kind(7, 5, batch_first=True, bidirectional=True).double()
    for name, weight in layer.ahead.state_dict().items():
        reference.state_dict()[name].copy_(weight)
    assert layer.back is not None
    for name, weight in layer.back.state_dict().items():
        reference.state_dict()[f"{name}_reverse"].copy_(weight)
    x, frames = torch.randn(3, 11, 7, dtype=torch.float64), torch.tensor([11, 4, 8])
    packed = nn.utils.rnn.pack_padded_sequence(x, frames, batch_first=True, enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(reference(packed)[0], batch_first=True)
    expected = expected[..., :5] + expected[..., 5:]
    for got, wanted, length in zip(layer(x, frames), expected, frames, strict=True):
        assert torch.allclose(got[:length], wanted[:length], atol=1e-12)


VARIANTS = [
    {},
    {"pad": "reflect"},
    {"rnn": "gru"},
    {"rnn": "rnn", "layers": 1},
    {"bidirectional": False, "lookahead": 5},
]


def gradient(model: DeepSpeech2, audio: Audio, texts: list[str]) -> tuple[Tensor, Tensor]:
    wav = audio.wav.clone().requires_grad_()
    losses = model.loss(Audio(wav, audio.lengths), texts, Draws(range(len(audio))))
    (grad,) = torch.autograd.grad(losses.sum(), wav)
    return losses.detach(), grad


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_batch_equals_its_singles(ragged: Audio, variant: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = DeepSpeech2(tiny_config(**variant)).double().eval().requires_grad_(False)
    ragged = Audio(ragged.wav.double(), ragged.lengths)
    texts = ["GO ON", "ENTER SIX", "A"]
    losses, grads = gradient(model, ragged, texts)
    heard = model.transcribe(ragged, DRAWS)
    for i, wave in enumerate(ragged):
        alone = Audio.of([wave])
        loss, grad = gradient(model, alone, texts[i : i + 1])
        assert torch.allclose(losses[i], loss[0], rtol=1e-10)
        difference = (grads[i, : len(wave)] - grad[0]).norm() / grad.norm()
        assert difference < 1e-9
        assert model.transcribe(alone, Draws([i])) == [heard[i]]


def test_the_gradient_is_the_derivative(tiny: DeepSpeech2, ragged: Audio) -> None:
    model = tiny.double()
    wav = ragged.wav.double()
    audio = Audio(wav, ragged.lengths)
    _, grad = gradient(model, audio, ["GO ON", "ENTER SIX", "A"])
    torch.manual_seed(3)
    direction = torch.randn_like(wav) * audio.mask
    h = 1e-8  # small: a Hardtanh has kinks
    up, _ = gradient(model, audio.with_wav(wav + h * direction), ["GO ON", "ENTER SIX", "A"])
    down, _ = gradient(model, audio.with_wav(wav - h * direction), ["GO ON", "ENTER SIX", "A"])
    numeric = (up - down) / (2 * h)
    assert torch.allclose((grad * direction).sum(1), numeric, rtol=1e-4, atol=1e-4)


def test_silence_and_one_frame_have_finite_gradients(tiny: DeepSpeech2) -> None:
    for wave in (torch.zeros(8_000), torch.zeros(2), torch.tensor([0.1, -0.1])):
        losses, grad = gradient(tiny, Audio.of([wave]), [""])
        assert torch.isfinite(losses).all()
        assert torch.isfinite(grad).all()


def test_a_quieter_recording_of_a_loud_one_is_normalised(tiny: DeepSpeech2, ragged: Audio) -> None:
    features, frames = tiny.features(ragged)
    for x, n in zip(features, frames, strict=True):
        assert x[:, :n].mean().abs() < 1e-5
        assert x[:, :n].std() == pytest.approx(1, abs=1e-4)
        assert x[:, n:].eq(0).all()


def test_recurrent_layers_stay_in_training_mode(tiny: DeepSpeech2) -> None:
    modes = {type(m).__name__: m.training for m in tiny.eval().modules()}
    assert modes["LSTM"]
    assert not modes["BatchNorm1d"]


def test_hours_are_refused(tiny: DeepSpeech2) -> None:
    with pytest.raises(AudioError, match="cut it at pauses"):
        tiny.features(Audio.of([torch.zeros(9_700_000)]))


def test_another_rate_is_refused(tiny: DeepSpeech2) -> None:
    with pytest.raises(ValueError, match="16000 Hz audio, got 8000"):
        tiny.features(Audio.of([torch.zeros(900)], rate=8_000))
