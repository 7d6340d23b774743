"""What loaders of transformers' networks share: the library, its hub, folders and their files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from safetensors.torch import load_file

from melmoat import files as file_kinds
from melmoat.errors import extra
from melmoat.weights import WeightsError, read_pickle


@dataclass(frozen=True)
class Files:
    """What a name stands for.

    Args:
        weights: one or several files.
        folder: where its settings lie.
        origin: in words, for people.
    """

    weights: tuple[Path, ...]
    folder: Path
    origin: str

    def json(self, name: str) -> dict[str, Any]:
        """A settings file; empty where there is none."""
        path = self.folder / name
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            reason = file_kinds.obstacle(path) or f"not JSON ({error})"
            raise WeightsError(f"{path}: {reason}") from error
        if not isinstance(found, dict):
            raise WeightsError(f"{path}: holds a {type(found).__name__}, expected an object")
        return found


def transformers(what: str) -> ModuleType:
    """The library, which ``what`` needs.

    Raises:
        MelmoatError: it is not installed.
    """
    with extra("hf", what):
        import transformers as library
    module: ModuleType = library
    return module


def folder(name: str, family: str, example: str) -> Path | None:
    """The folder ``name``; None if it can only be a hub name.

    Args:
        family: what a spec of it begins with, such as ``hf-ctc``.
        example: a hub name, for the error.

    Raises:
        WeightsError: it is a file, or a path without a folder.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise WeightsError(
            f"{name}: no such folder; {family} takes a folder that save_pretrained wrote, or a hub "
            f"name such as {example}"
        )
    return None


def snapshot(name: str, family: str, patterns: Sequence[str]) -> Path:
    """The folder of the hub's ``name``, downloaded as far as it matches ``patterns``.

    Args:
        family: what a spec of it begins with, such as ``whisper``.

    Raises:
        MelmoatError: the hub's client is not installed.
        WeightsError: not to be had; says what to do.
    """
    with extra("hf", family.capitalize()):
        import huggingface_hub as hub
    try:
        return Path(hub.snapshot_download(name, allow_patterns=list(patterns)))
    except Exception as error:  # of the hub's client and of whatever carries its requests
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"{name}: not on the Hugging Face hub, or the hub cannot be reached ({reason}); "
            f"without a network, run `hf download {name} --local-dir FOLDER` where there is one "
            f"and give {family}:FOLDER"
        ) from error


def tensors(path: Path) -> Mapping[str, Any]:
    """The tensors of a file: safetensors, or a checkpoint of which nothing is run."""
    if path.suffix == ".bin":
        return read_pickle(path)
    if wrong := file_kinds.obstacle(path):
        raise WeightsError(f"{path}: {wrong}")
    if file_kinds.is_torch(path):
        raise WeightsError(f"{path}: a PyTorch file under this name; call it pytorch_model.bin")
    return load_file(path)


@contextmanager
def quiet(hf: ModuleType, bars: bool) -> Iterator[None]:
    """Turn off transformers' loading reports, because callers check what was loaded; ``bars``
    stay."""
    logging = hf.utils.logging
    verbosity, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not bars:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
