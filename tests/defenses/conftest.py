"""Tiny vocoders and random denoisers as files, for spec strings."""

from pathlib import Path

import pytest

from melmoat.vocoders import checkpoints
from tests.defenses.tiny import MEL_22K, tiny_melgan, tiny_pwg
from tests.denoisers import writing


@pytest.fixture(scope="session")
def vocoder_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("vocoders")
    made = {"melgan": tiny_melgan(), "pwg": tiny_pwg(), "melgan22k": tiny_melgan(MEL_22K)}
    for name, vocoder in made.items():
        checkpoints.save(folder / f"{name}.safetensors", vocoder, {})
    curve = folder / "curve.json"
    curve.write_text('{"hz": [100, 4000, 7000], "values": [1, 0.5, 0.1]}')
    others = {"curve": curve, "dtln": folder / "dtln", "gtcrn": folder / "gtcrn.tar"}
    writing.dtln(others["dtln"])
    writing.gtcrn(others["gtcrn"])
    vocoders = {name: f"trained:{folder / name}.safetensors" for name in made}
    return vocoders | {name: str(path) for name, path in others.items()}


@pytest.fixture
def vocoder(vocoder_files: dict[str, str]) -> str:
    return vocoder_files["melgan"]


@pytest.fixture
def pwg(vocoder_files: dict[str, str]) -> str:
    return vocoder_files["pwg"]
