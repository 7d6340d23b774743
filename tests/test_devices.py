"""Everything computes where the audio is. What each part makes there, its family's test says; here
are the commands' own paths."""

from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from melmoat import defenses
from melmoat.audio import Audio, load, save
from melmoat.bench.cell import grid
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store
from melmoat.cli.app import app
from melmoat.defenses import FrontEnd, apply
from melmoat.devices import beside, usable
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.file_jobs import Job, defend_files
from melmoat.training.shaping import difference, measure_shaping
from melmoat.training.universal import train_universal
from melmoat.vocoders.mel import LAB_MEL
from tests.elsewhere import There
from tests.training import test_asr, test_vocoder

MODEL = "python:tests.attacks.toys:Frames"
CELLS = grid([MODEL], ["wgn:snr=30"], ["pgd:norm=l2,eps=0.3,steps=2"], ["demo"])


def test_the_second_device_refuses_to_mix(device: str) -> None:
    there = torch.ones(3).to(device)
    assert isinstance(there, There)
    assert there.device.type == device
    assert (2 * there + there).cpu().tolist() == [3, 3, 3]
    with pytest.raises(RuntimeError, match="operands on"):
        there + torch.ones(3)
    with pytest.raises(RuntimeError, match="operands on"):
        nn.Linear(3, 2)(there)


def test_a_device_that_pytorch_does_not_know_is_answered_with_those_that_it_has() -> None:
    with pytest.raises(MelmoatError, match="device 'gpu' cannot be used: give cpu, cuda"):
        usable("gpu")


@pytest.mark.parametrize("name", ["meta", "cuda:99"])
def test_a_device_that_cannot_be_used_says_so(name: str) -> None:
    with pytest.raises(MelmoatError, match=f"device '{name}' cannot be used: .*cpu always can"):
        usable(name)


def test_audio_that_moves_is_heard_in_whole_single_precision(
    ragged: Audio, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    ragged.to(device)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    with torch.backends.cudnn.flags(enabled=True):  # as transformers does: it reads all switches
        pass


def test_a_network_follows_the_audio_there_and_back(device: str) -> None:
    network = nn.Linear(3, 2)
    assert beside(network, torch.ones(3).to(device))(torch.ones(3).to(device)).shape == (2,)
    assert next(network.parameters()).device.type == device
    assert beside(network, torch.ones(3))(torch.ones(3)).device.type == "cpu"


def test_a_network_that_finds_no_room_goes_back_whole(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("full")

    with monkeypatch.context() as patch:
        patch.setattr(network[1], "_apply", full)
        with pytest.raises(torch.OutOfMemoryError):
            beside(network, torch.ones(3).to(device))
    assert {weight.device.type for weight in network.parameters()} == {"cpu"}


def test_recurrent_layers_are_ready_for_cudnns_backward_pass(device: str) -> None:
    plain, dropping = nn.GRU(3, 2).eval(), nn.GRU(3, 2, 2, dropout=0.5).eval()
    beside(nn.ModuleList([plain, dropping]), torch.ones(3).to(device))
    assert plain.training
    assert not dropping.training


def test_a_front_end_must_leave_audio_where_it_was(ragged: Audio, device: str) -> None:
    class Fetching(FrontEnd):
        def __call__(self, audio: Audio, draws: Draws) -> Audio:
            return audio.to("cpu")

    with pytest.raises(MelmoatError, match="Fetching was given audio on meta and gave some on cpu"):
        apply(Fetching(), ragged.to(device), Draws([1, 2, 3]))
    with pytest.raises(ValueError, match="wav on cpu and lengths on meta"):
        Audio(ragged.wav, ragged.lengths.to(device))


def test_a_run_measures_the_same_there_and_keeps_its_audio(tmp_path: Path, device: str) -> None:
    (cell,), found = CELLS, []
    for name in ("cpu", device):
        store = Store(tmp_path / name)
        runner = Runner(store, batch=2, limit=2, save_audio=True, device=name)
        assert runner.asked()["device"] == name
        runner.run(CELLS, lambda cell, amount: None)
        found.append(sorted(store.rows(cell), key=lambda row: str(row["id"])))
    for here, there in zip(*found, strict=True):
        assert "device" not in here
        assert there["device"] == device
        same = ("id", "benign", "adversarial", "counts", "reached", "first", "queries")
        assert {key: here[key] for key in same} == {key: there[key] for key in same}
        assert here["l2"] == pytest.approx(there["l2"], rel=1e-3)
    kinds = [
        [load(tmp_path / name / "audio" / cell.key / f"{here['id']}.{kind}.flac").wav
         for name in ("cpu", device)]
        for kind in ("clean", "adversarial", "defended")
    ]  # fmt: skip
    for one, other in kinds:
        assert torch.allclose(one, other, atol=2e-3)
    assert torch.equal(*kinds[0])


def test_a_device_that_no_worker_has_ends_a_run(tmp_path: Path) -> None:
    store = Store(tmp_path / "run")
    with pytest.raises(MelmoatError, match="cannot be used"):
        Runner(store, limit=1, device="nowhere").run(CELLS, lambda cell, amount: None)
    assert not store.failures(CELLS[0])


@pytest.mark.parametrize(
    "words",
    [
        ["transcribe", "{wav}"],
        ["defend", "{wav}", "{out}", "--defense", "none"],
        ["attack", "{wav}", "{out}"],
        ["bench", "--limit", "1", "--out", "{run}"],
        ["bench", "--limit", "1", "--out", "{run}", "--dry-run"],
        ["evaluate", "--limit", "1", "--out", "{run}"],
        ["evaluate", "--limit", "1", "--dry-run"],
        ["demo", "--out", "{run}"],
        ["serve", "--defense", "none"],
        ["train", "asr", "--data", "demo", "--out", "{run}"],
        ["train", "vocoder", "--data", "demo", "--out", "{run}"],
        ["train", "shaping", "--data", "demo", "--out", "{out}"],
        ["train", "universal", "--data", "demo", "--out", "{out}"],
    ],
)
def test_every_command_that_computes_takes_one(
    words: list[str], tmp_path: Path, ragged: Audio
) -> None:
    save(tmp_path / "a.wav", ragged.pick([0]))
    places = {"wav": tmp_path / "a.wav", "out": tmp_path / "b.wav", "run": tmp_path / "run"}
    words = [word.format(**places) for word in words]
    result = CliRunner().invoke(app, [*words, "--device", "nowhere"])
    assert isinstance(result.exception, MelmoatError), result.output
    assert "device 'nowhere' cannot be used" in str(result.exception)


def test_files_are_defended_there(tmp_path: Path, ragged: Audio, device: str) -> None:
    save(tmp_path / "a.wav", ragged.pick([1]))
    front, found = defenses.front_end("mdnf:level=0.1"), []
    for name in ("cpu", device):
        job = Job(tmp_path / "a.wav", tmp_path / f"{name}.wav", "a.wav")
        assert defend_files(front, [job], seed=1, device=name).failed == []
        found.append(load(job.target).wav)
    assert torch.allclose(*found, atol=1e-3)


def test_training_takes_the_same_steps_there(device: str) -> None:
    asr_here, asr_there = test_asr.task(), test_asr.task(device=device)
    vocoder_here, vocoder_there = (
        test_vocoder.task(test_vocoder.replace(test_vocoder.RECIPE, warmup=1), device=name)
        for name in ("cpu", device)
    )
    for number in range(2):
        for here, there in ((asr_here, asr_there), (vocoder_here, vocoder_there)):
            one, other = here.step(number), there.step(number)
            assert one == pytest.approx(other, rel=1e-3)
    assert asr_here.validate() == asr_there.validate()
    assert vocoder_here.validate() == pytest.approx(vocoder_there.validate(), rel=1e-3)


def test_patterns_and_curves_are_trained_there(ragged: Audio, device: str) -> None:
    patterns = [
        train_universal(MODEL, "norm=snr,db=20", "demo", epochs=1, limit=2, batch=2, device=name)[0]
        for name in ("cpu", device)
    ]
    assert torch.allclose(patterns[0].samples, patterns[1].samples, atol=1e-2)
    louder = ragged.with_wav(1.5 * ragged.wav)
    here, frames = difference(ragged, louder, LAB_MEL)
    there, same = difference(ragged.to(device), louder.to(device), LAB_MEL)
    assert frames == same
    assert torch.allclose(here, there, rtol=1e-4)
    curve = measure_shaping(MODEL, "noise:norm=snr,db=20", "demo", LAB_MEL, limit=1, device=device)
    assert max(curve.values) == 1.0
