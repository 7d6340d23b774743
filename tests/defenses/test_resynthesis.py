"""The vocoder front-ends, and the three gradients an attacker may be given."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from melmoat.audio import Audio, AudioError
from melmoat.defenses import build, declared, front_end
from melmoat.defenses.base import FrontEnd, Resampled, StraightThrough
from melmoat.defenses.resynthesis import Resynthesis
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.spec import SpecError
from melmoat.vocoders import base
from tests.defenses.tiny import MEL_22K, tiny_melgan


class Gain(FrontEnd):
    """``x * (1 + n)``: its gradient depends on the draw."""

    stochastic = True

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio.with_wav(audio.wav * (1 + draws.normal(audio.wav)))


def gain(label: str, like: Tensor) -> Tensor:
    return 1 + Draws([4]).fork(label).normal(like)


def test_resampled_noise_gives_the_mixed_gradient() -> None:
    x = torch.full((1, 5), 0.3, requires_grad=True)
    heard = Resampled(Gain())(Audio(x, torch.tensor([5])), Draws([4])).wav
    a, b = gain("forward", x), gain("backward", x)
    assert torch.allclose(heard, a * x)
    (slope,) = torch.autograd.grad(heard.square().sum(), x)
    assert torch.allclose(slope, 2 * a * b * x)  # the truth is 2 a^2 x


def test_resampled_noise_gives_no_gradient_to_what_has_none() -> None:
    spec = "chain:(mulaw:gradient=resampled),then=(wgn:snr=20)"
    assert declared(build(spec)) == (True, False)
    x = torch.full((1, 5), 0.3, requires_grad=True)
    heard = front_end("mulaw:gradient=resampled")(Audio(x, torch.tensor([5])), Draws([4])).wav
    assert not torch.autograd.grad(heard.sum(), x)[0].any()
    assert declared(build("stft-flood:gradient=resampled")) == (True, True)


def test_straight_through_takes_it_for_the_identity() -> None:
    x = torch.full((1, 5), 0.3, requires_grad=True)
    heard = StraightThrough(Gain())(Audio(x, torch.tensor([5])), Draws([4])).wav
    (slope,) = torch.autograd.grad(heard.square().sum(), x)
    assert torch.allclose(slope, 2 * heard)


@pytest.mark.parametrize("gradient", ["resampled", "bpda"])
def test_the_gradient_option_leaves_the_forward_pass(vocoder: str, gradient: str) -> None:
    audio = Audio.of([0.1 * torch.randn(400, generator=torch.Generator().manual_seed(0))])
    plain = front_end(f"resynth:vocoder={vocoder}")
    other = front_end(f"resynth:vocoder={vocoder},gradient={gradient}")
    assert torch.allclose(plain(audio, Draws([1])).wav, other(audio, Draws([1])).wav, atol=1e-6)


def test_no_flooding_is_the_plain_resynthesis(vocoder: str, ragged: Audio) -> None:
    flooded = front_end(f"mdnf:vocoder={vocoder},level=0,shaping=flat")
    plain = front_end(f"resynth:vocoder={vocoder}")
    draws = Draws([1, 2, 3])
    assert torch.equal(flooded(ragged, draws).wav, plain(ragged, draws).wav)
    assert not flooded.stochastic


def test_shaping_reaches_the_noise(vocoder: str, ragged: Audio, tmp_path: Path) -> None:
    (tmp_path / "low.json").write_text('{"hz": [1, 1000, 1001], "values": [1, 1, 0]}')
    specs = [f"mdnf:vocoder={vocoder},shaping={s}" for s in ("flat", tmp_path / "low.json")]
    flat, low = (front_end(s)(ragged, Draws([1, 2, 3])).wav for s in specs)
    assert not torch.equal(flat, low)


def test_a_vocoder_with_noise_is_stochastic_unless_fixed(pwg: str, ragged: Audio) -> None:
    fresh, fixed = (
        front_end(f"resynth:vocoder={pwg}"),
        front_end(f"resynth:vocoder={pwg},noise=fixed"),
    )
    one, two = Draws([1, 2, 3]), Draws([4, 5, 6])
    assert fresh.stochastic
    assert not torch.equal(fresh(ragged, one).wav, fresh(ragged, two).wav)
    assert not fixed.stochastic
    assert torch.equal(fixed(ragged, one).wav, fixed(ragged, two).wav)


def test_long_audio_is_made_in_pieces_that_fit_together(
    ragged: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = Resynthesis(tiny_melgan().double())
    audio = Audio(ragged.wav.double(), ragged.lengths)
    with torch.no_grad():
        whole = front(audio, Draws([0] * 3)).wav
        monkeypatch.setattr(base, "CHUNK", 37)
        pieces = front(audio, Draws([0] * 3)).wav
    assert torch.allclose(whole, pieces, atol=1e-12)


def test_another_rate_is_kept_too(ragged: Audio) -> None:
    front = Resynthesis(tiny_melgan(MEL_22K))
    heard = front(ragged, Draws([0] * 3))
    assert heard.rate == ragged.rate
    assert heard.wav.shape == ragged.wav.shape
    assert heard.wav[ragged.mask].abs().max() > 0


def test_silence_gives_no_nan(vocoder: str) -> None:
    silence = torch.zeros(1, 500, requires_grad=True)
    front = front_end(f"mdnf:vocoder={vocoder},level=0.1,shaping=flat")
    heard = front(Audio(silence, torch.tensor([500])), Draws([0])).wav
    heard.sum().backward()
    assert torch.isfinite(heard).all()
    assert silence.grad is not None
    assert torch.isfinite(silence.grad).all()


def test_what_is_too_short_says_so(vocoder: str) -> None:
    with pytest.raises(AudioError, match="too short"):
        front_end(f"resynth:vocoder={vocoder}")(Audio.of([torch.ones(8)]), Draws([0]))


def test_wrong_settings_say_so(vocoder: str) -> None:
    with pytest.raises(SpecError, match="level must be"):
        front_end(f"mdnf:vocoder={vocoder},level=-1,shaping=flat")
    with pytest.raises(MelmoatError, match="unknown shaping"):
        front_end(f"mdnf:vocoder={vocoder},shaping=steep")
    with pytest.raises(SpecError, match="unknown vocoder"):
        front_end("resynth:vocoder=nothing")
    with pytest.raises(SpecError, match="one of exact, resampled, bpda"):
        front_end(f"resynth:vocoder={vocoder},gradient=none")


def test_options_that_would_change_nothing_are_refused(vocoder: str) -> None:
    """As rows of a table they would be other systems with the same figures."""
    with pytest.raises(SpecError, match="noise=fixed is for vocoders that take noise"):
        front_end(f"resynth:vocoder={vocoder},noise=fixed")
    with pytest.raises(SpecError, match="shaping=flat has none"):
        front_end(f"mdnf:vocoder={vocoder},shaping=flat,shape=variance")
