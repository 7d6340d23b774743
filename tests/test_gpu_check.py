"""The GPU check sees what differs, on a second device that computes on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gpu_check
import pytest
import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.defenses import DEFENSES
from melmoat.devices import sent
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import MODELS, DeepSpeech2
from melmoat.models.wrappers import Wrapper


class Off(Wrapper):
    """A recognizer that is wrong in one thing from the second time on."""

    def __init__(self, inner: DeepSpeech2, wrong: str) -> None:
        super().__init__(inner)
        self.wrong, self.again = wrong, False

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        loss = self.model.loss(audio, texts, draws)
        if self.again and self.wrong == "loss":
            return loss + 0.001 * loss.detach()
        return 2 * loss - loss.detach() if self.again and self.wrong == "gradient" else loss

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:  # what is asked for last
        heard = self.model.transcribe(audio, draws)
        was, self.again = self.again, True
        return ["WRONG", *heard[1:]] if was and self.wrong == "words" else heard


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, ragged: Audio) -> None:
    brief = Audio.of([wave[: 1_600 + 320 * i] for i, wave in enumerate(ragged)])
    monkeypatch.setattr(gpu_check, "speech", lambda *_: brief)
    monkeypatch.setattr(gpu_check, "TEXTS", ["GO", "A", ""])


def test_a_device_that_computes_the_same_agrees(tiny: DeepSpeech2, device: str) -> None:
    cells, good = gpu_check.compare(lambda: tiny, device)
    assert good, cells
    assert cells[3] == "3 of 3"
    assert gpu_check.ctc(device)[1]


@pytest.mark.parametrize("wrong", ["loss", "gradient", "words"])
def test_what_differs_is_seen(tiny: DeepSpeech2, wrong: str) -> None:
    cells, good = gpu_check.compare(lambda: Off(tiny, wrong), "cpu")
    assert not good, cells
    assert (float(cells[0]) > gpu_check.LOSS) == (wrong == "loss")
    assert (float(cells[1]) > gpu_check.GRADIENT) == (wrong == "gradient")
    assert (cells[3] == "2 of 3") == (wrong == "words")


def test_what_is_not_finite_differs() -> None:
    one = torch.tensor([1.0, torch.nan])
    assert gpu_check.difference(one, one) == torch.inf
    assert gpu_check.difference(torch.zeros(2), torch.zeros(2)) == 0


def test_a_part_that_fails_fails_the_check_and_a_missing_extra_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def raising(error: Exception) -> object:
        def row() -> None:
            raise error

        return lambda device, only: [("part", row)]

    for error, fine, said in (
        (MelmoatError('needs hama: pip install "melmoat[hama]"'), True, "skipped: needs hama"),
        (MelmoatError("no gradient reaches the waveform"), False, "FAILS: no gradient"),
        (RuntimeError("operands on cuda and cpu"), False, "FAILS: RuntimeError: operands"),
    ):
        monkeypatch.setattr(gpu_check, "rows", raising(error))
        assert gpu_check.checked("cpu") == fine
        assert said in capsys.readouterr().out


def test_every_family_is_compared(tmp_path: Path) -> None:
    defenses = {spec.partition(":")[0] for spec in gpu_check.DEFENSES}
    assert defenses | {"none", "python"} == set(DEFENSES.table)
    names = " ".join(name for name, _ in gpu_check.recognizers(tmp_path))
    stands_for = {"hf-ctc": "wav2vec2", "deepspeech2": "ds2", "deepspeech.pytorch": "DeepSpeech2"}
    stands_for["spoken-language"] = "whisper"  # a part of its pass
    for kind in set(MODELS.table) - {"python"}:
        assert stands_for.get(kind, kind.partition("-")[0]) in names, kind


def test_the_speed_of_pgd_is_measured(monkeypatch: pytest.MonkeyPatch, ragged: Audio) -> None:
    monkeypatch.setattr(gpu_check, "STEPS", 1)
    monkeypatch.setattr(gpu_check, "speech", lambda *_: ragged.pick([0]))
    rate, memory, moved = gpu_check.speed("cpu", "none", 1, False, 0.2)
    assert float(rate) > 0
    assert (memory, float(moved)) == ("", 0)


@pytest.mark.parametrize(("fails", "fine"), [((True,), True), ((False, True), False), ((), True)])
def test_a_device_may_lack_16_bits_but_not_32(
    monkeypatch: pytest.MonkeyPatch, fails: tuple[bool, ...], fine: bool
) -> None:
    def speed(device: str, spec: str, count: int, half: bool, seconds: float) -> list[str]:
        if half in fails:
            raise RuntimeError("no kernel")
        return ["1", "2", "3"]

    monkeypatch.setattr(gpu_check, "speed", speed)
    assert gpu_check.measured("cpu", [8, 64], 1.0) == fine


def test_numbers_are_sent_to_a_gpu_without_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, seen = torch.arange(6.0).view(2, 3).mT, []

    def to(tensor: Tensor, device: torch.device, non_blocking: bool = False) -> Tensor:
        seen.append((device.type, non_blocking))
        return tensor

    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(Tensor, "to", to)
    assert torch.equal(sent(numbers, torch.device("cuda")), numbers)
    assert torch.equal(sent(numbers, torch.device("cpu")), numbers)
    assert seen == [("cuda", True), ("cpu", False)]


@pytest.mark.slow
def test_the_whole_script_runs_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["gpu_check.py", "--device", "cpu", "--batches", "1"])
    with pytest.raises(SystemExit) as ended:
        gpu_check.main()
    assert ended.value.code == 0, capsys.readouterr().out
