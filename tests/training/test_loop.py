import json
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from melmoat.errors import MelmoatError
from melmoat.training.loop import cosine, run


class Walk:
    """A random walk whose step ``n`` draws from ``n``."""

    def __init__(self) -> None:
        self.place = 0.0
        self.stop_at: int | None = None

    def step(self, number: int) -> dict[str, float]:
        generator = torch.Generator().manual_seed(number)
        self.place += float(torch.rand(1, generator=generator))
        if number == self.stop_at:
            raise KeyboardInterrupt  # in the middle of a step: its half must not be kept
        return {"place": self.place}

    def validate(self) -> dict[str, float]:
        return {"wer": self.place}

    def state(self) -> dict[str, Any]:
        return {"place": self.place}

    def restore(self, state: dict[str, Any]) -> None:
        self.place = state["place"]


def test_an_interrupted_run_ends_where_the_undisturbed_one_does(tmp_path: Path) -> None:
    whole = Walk()
    run(whole, 20, tmp_path / "whole", 5, {})
    first = Walk()
    first.stop_at = 13
    with pytest.raises(KeyboardInterrupt):
        run(first, 20, tmp_path / "cut", 5, {}, save_seconds=0)
    second = Walk()
    run(second, 20, tmp_path / "cut", 5, {})
    assert second.place == whole.place
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "cut")
    ]
    assert [entry["step"] for entry in logs[1]] == [5, 10, 15, 20]
    assert [e["wer"] for e in logs[0]] == [e["wer"] for e in logs[1]]


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    """They would write each other's state over: neither would be what its log says."""
    mine = Walk()

    def other(done: float, total: int, what: str) -> None:
        code = (
            "import sys; from pathlib import Path; from melmoat.training.loop import begun; "
            "begun(Path(sys.argv[1]), {})"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False
        )
        assert "another process trains in" in run.stderr

    run(mine, 1, tmp_path, 5, {}, progress=other)
    run(Walk(), 1, tmp_path, 5, {})  # it has let go


def test_a_finished_run_does_nothing(tmp_path: Path) -> None:
    run(Walk(), 3, tmp_path, 5, {})
    again = Walk()
    again.stop_at = 0
    run(again, 3, tmp_path, 5, {})
    assert again.place > 0


def test_a_run_that_was_killed_between_saves_repeats_no_validation(tmp_path: Path) -> None:
    first = Walk()
    first.stop_at = 13
    with pytest.raises(KeyboardInterrupt):
        run(first, 20, tmp_path, 5, {})  # nothing was saved: all of it comes again
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 15, "sec')  # torn by the kill
    run(Walk(), 20, tmp_path, 5, {})
    steps = [json.loads(x)["step"] for x in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == [5, 10, 15, 20]


def test_other_settings_and_broken_states_are_refused(tmp_path: Path) -> None:
    run(Walk(), 3, tmp_path, 5, {"lr": 0.1, "sizes": (1, 2)})
    run(Walk(), 3, tmp_path, 5, {"lr": 0.1, "sizes": (1, 2)})
    with pytest.raises(MelmoatError, match=r"lr: 0\.1 there, 0\.2 asked"):
        run(Walk(), 3, tmp_path, 5, {"lr": 0.2, "sizes": (1, 2)})
    (tmp_path / "last.pt").write_bytes((tmp_path / "last.pt").read_bytes()[:-100])
    with pytest.raises(MelmoatError, match="delete it to start again"):
        run(Walk(), 3, tmp_path, 5, {})
    torch.save(torch.zeros(3), tmp_path / "last.pt")
    with pytest.raises(MelmoatError, match="not the state of a training run"):
        run(Walk(), 3, tmp_path, 5, {})
    (tmp_path / "last.pt").unlink()
    (tmp_path / "log.jsonl").write_text("no log\n")
    with pytest.raises(MelmoatError, match="not the log of a training run"):
        run(Walk(), 3, tmp_path, 5, {})


def test_a_state_that_was_cut_or_damaged_is_never_gone_on_from(tmp_path: Path) -> None:
    """PyTorch reads a file of which a bit changed, and takes the wrong number for the weight."""
    run(Walk(), 3, tmp_path, 5, {})
    whole = (tmp_path / "last.pt").read_bytes()
    place = whole.index(struct.pack("<d", torch.load(tmp_path / "last.pt")["task"]["place"])[::-1])
    flipped = bytearray(whole)
    flipped[place + 1] ^= 0x10
    for wrong in (bytes(flipped), *(whole[:i] for i in range(0, len(whole), 37))):
        (tmp_path / "last.pt").write_bytes(wrong)
        with pytest.raises(MelmoatError, match=r"last\.pt: .*delete it to start again"):
            run(Walk(), 3, tmp_path, 5, {})


def test_a_place_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MelmoatError, match="name another"):
        run(Walk(), 3, tmp_path / "file", 5, {})

    def full(state: object, path: Path) -> None:
        path.write_bytes(b"torn")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(MelmoatError, match="free some space"):
        run(Walk(), 3, tmp_path / "run", 5, {})
    assert {path.name for path in (tmp_path / "run").iterdir()} == {".lock", "log.jsonl"}


def test_the_schedule_rises_then_falls_to_zero() -> None:
    rates = [cosine(i / 1_000) for i in range(1_001)]
    assert rates[0] == 0
    assert max(rates) == pytest.approx(1, abs=1e-6)
    assert rates.index(max(rates)) == 30
    assert rates[1_000] == pytest.approx(0)
    assert rates[30:] == sorted(rates[30:], reverse=True)
