import math
from pathlib import Path

import pytest
import soxr
import torch

from melmoat import data
from melmoat.attacks.budgets import SNR
from melmoat.audio import Audio, save
from melmoat.bench.cell import Cell
from melmoat.data import CORPORA
from melmoat.data.corpora import CorpusError

TWICE = "padded:(padded:demo,after=1),before=1"


def test_silence_stands_around_the_same_utterances() -> None:
    plain, padded = (
        list(data.load("demo"))[:2],
        list(data.load("padded:demo,before=0.5,after=1"))[:2],
    )
    assert [cut.id for cut in plain] == [cut.id for cut in padded]
    assert [data.written(cut) for cut in plain] == [data.written(cut) for cut in padded]
    for cut, other in zip(plain, padded, strict=True):
        wave, longer = (data.recording(one).audio.wav[0] for one in (cut, other))
        assert torch.equal(longer[8_000:-16_000], wave)
        assert longer[:8_000].eq(0).all()
        assert longer[-16_000:].eq(0).all()


def test_a_perturbation_keeps_its_snr_over_the_speech() -> None:
    cut, other = (next(iter(data.load(spec))) for spec in ("demo", "padded:demo,after=2"))
    radii = [
        float(SNR(20.0).radius(Audio.of([data.recording(one).audio.wav[0]])))
        for one in (cut, other)
    ]
    assert math.isclose(*radii, rel_tol=1e-3)  # the mean, which does not count, is spread


def test_padding_adds_up_and_counts_in_the_key() -> None:
    plain, cut = (next(iter(data.load(spec))) for spec in ("demo", TWICE))
    wave, longer = (data.recording(one).audio.wav[0] for one in (plain, cut))
    assert torch.equal(longer[16_000:-16_000], wave)
    specs = ["demo", "padded:demo,after=1", "padded:demo,after=2"]
    cells = [Cell("ds2-an4", "none", "none", str(CORPORA.parse(spec))) for spec in specs]
    assert len({cell.key for cell in cells}) == 3


@pytest.mark.parametrize("options", ["", ",before=-1", ",after=0"])
def test_no_silence_is_refused(options: str) -> None:
    with pytest.raises(CorpusError, match="seconds"):
        data.load(f"padded:demo{options}")


def test_a_lower_level_is_the_same_wave() -> None:
    plain, quiet = (next(iter(data.load(s))) for s in ("demo", "altered:demo,gain=-20"))
    wave, fainter = (data.recording(one).audio.wav[0] for one in (plain, quiet))
    torch.testing.assert_close(fainter, wave / 10)
    assert data.written(plain) == data.written(quiet)


def test_faster_speech_is_shorter_and_its_tone_higher(tmp_path: Path) -> None:
    tone = torch.sin(2 * math.pi * 400 * torch.arange(16_000) / 16_000) / 2
    save(tmp_path / "tone.wav", Audio.of([tone]))
    (tmp_path / "list.tsv").write_text("id\ttext\tpath\n1\ta\ttone.wav\n", "utf-8")
    inner = f"tsv:{tmp_path}/list.tsv"
    cut = next(iter(data.load(f"altered:({inner}),speed=1.25")))
    wave = data.recording(cut).audio.wav[0]
    assert len(wave) == 12_800
    assert cut.duration == 0.8
    assert "0.8 to 0.8 s" in data.describe(f"altered:({inner}),speed=1.25")
    spectrum = torch.fft.rfft(wave).abs()
    assert float(spectrum.argmax()) * 16_000 / len(wave) == pytest.approx(500)


def test_what_overshoots_full_scale_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    square = torch.sin(2 * math.pi * 100 * torch.arange(16_000) / 16_000).sign() * 32767 / 32768
    save(tmp_path / "square.wav", Audio.of([square]))
    (tmp_path / "list.tsv").write_text("id\ttext\tpath\n1\ta\tsquare.wav\n", "utf-8")
    spec = f"altered:(tsv:{tmp_path}/list.tsv),speed=1.05"
    read = data.recording(next(iter(data.load(spec))))
    expected = soxr.resample(square.numpy(), 16_800, 16_000, quality="HQ")
    assert abs(expected).max() > 1.05
    assert read.gain == 0.5
    torch.testing.assert_close(read.audio.wav[0], torch.from_numpy(expected) / 2)


def test_changes_keep_their_order() -> None:
    inner, outer = "padded:(altered:demo,speed=1.25),after=1", "altered:(padded:demo,after=1)"
    plain, padded, both = (
        len(data.recording(next(iter(data.load(spec)))).audio.wav[0])
        for spec in ("demo", inner, f"{outer},speed=1.25")
    )
    assert padded == pytest.approx(plain / 1.25 + 16_000, abs=2)
    assert both == pytest.approx((plain + 16_000) / 1.25, abs=2)


@pytest.mark.parametrize("options", ["", ",gain=1", ",speed=0", ",gain=nan", ",speed=3"])
def test_no_change_and_too_much_are_refused(options: str) -> None:
    with pytest.raises(CorpusError, match="altered: gain is in dB"):
        data.load(f"altered:demo{options}")
