"""What an installed melmoat has: everything it runs on, and nothing of the repository beside it."""

import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from melmoat import __version__
from melmoat.bench import demo
from melmoat.models import MODELS

HOME = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(HOME)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(path)


def test_every_module_template_and_weight_is_in_it(wheel: zipfile.ZipFile) -> None:
    package = HOME / "src" / "melmoat"
    ours = {
        f"melmoat/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert ours <= set(wheel.namelist())


def test_the_demo_has_its_weights_and_speech(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    weights = {name for name, _ in demo.SYSTEMS.values()} | {"melgan-lab"}
    for name in weights:
        assert f"melmoat/assets/{name}.safetensors" in names
    assert weights - {"melgan-lab"} <= set(MODELS.table)
    assert sum(name.startswith("melmoat/assets/demo/audio/") for name in names) == 24


def test_it_has_the_suites_and_nothing_beside_the_package(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "melmoat/suites/headline.py" in names
    assert {name.split("/")[0] for name in names} == {"melmoat", f"melmoat-{__version__}.dist-info"}
    assert sum(entry.compress_size for entry in wheel.infolist()) < 85e6  # PyPI takes 100e6


def test_its_metadata(wheel: zipfile.ZipFile) -> None:
    info = f"melmoat-{__version__}.dist-info"
    said = message_from_bytes(wheel.read(f"{info}/METADATA"))
    assert said["Version"] == __version__
    assert said["License-Expression"] == "Apache-2.0"
    assert "melmoat = melmoat.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert f"{info}/licenses/LICENSE" in wheel.namelist()
