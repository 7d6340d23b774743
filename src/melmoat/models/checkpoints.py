"""Reading and writing recognizer weights.

Ours are safetensors with a JSON card (config and origin) in the header. Foreign ones are
deepspeech.pytorch checkpoints, V2 dictionaries and V3 Lightning files, read with
``weights_only=True``: a pickle that would run code is refused.
"""

from __future__ import annotations

import json
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from melmoat.errors import MelmoatError
from melmoat.models.deepspeech2 import DeepSpeech2, DeepSpeech2Config
from melmoat.text import LABELS


class WeightsError(MelmoatError):
    """Weights that are missing, unreadable, unsafe or of another network."""


def save(path: Path, model: DeepSpeech2, card: Mapping[str, Any], half: bool = False) -> None:
    """Write ``model`` as safetensors with its config and ``card`` in the header.

    ``half`` stores 16-bit floats: half the file; the published scores are those of the file.
    """
    kind = torch.float16 if half else torch.float32
    state = {k: v.to(kind) for k, v in model.state_dict().items() if v.is_floating_point()}
    header = {"architecture": "deepspeech2", "config": asdict(model.config), "card": dict(card)}
    state = {k: v.contiguous() for k, v in state.items()}
    safetensors.torch.save_file(state, path, metadata={"melmoat": json.dumps(header)})


def read_header(path: Path) -> dict[str, Any]:
    """Config and card of a file written by :func:`save`."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        header: dict[str, Any] = json.loads(metadata["melmoat"])
    except (safetensors.SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{path}: not weights that melmoat wrote ({error}); for deepspeech.pytorch "
            "checkpoints use deepspeech.pytorch:PATH"
        ) from error
    return header


def load(path: Path) -> DeepSpeech2:
    """Read a file written by :func:`save`, in eval mode with frozen weights."""
    header = read_header(path)
    try:
        model = DeepSpeech2(DeepSpeech2Config(**header["config"]))
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{path}: not weights of this melmoat ({error!r})") from error
    state = {k: v.float() for k, v in safetensors.torch.load_file(path).items()}
    return _fill(model, state, str(path))


def load_deepspeech_pytorch(
    path: Path | str, pad: Literal["zeros", "reflect"] = "zeros"
) -> DeepSpeech2:
    """Read a deepspeech.pytorch checkpoint (V2 dictionary or V3 Lightning file).

    Sizes are read from the weights; labels and the recurrent type from the file's own settings.

    Raises:
        WeightsError: missing, not a checkpoint, needs code to unpickle, or another network.
    """
    package = read_pickle(Path(path))
    state = package.get("state_dict")
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path}: no 'state_dict' in it; not a deepspeech.pytorch checkpoint")
    state = {str(k).removeprefix("module."): v for k, v in state.items()}
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: its 'state_dict' holds other things than tensors")
    settings = package.get("hyper_parameters") or package
    try:
        config = replace(_config_of(state, settings), pad=pad)
    except KeyError as error:
        raise WeightsError(
            f"{path}: not a deepspeech.pytorch network, {error} is missing"
        ) from None
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise WeightsError(f"{path}: settings that cannot be used ({error})") from error
    return _fill(DeepSpeech2(config), _rename(state), str(path))


def read_pickle(path: Path) -> Mapping[str, Any]:
    """Load a foreign checkpoint without executing anything."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            package = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(GLOBAL|operand|class) \S+", str(error))
        raise WeightsError(
            f"{path}: refused, not a checkpoint of plain tensors, numbers and strings "
            f"({found[0] if found else 'pickle'}); unpickling it could run code. If you trust its "
            "origin, load it in its own project and save {'state_dict': model.state_dict(), ...}"
        ) from error
    except (RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(f"{path}: not a readable PyTorch checkpoint ({error})") from error
    if not isinstance(package, Mapping):
        raise WeightsError(f"{path}: holds a {type(package).__name__}, expected a dictionary")
    return package


def _config_of(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> DeepSpeech2Config:
    hidden = state["rnns.0.rnn.weight_hh_l0"].shape[1]
    gates = state["rnns.0.rnn.weight_hh_l0"].shape[0] // hidden
    lookahead = next((v for k, v in state.items() if k.startswith("lookahead.")), None)
    audio = settings.get("audio_conf") or settings.get("spect_cfg") or {}
    window = str(audio.get("window", "hamming"))
    if "hamming" not in window:
        raise ValueError(f"window {window!r}; only the published hamming window is supported")
    rate = int(audio.get("sample_rate", 16_000))
    labels = settings.get("labels", LABELS)
    return DeepSpeech2Config(
        hidden=hidden,
        layers=1 + max(int(k.split(".")[1]) for k in state if k.startswith("rnns.")),
        rnn={4: "lstm", 3: "gru", 1: "rnn"}[gates],  # type: ignore[arg-type]
        bidirectional="rnns.0.rnn.weight_ih_l0_reverse" in state,
        lookahead=lookahead.shape[-1] if lookahead is not None else 20,
        channels=len(state["conv.seq_module.0.weight"]),
        labels=labels if isinstance(labels, str) else "".join(labels),
        rate=rate,
        window=round(rate * float(audio.get("window_size", 0.02))),
        hop=round(rate * float(audio.get("window_stride", 0.01))),
    )


def _rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published keys to ours."""
    fixed = {
        "conv.seq_module.0.": "convs.0.conv.",
        "conv.seq_module.1.": "convs.0.norm.",
        "conv.seq_module.3.": "convs.1.conv.",
        "conv.seq_module.4.": "convs.1.norm.",
        "lookahead.0.": "lookahead.",
        "fc.0.module.0.": "head_norm.",
        "fc.0.module.1.": "head.",
    }
    renamed = {}
    for key, value in state.items():
        for old, new in fixed.items():
            key = key.replace(old, new) if key.startswith(old) else key
        key = key.replace(".batch_norm.module.", ".norm.")
        if "_reverse" in key:
            key = key.replace(".rnn.", ".back.").removesuffix("_reverse")
        renamed[key.replace(".rnn.", ".ahead.")] = value
    return renamed


def _fill(model: DeepSpeech2, state: Mapping[str, Tensor], name: str) -> DeepSpeech2:
    """Load exactly these weights; the batch counters of batch norm carry no weight."""
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    wanted = {k for k in model.state_dict() if not k.endswith("num_batches_tracked")}
    wrong = sorted(wanted ^ state.keys())
    if wrong:
        raise WeightsError(f"{name}: weights do not fit DeepSpeech2; differing: {wrong[:6]}")
    try:
        model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"{name}: weights do not fit DeepSpeech2 ({error})") from error
    return model.eval().requires_grad_(False)
