"""Tiny vocoders, codecs and random denoisers as files, for spec strings."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from melmoat.denoisers import diffusion
from melmoat.vocoders import checkpoints
from tests.defenses import tiny_codecs, tiny_lyra
from tests.defenses.tiny import MEL_22K, tiny_diffusion, tiny_melgan, tiny_pwg
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
    others["lyra"] = tiny_lyra.save(folder / "lyra")
    others["diffusion"] = folder / "diffusion.safetensors"
    diffusion.save(others["diffusion"], tiny_diffusion(), {})
    vocoders = {name: f"trained:{folder / name}.safetensors" for name in made}
    return vocoders | {name: str(path) for name, path in others.items()}


@pytest.fixture
def vocoder(vocoder_files: dict[str, str]) -> str:
    return vocoder_files["melgan"]


@pytest.fixture
def pwg(vocoder_files: dict[str, str]) -> str:
    return vocoder_files["pwg"]


@pytest.fixture(scope="session")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a tiny codec, which is made when first asked for."""
    home: Path = tmp_path_factory.mktemp("codecs")

    @cache
    def made(kind: str) -> str:
        pytest.importorskip("transformers", reason="needs the extra hf")
        return tiny_codecs.save(kind, home / kind)

    return made
