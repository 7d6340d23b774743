"""Files and folders through a front-end."""

from pathlib import Path

import pytest
import soundfile
import torch

from melmoat import audio
from melmoat.audio import Audio, AudioError
from melmoat.defenses import FrontEnd, front_end
from melmoat.draws import Draws
from melmoat.file_jobs import Job, defend_files, jobs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    wave = 0.1 * torch.sin(torch.arange(4_000) / 10)
    audio.save(root / "a.wav", Audio.of([wave]))
    soundfile.write(root / "sub" / "b.ogg", wave.numpy(), 16_000)
    (root / "notes.txt").write_text("not audio")
    return root


def test_one_file_goes_to_one_file(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.flac"
    assert jobs([folder / "a.wav"], target) == [Job(folder / "a.wav", target, "a.wav")]


def test_a_folder_keeps_its_shape(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert jobs([folder], out) == [
        Job(folder / "a.wav", out / "a.wav", "a.wav"),
        Job(folder / "sub" / "b.ogg", out / "sub" / "b.flac", "sub/b.ogg"),
    ]


def test_many_files_go_into_a_folder(folder: Path, tmp_path: Path) -> None:
    sources = [folder / "a.wav", folder / "sub" / "b.ogg"]
    assert [job.target.name for job in jobs(sources, tmp_path / "out")] == ["a.wav", "b.flac"]


def test_nothing_is_overwritten_by_accident(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="would be overwritten"):
        jobs([folder / "a.wav", folder / "sub" / "b.ogg"], folder)
    for inside in (folder, folder / "out"):
        with pytest.raises(AudioError, match="choose a target outside"):
            jobs([folder], inside)
    with pytest.raises(AudioError, match="would both become"):
        jobs([folder, folder], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match="no audio files"):
        jobs([tmp_path / "empty"], tmp_path / "out")


def test_files_of_one_name_go_apart(folder: Path, tmp_path: Path) -> None:
    wave = 0.1 * torch.sin(torch.arange(4_000) / 10)
    for name in ("b.mp3", "b.flac"):
        soundfile.write(folder / "sub" / name, wave.numpy(), 16_000)
    out = tmp_path / "out"
    assert [str(job.target.relative_to(out)) for job in jobs([folder], out)] == [
        "a.wav",
        "sub/b.flac",
        "sub/b.mp3.flac",
        "sub/b.ogg.flac",
    ]


def test_a_source_that_is_not_there_stops_no_other(folder: Path, tmp_path: Path) -> None:
    gone = folder / "gone.wav"
    assert [job.name for job in jobs([gone, folder / "a.wav"], tmp_path / "out")] == ["a.wav"]
    with pytest.raises(AudioError, match=r"gone\.wav: no such file"):
        jobs([gone], tmp_path / "out.wav")


@pytest.mark.parametrize("error", [MemoryError(), RecursionError("deep"), KeyError("x")])
def test_no_error_of_one_file_ends_the_work_on_others(
    folder: Path, tmp_path: Path, error: Exception
) -> None:
    class Fails(FrontEnd):
        def __call__(self, clean: Audio, draws: Draws) -> Audio:
            if not seen:
                seen.append(1)
                raise error
            return clean

    seen: list[int] = []
    passed = defend_files(Fails(), jobs([folder], tmp_path / "out"))
    assert (passed.files, len(passed.failed)) == (1, 1)
    assert passed.failed[0].startswith(f"{folder / 'a.wav'}: ")
    assert type(error).__name__ in passed.failed[0]


def test_a_bad_file_does_not_stop_the_others(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.wav").write_bytes(b"no audio at all")
    ticks: list[int] = []
    files = jobs([folder], tmp_path / "out")
    passed = defend_files(front_end("none"), files, tick=lambda: ticks.append(1))
    assert (passed.files, len(passed.failed), len(ticks)) == (2, 1, 3)
    assert "broken.wav: not readable as audio" in passed.failed[0]
    assert passed.seconds == pytest.approx(0.5)
    clean, heard = (audio.load(folder / "a.wav"), audio.load(tmp_path / "out" / "a.wav"))
    assert torch.equal(clean.wav, heard.wav)


def test_what_a_front_end_makes_is_checked_before_it_is_written(
    folder: Path, tmp_path: Path
) -> None:
    class Odd(FrontEnd):
        def __call__(self, clean: Audio, draws: Draws) -> Audio:
            if len(seen) == 0:
                seen.append(1)
                return clean.with_wav(clean.wav * torch.nan)
            if len(seen) == 1:
                seen.append(1)
                raise RuntimeError("no memory")
            return Audio.of([wave[:-9] for wave in clean], clean.rate)

    seen: list[int] = []
    audio.save(folder / "c.wav", Audio.of([torch.zeros(4000)]))
    files = jobs([folder], tmp_path / "out")
    passed = defend_files(Odd(), files)
    assert passed.files == 0
    said = "\n".join(passed.failed)
    assert "a.wav: Odd made NaN or Inf" in said
    assert "Odd failed, RuntimeError: no memory" in said
    assert "Odd changed an utterance's length" in said
    assert not list((tmp_path / "out").rglob("*.*a*"))


def test_what_is_drawn_depends_on_seed_and_name_alone(folder: Path, tmp_path: Path) -> None:
    noisy = front_end("wgn:snr=10")
    (folder / "sub" / "a.wav").write_bytes((folder / "a.wav").read_bytes())

    def heard(out: str, seed: int, name: str = "a.wav") -> torch.Tensor:
        defend_files(noisy, jobs([folder], tmp_path / out), seed)
        return audio.load(tmp_path / out / name).wav

    assert torch.equal(heard("x", 1), heard("y", 1))
    assert not torch.equal(heard("x", 1), heard("z", 2))
    assert not torch.equal(heard("x", 1), heard("x", 1, "sub/a.wav"))


def test_nobody_knows_the_noise_unless_a_seed_is_given(folder: Path, tmp_path: Path) -> None:
    heard = []
    for out in ("x", "y"):
        defend_files(front_end("wgn:snr=10"), jobs([folder], tmp_path / out))
        heard.append(audio.load(tmp_path / out / "a.wav").wav)
    assert not torch.equal(*heard)
