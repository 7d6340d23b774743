import json
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from lhotse import MonoCut
from typer.testing import CliRunner

from melmoat import audio, data, weights
from melmoat.attacks import ATTACKS
from melmoat.audio import Audio
from melmoat.bench.executors import EXECUTORS
from melmoat.bench.store import Store
from melmoat.cli.app import app
from melmoat.data import CORPORA
from melmoat.defenses import DEFENSES
from melmoat.detectors import DETECTORS
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.metrics.errors import word_edits
from melmoat.models import MODELS, base
from melmoat.training import asr
from melmoat.vocoders import VOCODERS

CLI = CliRunner()
TRAIN = ["train", "asr", "--out", "r", "--data", "demo"]


def run(*words: object) -> str:
    """What a command that succeeds prints."""
    result = CLI.invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def shortest() -> MonoCut:
    """1.4 seconds."""
    return min(data.load("demo"), key=lambda cut: cut.duration)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    audio.save(path, data.read([shortest()]))
    return path


def test_help_loads_neither_torch_nor_lhotse() -> None:
    code = "import sys, melmoat.cli; print(sorted({'torch', 'lhotse', 'numpy'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_list_names_every_part() -> None:
    text = run("list")
    for name in ("ds2-an4", "rs:snr=15,votes=5", "pgd:norm=snr", "librispeech:PATH"):
        assert name in text


def test_list_explains_one_part() -> None:
    text = run("list", "mdnf")
    assert text.startswith("defense\n  mdnf:vocoder=melgan-lab,")
    assert "level" in text.partition("\n\n")[2]
    assert "rs:" not in text
    with pytest.raises(MelmoatError, match="no part called 'mdfn'"):
        run("list", "mdfn")


def test_every_part_is_explained() -> None:
    families = (MODELS, VOCODERS, DEFENSES, DETECTORS, ATTACKS, CORPORA, EXECUTORS)
    parts = [part for family in families for part in family.table.values()]
    # A dataclass without a docstring is given its signature for one.
    assert all(part.__doc__ and not part.__doc__.startswith(part.__name__) for part in parts)


def test_data() -> None:
    assert "demo" in run("data")
    assert "24 utterances" in run("data", "demo")


def test_transcribe_attack_defend(speech: Path, tmp_path: Path) -> None:
    truth = shortest().supervisions[0].text
    heard = run("transcribe", speech).strip()
    assert word_edits(truth, heard)[0] <= len(truth.split()) / 2
    both = run("transcribe", speech, speech, "--defense", "rs:votes=2").splitlines()
    assert [line.split("\t")[0] for line in both] == [str(speech)] * 2
    bad = tmp_path / "bad.flac"
    text = run("attack", speech, bad, "--attack", "pgd:norm=snr,db=15,steps=10")
    assert f"before: {heard}\n" in text
    assert "goal reached" in text
    assert f"after:  {run('transcribe', bad)}" in text
    assert "real-time factor" in run("defend", bad, tmp_path / "d.wav", "--defense", "wgn:snr=20")
    assert len(audio.load(tmp_path / "d.wav").wav[0]) == len(audio.load(speech).wav[0])


def test_transcribe_takes_folders_and_goes_on_after_what_cannot_be_heard(
    speech: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.wav").write_text("no audio")
    audio.save(folder / "b.wav", audio.load(speech))
    words = ["transcribe", str(tmp_path / "gone.wav"), str(folder)]
    result = CLI.invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{folder / 'b.wav'}\t{run('transcribe', speech).strip()}"
    ]
    *lines, last = result.stderr.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == [
        str(tmp_path / "gone.wav"),
        str(folder / "a.wav"),
    ]
    assert last == "1 transcribed, 2 failed"


def test_transcribe_names_a_folder_without_audio(speech: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    result = CLI.invoke(app, ["transcribe", str(folder)], catch_exceptions=False)
    assert result.exit_code == 1
    assert f"error: {folder}: no audio files in it" in result.stderr
    assert run("transcribe", folder, speech) == run("transcribe", speech)


@pytest.mark.parametrize(("kind", "rate"), [("hama conformer", "PER"), ("hama-letters", "WER")])
def test_the_score_of_a_training_says_what_it_counts(
    kind: str, rate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    weights.write(path, torch.nn.Linear(1, 1), {"architecture": kind})
    card = {"held_out_wer": 5.0, "left_out": 0}
    monkeypatch.setattr(asr, "train_asr", lambda *_, **__: (path, card))
    assert f"; greedy {rate} on held-out speakers 5.00 %" in run(*TRAIN)


def test_files_of_one_name_draw_for_themselves(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def listen(system: object, sound: object, draws: Draws) -> list[str]:
        drawn.extend(draws.seeds)
        return [""]

    monkeypatch.setattr(base, "transcribe", listen)
    other = tmp_path / "other" / speech.name
    other.parent.mkdir()
    other.write_bytes(speech.read_bytes())
    run("transcribe", speech, other, "--seed", 3)
    run("transcribe", other, "--seed", 3)
    assert drawn[0] != drawn[1]
    assert drawn[2] == drawn[0], "alone, a file draws what its name and the seed say"


def test_an_attack_that_changes_nothing_says_so(speech: Path, tmp_path: Path) -> None:
    assert "nothing was changed" in run("attack", speech, tmp_path / "b.wav", "--attack", "none")


def test_the_version_is_told() -> None:
    assert run("--version").startswith("melmoat 0.")


def test_defend_takes_folders_and_says_what_failed(speech: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.wav", "b.wav"):
        (folder / name).write_bytes(speech.read_bytes())
    text = run("defend", folder, out, "--defense", "wgn:snr=20")
    assert "2 files" in text
    assert sorted(p.name for p in out.iterdir()) == ["a.wav", "b.wav"]
    (folder / "c.wav").write_bytes(b"")
    words = ["defend", folder, out, "--defense", "none"]
    result = CLI.invoke(app, [str(word) for word in words])
    assert result.exit_code == 1
    assert "c.wav: the file is empty" in result.stderr
    assert "2 files" in result.stdout


def test_a_shaping_curve_is_measured_and_used(speech: Path, tmp_path: Path) -> None:
    curve = tmp_path / "curve.json"
    text = run(
        "train", "shaping", "--data", "demo", "--limit", 2, "--out", curve,
        "--attack", "pgd:norm=snr,db=20,steps=2",
    )  # fmt: skip
    assert f"mdnf:shaping={curve}" in text
    spec = f"mdnf:vocoder=griffin-lim:iterations=2,shaping={curve}"
    run("defend", speech, tmp_path / "d.wav", "--defense", spec)
    assert len(audio.load(tmp_path / "d.wav").wav[0]) == len(audio.load(speech).wav[0])


def test_a_universal_perturbation_is_trained_and_used(speech: Path, tmp_path: Path) -> None:
    pattern = tmp_path / "u.safetensors"
    text = run(
        "train", "universal", "--data", "demo", "--limit", 2, "--epochs", 2, "--out", pattern,
        "--budget", "norm=snr,db=25",
    )  # fmt: skip
    assert f"universal:{pattern}" in text
    text = run("attack", speech, tmp_path / "u.wav", "--attack", f"universal:{pattern}")
    assert "SNR 25.0 dB" in text


def test_a_targeted_attack_says_the_target(speech: Path, tmp_path: Path) -> None:
    spec = "pgd:norm=snr,db=0,steps=150,step=0.05,target=no,stop=true"
    short = tmp_path / "short.wav"
    audio.save(short, Audio.of([audio.load(speech).wav[0, :8_000]]))
    text = run("attack", short, tmp_path / "t.wav", "--attack", spec)
    assert "after:  NO\ngoal reached" in text


def test_an_attack_does_not_overwrite_its_source(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(8_000), 16_000)
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    before = (tmp_path / "a.wav").read_bytes()
    result = CLI.invoke(app, ["attack", str(tmp_path / "a.wav"), str(tmp_path / "b.wav")])
    assert isinstance(result.exception, MelmoatError)
    assert "would be overwritten" in str(result.exception)
    assert (tmp_path / "a.wav").read_bytes() == before


def test_silence_comes_back_unchanged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(8_000), 16_000)
    for command in (
        ["attack", tmp_path / "silence.wav", tmp_path / "out.wav", "--attack", "pgd:db=20,steps=3"],
        ["defend", tmp_path / "silence.wav", tmp_path / "out.wav", "--defense", "wgn"],
    ):
        run(*command)
        assert torch.equal(audio.load(tmp_path / "out.wav").wav, torch.zeros(1, 8_000))


def test_bench_writes_continues_and_prints(tmp_path: Path) -> None:
    toy = "python:tests.attacks.toys:Frames"
    words = ["bench", "--data", "demo", "--limit", 2, "--out", tmp_path / "run", "--batch", 2,
             "--model", toy, "--defense", "none", "--defense", "wgn:snr=20",
             "--attack", "none", "--attack", "pgd:norm=snr,db=20,steps=2"]  # fmt: skip
    first = run(*words)
    assert f"WER %, {toy} on demo, 2 utterances" in " ".join(first.split())
    assert "pgd:db=20,steps=2" in first.replace("\n", "")
    rows = {p.name: p.read_bytes() for p in (tmp_path / "run" / "cells").iterdir()}
    assert run(*words) == first
    assert {p.name: p.read_bytes() for p in (tmp_path / "run" / "cells").iterdir()} == rows
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert [c["n"] for c in summary] == [2, 2, 2, 2]
    assert "did not choose" not in first
    fewer = [1 if word == 2 else word for word in words[:6]] + words[6:]
    assert "not counted: 4 rows of utterances that this call did not choose" in run(*fewer)


def test_ctrl_c_keeps_finished_rows_and_says_how_to_go_on(tmp_path: Path) -> None:
    run_folder = tmp_path / "run"
    command = [sys.executable, "-m", "melmoat", "bench", "--out", str(run_folder), "--batch", "1",
               "--attack", "none", "--attack", "pgd:norm=snr,db=20,steps=400"]  # fmt: skip
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # if these tests ignore it
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        rows = sum(len(p.read_bytes().splitlines()) for p in run_folder.glob("cells/*.jsonl"))
        if rows > 3:
            break
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    cells = Store(run_folder).cells()
    assert sum(len(Store(run_folder).rows(cell)) for cell in cells) >= rows > 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["transcribe", "SPEECH", "--model", "ds3"], "unknown model 'ds3'; known"),
        (["transcribe", "SPEECH", "--defense", "rs:voter=3"], "known keys: snr, votes"),
        (["transcribe", "SPEECH", "--defense", "rs:vote=all"], "one of mean, rover"),
        (["transcribe", "SPEECH", "--model", "python:not_there:load"], "no module 'not_there'"),
        (["transcribe", "SPEECH", "--model", "hf-ctc:./not_there"], "no such folder"),
        (["attack", "SPEECH", "o.wav", "--attack", "pgd:db=loud"], "db must be a number"),
        (["attack", "SPEECH", "o.wav", "--attack", "pgd:db=20,against=truth"], "needs --text"),
        (["attack", "SPEECH", "o.wav", "--text", "GO ON"], "--text is for against=truth"),
        (["attack", "SPEECH", "o.wav", "--attack", "pgd:db=9,target=room 12"], "cannot write"),
        (["defend", "SPEECH", "o.wav", "--defense", "rs"], "its noise alone is wgn"),
        (["defend", "SPEECH", "o.xyz", "--defense", "wgn"], "name it .wav or .flac"),
        (["bench", "--out", "run", "--data", "an4:nowhere"], "unpack an4_sphere"),
        (["bench", "--out", "run", "--attack", "pdg"], "unknown attack"),
        (["defend", "missing.wav", "o.wav", "--defense", "none"], "no such file or folder"),
        (["defend", "o.wav", "--defense", "none"], "one or more sources"),
        (["defend", "SPEECH", "o.wav", "--defense", "mdnf:vocoder=x"], "unknown vocoder"),
        (["train", "vocoder", "--out", "r", "--data", "demo", "--architecture", "x"], "pwg-lab"),
        (["train", "asr", "--out", "run", "--data", "tsv:nowhere"], "no such file"),
        ([*TRAIN, "--defended", "1"], "--defended needs --defense"),
        ([*TRAIN, "--extra-share", "1"], "--extra-share needs --extra"),
        ([*TRAIN, "--attacked", "1"], "--attacked needs --attack"),
        ([*TRAIN, "--attack", "pgd:db=9", "--defense", "mulaw"], "no gradient flows through mulaw"),
        ([*TRAIN, "--start", "ds2-an4", "--layers", "2"], "--layers are those of --start"),
        (["data", "--download"], "--download takes a corpus"),
        (["list", "pdg"], "did you mean 'pgd'"),
        (["check", "medain"], "did you mean 'median'"),
    ],
)
def test_wrong_input_is_one_clear_error(
    words: list[str], message: str, speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = [str(speech) if word == "SPEECH" else word for word in words]
    with pytest.raises(MelmoatError, match=message):
        CLI.invoke(app, given, catch_exceptions=False)


def test_an_error_is_one_line_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = str(tmp_path / "gone.wav")
    monkeypatch.setattr(sys, "argv", ["melmoat", "transcribe", gone])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("melmoat", run_name="__main__")
    assert ended.value.code == 1
    assert capfd.readouterr() == ("", f"error: {gone}: no such file or folder\n")
