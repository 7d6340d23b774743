"""Neural codecs: Lyra, or those of transformers from a folder or the hub.

Weights are safetensors or TFLite files: nothing is unpickled or run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from melmoat import files as file_kinds
from melmoat.defenses.neural import lyra
from melmoat.defenses.neural.networks import CodecNetwork, Dac, Encodec, Mimi
from melmoat.models import hub
from melmoat.weights import WeightsError

FAMILY = "neural-codec"
SETTINGS = "config.json"
WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
KINDS: dict[str, tuple[str, Callable[[Any], CodecNetwork]]] = {
    "encodec": ("EncodecModel", Encodec),
    "dac": ("DacModel", Dac),
    "mimi": ("MimiModel", Mimi),
}
KNOWN = (
    "neural-codec takes lyra, and EnCodec, DAC and Mimi of transformers, such as "
    "facebook/encodec_24khz, descript/dac_16khz and kyutai/mimi"
)


def origin(name: str, revision: str | None = None) -> tuple[list[Path], str]:
    """What the defended audio depends on: the files of a folder, or the hub name and its commit."""
    if (own := _lyra(name, revision)) is not None:
        return [own / file for file in lyra.FILES], "folder"
    if (folder := _folder(name, revision)) is None:
        return [], hub.identity(name, FAMILY, revision)
    return [folder / SETTINGS, *_weights(folder)], "folder"


def load(name: str, revision: str | None = None) -> CodecNetwork:
    """The codec that ``name`` stands for, in eval mode with frozen weights.

    Args:
        name: ``lyra``, which was fetched; a folder with its files or one that ``save_pretrained``
            wrote; or a hub name such as ``kyutai/mimi``.
        revision: a branch, tag or commit of the hub's model.

    Raises:
        MelmoatError: transformers, which all but Lyra need, is not installed.
        WeightsError: there is no such folder, Lyra was not fetched, the hub cannot be reached, the
            weights are not complete, or it is no codec that fits.
    """
    if (own := _lyra(name, revision)) is not None:
        return lyra.load(own)
    hf = hub.transformers("a neural codec")
    folder = _folder(name, revision)
    folder = folder or hub.snapshot(name, FAMILY, [SETTINGS], WEIGHTS, revision=revision)
    settings = hub.Files((), folder, name).json(SETTINGS)
    kind = settings.get("model_type")
    if kind not in KINDS:
        found = f"a {kind} model" if kind else f"a folder without a {SETTINGS} that says its model"
        raise WeightsError(f"{name}: {found}; {KNOWN}")
    if not _weights(folder):
        raise WeightsError(
            f"{name}: no {WEIGHTS[0]} beside its {SETTINGS}; save the model there with "
            "save_pretrained"
        )
    if (channels := settings.get("audio_channels", 1)) != 1:
        raise WeightsError(
            f"{name}: a codec for {channels} channels, and speech here has one; take a mono model, "
            "such as facebook/encodec_24khz"
        )
    if settings.get("normalize") or settings.get("chunk_length_s"):
        raise WeightsError(
            f"{name}: it cuts its input into pieces or scales each to one level, which is not done "
            "here; take a model without normalize and chunk_length_s in its config.json, such as "
            "facebook/encodec_24khz"
        )
    model, made = KINDS[kind]
    codec = made(_read(hf, getattr(hf, model), folder, name))
    codec.eval().requires_grad_(False)
    return codec


def _lyra(name: str, revision: str | None) -> Path | None:
    """The folder of Lyra's files; None if another codec is named."""
    folder = file_kinds.cache() / lyra.NAME if name == lyra.NAME else Path(name).expanduser()
    if name != lyra.NAME and not any((folder / file).is_file() for file in lyra.FILES):
        return None
    hub.no_revision(name, revision)
    return folder


def _folder(name: str, revision: str | None) -> Path | None:
    return hub.folder(name, FAMILY, "facebook/encodec_24khz", revision)


def _weights(folder: Path) -> list[Path]:
    return sorted(path for pattern in WEIGHTS for path in folder.glob(pattern))


def _read(hf: ModuleType, kind: Any, folder: Path, name: str) -> Any:
    """The network, with all its weights."""
    try:
        with hub.quiet(hf, bars=False):
            network, report = kind.from_pretrained(
                folder,
                dtype=torch.float32,
                local_files_only=True,
                output_loading_info=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # they are reported, and refused below
            )
    except Exception as error:  # transformers answers with OSError, ValueError, KeyError and more
        reason = " ".join(str(error).split())[:200]
        for path in _weights(folder):
            reason = file_kinds.obstacle(path) or reason
        raise WeightsError(
            f"{name}: it cannot be read ({reason}); save it anew with save_pretrained"
        ) from error
    if wrong := sorted(key for key, *_ in report["mismatched_keys"]):
        raise WeightsError(
            f"{name}: the weights of {', '.join(wrong[:4])} have other sizes than its config.json "
            "says; the two are of different models"
        )
    if missing := sorted(report["missing_keys"]):
        raise WeightsError(f"{name} is not whole: {', '.join(missing[:4])} are not in its weights")
    return network
