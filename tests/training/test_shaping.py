import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from melmoat.audio import Audio, AudioError
from melmoat.defenses.shaping import centres, load_curve
from melmoat.errors import MelmoatError
from melmoat.training.shaping import curve_of, difference, measure_shaping
from melmoat.vocoders.mel import LAB_MEL, MelSpec


@pytest.mark.parametrize("hz", [400, 2_500])
def test_what_is_added_at_a_frequency_shows_in_its_band(hz: float, ragged: Audio) -> None:
    t = torch.arange(ragged.wav.shape[1]) / 16_000
    quiet = ragged.with_wav(1e-3 * torch.randn(ragged.wav.shape))
    louder = quiet.with_wav(quiet.wav + 0.1 * torch.sin(2 * math.pi * hz * t))
    total, frames = difference(quiet, louder, LAB_MEL)
    assert frames == sum(math.ceil(n / 192) for n in ragged.lengths.tolist())
    curve = curve_of(total / frames, LAB_MEL, {})
    peak = curve.values.index(1.0)
    assert centres(LAB_MEL)[peak] == pytest.approx(hz, rel=0.08)


def test_twice_the_amplitude_everywhere_is_six_decibels_in_every_band(ragged: Audio) -> None:
    for mel in (LAB_MEL, MelSpec(rate=16_000, fmax=8_000, log="e")):
        total, frames = difference(ragged, ragged.with_wav(2 * ragged.wav), mel)
        curve = curve_of(total / frames, mel, {})
        decades = curve.card["largest"] / (1.0 if mel.log == "10" else math.log(10))
        assert 20 * decades == pytest.approx(6.02, abs=0.01)
        assert curve.values == pytest.approx([1.0] * 80, abs=0.02)


def test_magnitudes_differ_where_the_change_is_and_logarithms_where_speech_is_weak() -> None:
    t = torch.arange(16_000) / 16_000
    loud = 0.3 * torch.sin(2 * math.pi * 500 * t)
    clean = Audio.of([loud + 1e-4 * torch.randn(16_000)])
    extra = 0.03 * torch.sin(2 * math.pi * 500 * t) + 0.003 * torch.sin(2 * math.pi * 4_000 * t)
    bad = clean.with_wav(clean.wav + extra)
    peaks = []
    for scale in ("linear", "log"):
        total, frames = difference(clean, bad, LAB_MEL, scale)  # type: ignore[arg-type]
        peaks.append(centres(LAB_MEL)[int((total / frames).argmax())])
    assert peaks == pytest.approx([500, 4_000], rel=0.1)


def test_padding_does_not_count(ragged: Audio) -> None:
    bad = ragged.with_wav(1.5 * ragged.wav)
    total, frames = difference(ragged, bad, LAB_MEL)
    singles = [
        difference(Audio.of([x]), Audio.of([y]), LAB_MEL) for x, y in zip(ragged, bad, strict=True)
    ]
    assert torch.allclose(total, torch.stack([t for t, _ in singles]).sum(0), rtol=1e-4)
    assert frames == sum(n for _, n in singles)


def test_no_change_is_no_curve() -> None:
    with pytest.raises(MelmoatError, match="changed nothing"):
        curve_of(torch.zeros(80), LAB_MEL, {})


def test_speech_too_short_for_a_frame_is_named_before_the_attack(tmp_path: Path) -> None:
    for name, samples in (("a", 400), ("b", 16_000)):
        soundfile.write(tmp_path / f"{name}.flac", np.zeros(samples), 16_000)
    rows = "".join(f"{name}\ts\t0\tGO\t{name}.flac\n" for name in "ab")
    (tmp_path / "transcripts.tsv").write_text("id\tspeaker\tseconds\ttext\tpath\n" + rows)
    with pytest.raises(AudioError, match=r"shorter than the 0\.03 s .*shortest=0\.06\): a$"):
        measure_shaping("ds2-an4", "noise:db=0", f"tsv:{tmp_path}", LAB_MEL)


def test_a_measured_curve_rises_for_white_noise_and_says_where_from(tmp_path: Path) -> None:
    ticks: list[float] = []
    curve = measure_shaping(
        "ds2-an4", "noise:norm=snr,db=0", "demo", LAB_MEL, limit=4, batch=2, tick=ticks.append
    )
    assert sum(ticks) == pytest.approx(4)
    assert curve.card["pairs"] == 4
    assert curve.card["attack"] == "noise:db=0"
    # White noise differs most from speech where speech is weakest, at high frequency.
    low, high = sum(curve.values[:20]), sum(curve.values[-20:])
    assert high > 1.5 * low
    curve.save(tmp_path / "curve.json")
    assert load_curve(tmp_path / "curve.json") == curve
