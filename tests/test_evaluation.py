"""The front door: objects and specs in, a run out."""

import json
import runpy
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lhotse import CutSet

import melmoat
from melmoat import audio, data
from melmoat.attacks import ThreatModel
from melmoat.audio import Audio
from melmoat.bench.store import Store
from melmoat.defenses import FrontEnd
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2
from melmoat.models.base import Recognizer
from melmoat.runs import Run

EXAMPLES = Path(__file__).parents[1] / "examples"
PGD = "pgd:norm=snr,db=20,steps=1"


@dataclass
class Hiss(FrontEnd):
    level: float = 0.01
    stochastic = True

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio.with_wav(audio.wav + self.level * draws.normal(audio.wav))


@dataclass(frozen=True)
class Hum(ThreatModel):
    """Adds a tone, as loud as the budget allows."""

    hertz: float = 50.0
    access = "control"
    evaluations = 0

    def __call__(self, model: Recognizer, audio: Audio, goal: object, draws: Draws) -> Audio:
        tone = torch.sin(torch.arange(audio.wav.shape[1]) * self.hertz * 2 * torch.pi / audio.rate)
        return audio.with_wav(audio.wav + self.budget.project(tone.expand_as(audio.wav), audio))


def test_the_package_is_imported_in_no_time() -> None:
    code = "import sys, melmoat; print(sorted({'torch', 'lhotse', 'numpy'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
    assert {"Run", "evaluate"} <= set(dir(melmoat))
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        _ = melmoat.evaluat  # type: ignore[attr-defined]


def test_objects_of_every_kind_are_measured_and_resumed(tmp_path: Path, tiny: DeepSpeech2) -> None:
    def run(level: float = 0.3) -> Run:
        return melmoat.evaluate(
            model={"tiny": tiny},
            defense=["none", Hiss(), Hiss(level)],
            attacks={"clean": "none", "hum": Hum(db=20)},
            data={"demo speech": "demo"},
            out=tmp_path,
            limit=3,
            progress=lambda *seen: told.append(seen),
        )

    told: list[tuple[float, float, str]] = []
    first = run()
    assert [one["labels"]["attack"] for one in first.summary] == ["clean", "hum"] * 3
    text = repr(first)
    assert "tiny on demo speech, 3 utterances" in text
    for word in ("Hiss:level=0.3", "clean", "hum"):
        assert word in text
    assert "object:" not in text
    assert told[-1] == (18.0, 18, "tiny / Hiss:level=0.3 / hum")
    rows = {p.name: p.read_bytes() for p in (tmp_path / "cells").iterdir()}
    assert len(rows) == 6
    run()
    assert rows == {p.name: p.read_bytes() for p in (tmp_path / "cells").iterdir()}
    run(0.4)
    assert len(list((tmp_path / "cells").iterdir())) == 8
    again = Run(tmp_path)
    assert len(again.summary) == 8
    assert len(again.rows("tiny / Hiss / hum")) == 3
    assert again.audit()


def test_the_same_parts_by_spec_and_by_object_come_to_the_same(tmp_path: Path) -> None:
    """Seeds derive from a cell's name, so only what draws nothing is alike to the bit."""
    from melmoat import attacks, defenses, models

    spec = melmoat.evaluate("ds2-an4", "median", "none", limit=2)
    made = melmoat.evaluate(
        models.load("ds2-an4"), defenses.build("median"), attacks.build("none"), limit=2
    )
    for one, two in zip(spec.rows(), made.rows(), strict=True):
        assert (one["id"], one["benign"], one["counts"]) == (
            two["id"],
            two["benign"],
            two["counts"],
        )


def test_without_a_folder_a_run_lives_as_long_as_it_is_held(tiny: DeepSpeech2) -> None:
    run = melmoat.evaluate(tiny, limit=1)
    folder = run.folder
    assert run.summary[0]["n"] == 1
    assert folder.is_dir()
    del run
    assert not folder.exists()


def test_a_table_counts_what_the_call_chose(tmp_path: Path, tiny: DeepSpeech2) -> None:
    many = melmoat.evaluate(tiny, out=tmp_path, limit=5)
    few = melmoat.evaluate(tiny, out=tmp_path, limit=3)
    assert (many.summary[0]["n"], few.summary[0]["n"]) == (5, 3)
    assert {row["id"] for row in few.rows()} < {row["id"] for row in many.rows()}
    assert Run(tmp_path).summary[0]["n"] == 5


def waves() -> list[tuple[torch.Tensor, str]]:
    cuts = list(data.load("demo"))[:3]
    return [(data.recording(cut).audio.wav[0], data.written(cut)) for cut in cuts]


def test_waves_with_texts_are_a_corpus(tmp_path: Path, tiny: DeepSpeech2) -> None:
    pairs = waves()
    run = melmoat.evaluate(tiny, data=pairs, out=tmp_path, save_audio=True)
    assert [row["reference"] for row in run.rows()] == sorted(
        (text for _, text in pairs), key=[row["reference"] for row in run.rows()].index
    )
    assert "on 3 recordings, 3 utterances" in repr(run)
    name = next(row["id"] for row in run.rows() if row["id"].startswith("0000"))
    heard = run.audio(name)
    assert list(heard) == ["clean", "adversarial", "defended"]
    assert torch.equal(heard["clean"].wav[0], Audio.of([pairs[0][0]]).quantized().wav[0])
    other = [(wave * 0.5, text) for wave, text in pairs]
    melmoat.evaluate(tiny, data=[(w.numpy(), t) for w, t in other], out=tmp_path)
    assert len(Run(tmp_path).summary) == 2  # the same texts, other sound
    again = melmoat.evaluate(tiny, data=pairs, out=tmp_path)
    assert again.summary[0]["key"] == run.summary[0]["key"]


def test_cuts_of_lhotse_are_a_corpus(tmp_path: Path, tiny: DeepSpeech2) -> None:
    cuts = CutSet.from_cuts(list(data.load("demo"))[:2])
    run = melmoat.evaluate(tiny, data=cuts, out=tmp_path)
    assert {row["id"] for row in run.rows()} == {cut.id for cut in cuts}
    assert melmoat.evaluate(tiny, data=[cuts, waves()[:1]], out=tmp_path).summary[1]["n"] == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "expected a corpus's spec, a Lhotse CutSet, or a list of pairs"),
        ([(np.zeros(100, np.int16), "A")], r"int16.*divide 16-bit integers by 32768"),
        ([(torch.zeros(2, 100), "A")], r"shape \[2, 100\]"),
        ([(torch.zeros(100), "A"), 3], "item 1 is not a pair"),
        ([(torch.full((100,), 900.0), "A")], "full scale is 1"),
    ],
)
def test_data_that_is_none_is_told(given: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(MelmoatError, match=message):
        melmoat.evaluate(data=given, out=tmp_path)


def test_objects_stay_in_this_process(tmp_path: Path, tiny: DeepSpeech2) -> None:
    with pytest.raises(MelmoatError, match=r"Hiss:level=0\.5 is an object.*python:MODULE:F"):
        melmoat.evaluate(defense=Hiss(0.5), out=tmp_path, executor="processes:workers=2")
    assert not (tmp_path / "run.json").exists()


def test_what_is_no_part_is_told(tmp_path: Path) -> None:
    with pytest.raises(MelmoatError, match=r"Hiss is a class; pass an object, Hiss\(\.\.\.\)"):
        melmoat.evaluate(defense=Hiss, out=tmp_path)
    with pytest.raises(MelmoatError, match="a float is not a defense"):
        melmoat.evaluate(defense=0.5, out=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(
        MelmoatError, match="a Hiss is not an attack: it has no budget, evaluations"
    ):
        melmoat.evaluate(attacks=Hiss(), out=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(MelmoatError, match="a Hiss is no recognizer: rate must be"):
        melmoat.evaluate(Hiss(), out=tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"limit": -1}, "limit must be a whole number from 0, got -1"),
        ({"limit": 2.5}, r"limit must be a whole number from 0, got 2\.5"),
        ({"batch": 0}, "batch must be a whole number from 1, got 0"),
        ({"seconds": -1}, "seconds must be 0"),
        ({"choose": "spred"}, "choose must be one of shuffled, spread; got 'spred'"),
        ({"data": []}, "no corpus is given"),
    ],
)
def test_values_that_would_measure_something_else_are_refused(
    given: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(MelmoatError, match=message):
        melmoat.evaluate(out=tmp_path, **given)


class Ear:
    """A recognizer whose shapes are given."""

    rate = 16_000
    labels = "_AB"

    def __init__(self, **wrong: object) -> None:
        self.wrong = wrong

    def log_probs(self, audio: Audio, draws: Draws) -> object:
        even = torch.full((len(audio), 9, 3), 1 / 3).log()
        return self.wrong.get("log_probs", (even, torch.full((len(audio),), 9)))

    def transcribe(self, audio: Audio, draws: Draws) -> object:
        return self.wrong.get("texts", ["A"] * len(audio))

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> object:
        return self.wrong.get("loss", audio.wav.square().sum(1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"texts": "A"}, r"Ear.transcribe returned 'A' for 2 utterance"),
        ({"loss": torch.zeros(())}, r"Ear.loss returned a tensor of shape \[\] for 2 utt"),
        ({"log_probs": torch.zeros(2, 9, 3)}, "expected two tensors"),
        ({"log_probs": (torch.zeros(9, 2, 3), torch.ones(2))}, r"shape \[9, 2, 3\] for 2 utt"),
        ({"log_probs": (torch.zeros(2, 9, 4), torch.ones(2))}, r"expected \[2, frames, 3\]"),
        ({"log_probs": (torch.zeros(2, 9, 3), torch.tensor([9, 10]))}, r"frames \[9, 10\]"),
        ({"log_probs": (torch.zeros(2, 9, 3), torch.tensor([9, 9]))}, "do not sum to one"),
    ],
)
def test_wrong_shapes_of_a_recognizer_are_told_in_plain_words(
    wrong: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(MelmoatError, match=message):
        melmoat.evaluate(Ear(**wrong), out=tmp_path)  # type: ignore[arg-type]
    assert not (tmp_path / "run.json").exists()


class Secret(FrontEnd):
    """Holds what cannot be compared."""

    def __init__(self) -> None:
        self.hidden = open  # a built-in: no source

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio


def test_rows_of_what_cannot_be_told_apart_are_not_mixed(tmp_path: Path, tiny: DeepSpeech2) -> None:
    melmoat.evaluate(tiny, Secret(), out=tmp_path, limit=1)
    with pytest.raises(MelmoatError, match="rows of an object called Secret"):
        melmoat.evaluate(tiny, Secret(), out=tmp_path, limit=1)
    assert len(Store(tmp_path).cells()) == 1


def test_some_failures_are_warned_of_and_kept(tmp_path: Path, tiny: DeepSpeech2) -> None:
    for i, (wave, text) in enumerate(waves()[:2]):
        audio.save(tmp_path / f"{i}.wav", Audio.of([wave]))
        (tmp_path / f"{i}.txt").write_text(text)
    (tmp_path / "1.wav").write_text("torn")
    corpus = f"folder:{tmp_path}"
    with pytest.warns(melmoat.RunWarning, match="1 utterance"):
        run = melmoat.evaluate(tiny, data=corpus, out=tmp_path / "run")
    assert list(run.failures[run.summary[0]["key"]]) == ["1"]
    assert run.summary[0]["n"] == 1


def test_the_example_is_short_and_prints_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (EXAMPLES / "evaluate.py").read_text().partition('"""\n\n')[2]
    code = [line for line in text.splitlines() if line.strip() and '"""' not in line]
    assert len(code) <= 15
    for i, (wave, said) in enumerate(waves()[:2]):
        audio.save(tmp_path / f"{i}.wav", Audio.of([wave[:16_000]]))
        (tmp_path / f"{i}.txt").write_text(said)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "argv", ["evaluate.py", str(tmp_path)])
    runpy.run_path(str(EXAMPLES / "evaluate.py"), run_name="__main__")
    sys.modules.pop("own_recognizer", None)
    shown = capsys.readouterr().out
    assert "Hiss:level=0.1" in shown
    assert "PGD 20 dB" in shown


def test_two_labels_of_one_part_are_refused(tmp_path: Path) -> None:
    """One row would be missing without a word."""
    with pytest.raises(MelmoatError, match="defense: 'A' and 'B' are labels of the same part, rs;"):
        melmoat.evaluate(defense={"A": "rs", "B": "rs:snr=15"}, out=tmp_path)
    with pytest.raises(MelmoatError, match="corpus: 'A' and 'B' are labels of the same part"):
        melmoat.evaluate(data={"A": "tsv:x", "B": "tsv:x,shortest=0"}, out=tmp_path)


def test_labels_are_kept_in_the_folder(tmp_path: Path, tiny: DeepSpeech2) -> None:
    melmoat.evaluate(tiny, {"mine": "rs:snr=20,votes=2"}, out=tmp_path, limit=1)
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["cells"][0]["labels"] == {"defense": "mine"}
    assert "mine" in repr(Run(tmp_path))
