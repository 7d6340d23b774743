"""What is known of the plain transformations and of the codecs."""

from __future__ import annotations

import math

import pytest
import soundfile
import torch

from melmoat import data
from melmoat.audio import Audio
from melmoat.defenses import front_end
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.spec import SpecError


def through(spec: str, wave: torch.Tensor) -> torch.Tensor:
    return front_end(spec)(Audio.of([wave]), Draws([0])).wav[0]


def tone(hertz: float) -> torch.Tensor:
    return 0.3 * torch.sin(2 * math.pi * hertz * torch.arange(16_000) / 16_000)


def test_downsampling_keeps_what_is_below_half_the_rate_and_nothing_above() -> None:
    inner = slice(2_000, -2_000)
    low, high = tone(1_000), tone(4_500)
    assert torch.allclose(through("downsample:rate=8000", low)[inner], low[inner], atol=1e-3)
    assert through("downsample:rate=8000", high)[inner].abs().max() < 1e-3


def test_a_median_removes_a_click_and_keeps_an_edge() -> None:
    wave = torch.tensor([0.1, 0.1, 0.9, 0.1, 0.1, 0.5, 0.5, 0.5])
    assert through("median:width=3", wave)[:7].tolist() == pytest.approx(
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.5, 0.5]
    )


def test_quantising_leaves_multiples_of_the_step() -> None:
    wave = torch.linspace(-0.9, 0.9, 1_000)
    steps = through("quantize:step=256", wave) * 32_768 / 256
    assert torch.equal(steps, steps.round())
    assert (through("quantize:step=256", wave) - wave).abs().max() <= 128 / 32_768 + 1e-6


@pytest.mark.parametrize("kind", ["mp3", "opus", "vorbis"])
def test_a_codec_keeps_speech_in_place_and_better_with_more_bits(kind: str) -> None:
    (speech,) = data.read(list(data.load("demo"))[:1])
    noise = []
    for quality in (0.2, 0.8):
        heard = through(f"codec:kind={kind},quality={quality}", speech)
        assert not torch.equal(heard, speech)
        shifts = [float((speech.roll(k) * heard).sum()) for k in (-2, -1, 0, 1, 2)]
        assert max(shifts) == shifts[2]
        noise.append(float((heard - speech).norm() / speech.norm()))
    assert noise[1] < noise[0] < 0.3


@pytest.mark.parametrize("kind", ["mp3", pytest.param("opus", marks=pytest.mark.slow), "vorbis"])
def test_a_codec_takes_minutes(kind: str) -> None:
    """libsndfile's vorbis ends the process where it is given more than 131 s at once."""
    t = torch.arange(140 * 16_000) / 16_000
    wave = 0.2 * torch.sin(2 * torch.pi * 440 * t)
    heard = through(f"codec:kind={kind},quality=0.2", wave)
    assert float((heard - wave).norm() / wave.norm()) < 0.2


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("downsample:rate=10", "at least 1000 Hz"),
        ("median:width=4", "must be odd"),
        ("quantize:step=0", "between 1 and 32768"),
        ("codec:quality=2", "between 0 and 1"),
        ("codec:kind=aac", "one of mp3, opus, vorbis"),
    ],
)
def test_impossible_settings_are_refused(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        front_end(spec)


def test_what_cannot_be_coded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    wave = Audio.of([torch.zeros(1_000)], 11_025)
    with pytest.raises(MelmoatError, match="opus cannot code 11025 Hz audio"):
        front_end("codec:kind=opus")(wave, Draws([0]))
    with pytest.raises(MelmoatError, match="16000 Hz is no lower rate than the audio's 11025 Hz"):
        front_end("downsample:rate=16000")(wave, Draws([0]))
    monkeypatch.setattr(soundfile, "available_subtypes", lambda file: {})
    with pytest.raises(MelmoatError, match="cannot write mp3: pip install -U soundfile"):
        front_end("codec")
