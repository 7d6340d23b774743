"""Files of weights, ours and foreign.

Our files are safetensors with a JSON card (architecture, config and origin) in the header. Foreign
files are PyTorch checkpoints, whose pickles are read without running code
(:mod:`melmoat.unpickling`), and ONNX files, of which only the weights are read.
"""

from __future__ import annotations

import json
import pickle
import re
import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from melmoat import files, unpickling
from melmoat.devices import CPU
from melmoat.errors import MelmoatError, extra

RESAVE = (
    "if you trust its origin, load it in its own project and save {'state_dict': "
    "model.state_dict(), ...} with torch.save"
)
AGAIN = "install or fetch it again"


class WeightsError(MelmoatError):
    """Weights that are missing, unreadable, unsafe or of another network."""


def write(path: Path, module: nn.Module, header: Mapping[str, Any], half: bool = False) -> None:
    """Write the floating-point state of ``module`` as safetensors with ``header``.

    ``half`` stores 16-bit floats: half the file; the published scores are those of the file.

    Raises:
        WeightsError: the disk is full, the folder is read-only, or some of it is not finite. An
            existing file is kept.
    """
    check_finite(path, module)
    kind = torch.float16 if half else torch.float32
    state = {
        key: value.to(CPU, kind).contiguous()
        for key, value in module.state_dict().items()
        if value.is_floating_point()
    }
    if large := [key for key, value in state.items() if not torch.isfinite(value).all()]:
        raise WeightsError(
            f"{path} was not written: 16-bit floats end at 65504, which {', '.join(large[:4])} "
            "exceed; store 32-bit floats (without --half)"
        )
    metadata = {"melmoat": json.dumps(dict(header))}
    try:
        with files.replacing(path) as partial:  # save_file would hide it from other users
            partial.write_bytes(safetensors.torch.save(state, metadata))
    except (safetensors.SafetensorError, OSError) as error:
        raise unwritable(path, error) from error


def check_finite(path: Path, module: nn.Module) -> None:
    """Refuse to write a network whose training ran away.

    Raises:
        WeightsError: some of its state is NaN or Inf.
    """
    state = module.state_dict().items()
    broken = [key for key, value in state if not torch.isfinite(value).all()]
    if broken:
        raise WeightsError(
            f"{path} was not written: {', '.join(broken[:4])} of the network are NaN or Inf; train "
            "anew, in another folder and with a lower --lr"
        )


def package_folder(module: str) -> Path | None:
    """The folder of an installed package, which is not imported; None if it is not installed."""
    try:
        spec = find_spec(module) if module.isidentifier() else None
    except (ImportError, ValueError):
        return None
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def unwritable(path: Path, error: Exception) -> WeightsError:
    """The error for a ``path`` that cannot be written."""
    return WeightsError(
        f"cannot write {path}: {error}; free some space or give another folder, and run the same "
        "command again"
    )


def read_header(path: Path) -> dict[str, Any]:
    """The header of a file written by :func:`write`."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    if wrong := files.obstacle(path):
        raise WeightsError(f"{path}: {wrong}")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        header: dict[str, Any] = json.loads(metadata["melmoat"])
    except (safetensors.SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{path}: not weights that melmoat wrote ({error}); foreign checkpoints have specs of "
            "their own (see `melmoat list`)"
        ) from error
    return header


def read(path: Path) -> dict[str, Tensor]:
    """The state of a file written by :func:`write`, as 32-bit floats."""
    return {k: v.float() for k, v in safetensors.torch.load_file(path).items()}


def read_pickle(path: Path) -> Mapping[str, Any]:
    """Load a foreign checkpoint without executing anything.

    Objects of other libraries become :class:`melmoat.unpickling.Inert` placeholders. A safetensors
    file, under any name, gives the dictionary of its tensors.

    Raises:
        WeightsError: the file is missing, is not a checkpoint, or needs code to unpickle.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    if wrong := files.obstacle(path):
        raise WeightsError(f"{path}: {wrong}")
    if files.is_safetensors(path):
        return _bare(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            package = unpickling.load(path)
    except pickle.UnpicklingError as error:
        raise WeightsError(_refused(path, str(error))) from error
    except OSError:
        raise
    except Exception as error:  # torch answers foreign bytes with errors of many kinds
        raise WeightsError(f"{path}: not a readable PyTorch checkpoint ({error})") from error
    if isinstance(package, unpickling.Inert):
        raise WeightsError(
            f"{path}: holds a whole {unpickling.name_of(package)}, which only its own code can "
            f"read; {RESAVE}"
        )
    if not isinstance(package, Mapping):
        raise WeightsError(f"{path}: holds a {type(package).__name__}, expected a dictionary")
    return package


def _refused(path: Path, reason: str) -> str:
    if "Unsupported operand" in reason and files.is_torch(path):
        return f"{path}: its pickle is of a protocol above 2, which is not read here; {RESAVE}"
    match = re.search(r"(GLOBAL|operand|class) \S+", reason)
    return (
        f"{path}: refused, not a checkpoint of plain tensors, numbers and strings "
        f"({match[0] if match else 'pickle'}); unpickling it could run code. {RESAVE}"
    )


def _bare(path: Path) -> dict[str, Tensor]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            ours = "melmoat" in (file.metadata() or {})
        state: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not whole safetensors ({error}); fetch it again") from error
    if ours:
        raise WeightsError(
            f"{path}: weights that melmoat wrote; a recognizer is deepspeech2:{path}, a vocoder "
            f"trained:{path}"
        )
    return state


def initializers(data: bytes, name: str, needs: str) -> dict[str, Tensor]:
    """The weights of an ONNX file, as 32-bit floats.

    Args:
        data: the whole file.
        name: what errors call it.
        needs: the extra that brings the package onnx.

    Raises:
        MelmoatError: onnx is not installed.
        WeightsError: not a whole ONNX file.
    """
    with extra(needs, name):
        import onnx
        from google.protobuf.message import DecodeError
        from onnx import numpy_helper
    try:
        graph = onnx.load_model_from_string(data).graph
    except DecodeError as error:
        raise WeightsError(f"{name}: not a whole ONNX file ({error}); {AGAIN}") from error
    return {
        x.name: torch.from_numpy(numpy_helper.to_array(x).astype(np.float32))
        for x in graph.initializer
    }


def fill(module: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Load exactly ``state`` into ``module``, and freeze it in eval mode.

    Counters of batch norm are not weights and may be missing.

    Raises:
        WeightsError: keys or shapes differ.
    """
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    wanted = {k for k in module.state_dict() if not k.endswith("num_batches_tracked")}
    kind = type(module).__name__
    wrong = sorted(wanted ^ state.keys())
    if wrong:
        raise WeightsError(f"{name}: weights do not fit {kind}; differing: {wrong[:6]}")
    try:
        module.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise WeightsError(f"{name}: weights do not fit {kind} ({error})") from error
    module.eval().requires_grad_(False)
