import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from melmoat import data
from melmoat.audio import Audio, AudioError, load, save
from melmoat.data.in_memory import write_corpus


@contextmanager
def full_disk() -> Iterator[None]:
    """Files have room for some thousand bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def tone(seconds: float, rate: int, hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def test_padding_is_zeroed_and_items_come_back() -> None:
    waves = [torch.ones(3), torch.ones(5)]
    batch = Audio.of(waves)
    moved = batch.with_wav(batch.wav + 1)
    assert moved.wav[0, 3:].eq(0).all()
    assert [len(w) for w in moved] == [3, 5]
    assert torch.equal(batch.repeat(2).wav[2:], batch.wav)


def test_rms_is_over_the_true_length() -> None:
    signs = torch.tensor([1.0, -1.0]).repeat(4)
    batch = Audio.of([0.5 * signs[:4] + 0.2, 0.25 * signs - 0.7])
    assert torch.allclose(batch.rms, torch.tensor([0.5, 0.25]))
    assert batch.centred[0, 4:].eq(0).all()
    assert Audio.of([torch.full((999,), 0.1)]).centred.eq(0).all()


def test_rms_of_silence_has_a_zero_gradient() -> None:
    wav = torch.zeros(1, 100, requires_grad=True)
    Audio(wav, torch.tensor([100])).rms.sum().backward()
    assert wav.grad is not None
    assert wav.grad.eq(0).all()


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_stereo_at_44100_becomes_mono_at_16000(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tone.{suffix}"
    left = tone(1.0, 44_100)
    soundfile.write(path, np.stack([left, np.zeros_like(left)], axis=1), 44_100)
    (wave,) = load(path)
    assert abs(len(wave) - 16_000) < 1_200  # lossy coders pad
    spectrum = torch.fft.rfft(wave[2_000:10_000] * torch.hann_window(8_000))
    assert spectrum.abs().argmax() * 2 == 440  # bins are 2 Hz apart
    assert wave[2_000:10_000].abs().max() == pytest.approx(0.25, abs=0.01)


def test_what_is_saved_is_what_was_quantized(tmp_path: Path) -> None:
    audio = Audio.of([torch.randn(500) * 0.6])
    save(tmp_path / "a.flac", audio)
    assert torch.equal(load(tmp_path / "a.flac").wav, audio.quantized().wav)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_full_disk_keeps_the_old_file_and_leaves_no_part(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    save(path, Audio.of([torch.randn(500) * 0.1]))
    old = path.read_bytes()
    with full_disk(), pytest.raises(AudioError, match="is the disk full"):
        save(path, Audio.of([torch.randn(16_000) * 0.1]))
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_another_name_of_the_old_file_keeps_it(tmp_path: Path) -> None:
    save(tmp_path / "a.wav", Audio.of([torch.zeros(500)]))
    (tmp_path / "b.wav").hardlink_to(tmp_path / "a.wav")
    save(tmp_path / "b.wav", Audio.of([torch.ones(500) * 0.5]))
    assert not load(tmp_path / "a.wav").wav.any()
    assert load(tmp_path / "b.wav").wav.all()


def test_waves_in_memory_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    speech = [(torch.randn(16_000) * 0.1, "yes")]
    with full_disk(), pytest.raises(AudioError, match="is the disk full"):
        write_corpus(speech, tmp_path)
    spec, _ = write_corpus(speech, tmp_path)
    (cut,) = data.load(spec)
    assert len(data.recording(cut).audio.wav[0]) == 16_000


def test_saving_to_an_unknown_format_says_so(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"name it \.wav or \.flac"):
        save(tmp_path / "a.xyz", Audio.of([torch.zeros(10)]))
    with pytest.raises(AudioError, match="does not exist"):
        save(tmp_path / "gone" / "a.wav", Audio.of([torch.zeros(10)]))


def test_a_streamed_wav_of_unknown_length_is_read_whole(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.5, 16_000), 16_000)
    whole = (tmp_path / "a.wav").read_bytes()
    at = whole.index(b"data") + 4
    unknown = b"\xff" * 4
    streamed = whole[:4] + unknown + whole[8:at] + unknown + whole[at + 4 :]
    (tmp_path / "b.wav").write_bytes(streamed)
    assert torch.equal(load(tmp_path / "b.wav").wav, load(tmp_path / "a.wav").wav)


def broken_files(folder: Path) -> dict[str, Path]:
    names = ("empty.wav", "text.wav", "short.wav", "short.flac", "headerless.raw")
    files = {name: folder / name for name in names}
    files["headerless.raw"].write_bytes(bytes(8_000))
    files["empty.wav"].touch()
    files["text.wav"].write_text("this is not audio, whatever its name says")
    for suffix in ("wav", "flac"):
        soundfile.write(
            folder / f"whole.{suffix}", np.random.default_rng(0).normal(size=9_000), 16_000
        )
        whole = (folder / f"whole.{suffix}").read_bytes()
        files[f"short.{suffix}"].write_bytes(whole[: len(whole) // 2])
    files["missing.wav"] = folder / "missing.wav"
    files["folder.wav"] = folder / "folder.wav"
    files["folder.wav"].mkdir()
    for name, samples in {
        "none.wav": np.zeros(0),
        "one.wav": np.zeros(1),
        "nan.wav": np.array([0.0, np.nan, 0.1] * 100),
        "inf.wav": np.array([0.0, np.inf, 0.1] * 100),
        "integers.wav": np.array([0.0, 9_000.0, -12.0] * 100),
    }.items():
        files[name] = folder / name
        soundfile.write(files[name], samples, 16_000, subtype="FLOAT")
    return files


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.wav", "no such file"),
        ("folder.wav", "a folder"),
        ("empty.wav", "empty"),
        ("text.wav", "not readable as audio"),
        ("headerless.raw", "not readable as audio"),
        ("short.wav", "cut short"),
        ("short.flac", "cut short or damaged"),
        ("none.wav", "there is no sound in it"),
        ("one.wav", r"1 sample\(s\)"),
        ("nan.wav", "NaN or Inf"),
        ("inf.wav", "NaN or Inf"),
        ("integers.wav", "samples reach 9e\\+03 where full scale is 1"),
    ],
)
def test_unusable_files_are_refused_by_name(tmp_path: Path, name: str, message: str) -> None:
    path = broken_files(tmp_path)[name]
    with pytest.raises(AudioError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_integers_are_no_samples() -> None:
    """Noise on them would be rounded to integers too, and nearly all of it lost."""
    with pytest.raises(ValueError, match=r"got torch\.int16; divide integers by .* \(32768"):
        Audio.of([torch.tensor([3, -5], dtype=torch.int16)])


def test_an_utterance_without_samples_is_refused() -> None:
    with pytest.raises(AudioError, match="has no samples"):
        Audio.of([torch.ones(3), torch.ones(0)])
    with pytest.raises(ValueError, match="lengths up to 5 in a batch of 3"):
        Audio(torch.ones(1, 3), torch.tensor([5]))
