"""Devices: everything is computed where the audio is.

:meth:`melmoat.audio.Audio.to` moves a batch to a device, and weights follow the audio. Random
numbers are always drawn on the CPU, so they are the same on all devices.
"""

from __future__ import annotations

from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

from melmoat.errors import MelmoatError

CPU = "cpu"
ModuleT = TypeVar("ModuleT", bound=nn.Module)


def usable(device: str) -> str:
    """Check that ``device`` works, by a round trip of a number, and return it.

    Raises:
        MelmoatError: PyTorch does not know the device or cannot use it here, or the device has no
            64-bit floats, which are needed to measure perturbations.
    """
    try:
        torch.device(device)
    except RuntimeError as error:  # PyTorch's text is a list of twenty names
        known = "cpu, cuda (a GPU, also of AMD), or cuda:1 for the second one"
        raise MelmoatError(f"device {device!r} cannot be used: give {known}") from error
    try:
        torch.zeros(1, dtype=torch.float64, device=device).item()
    except Exception as error:  # each backend has its own
        reason = str(error).partition("\n")[0]
        if torch.cuda.is_available():
            advice = "cpu always can"
        else:
            advice = "cpu always can; cuda needs a PyTorch built for it, https://pytorch.org"
        raise MelmoatError(f"device {device!r} cannot be used: {reason} ({advice})") from error
    return device


def full_precision() -> None:
    """Let this process compute in full single precision on every device.

    By default a GPU rounds the operands of convolutions and recurrent layers to 10 bits (TF32), and
    the result of an utterance would depend on its batch.
    """
    # PyTorch's newer switches (fp32_precision) break libraries that read these.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def sent(numbers: Tensor, device: torch.device) -> Tensor:
    """``numbers`` of the processor on ``device``.

    A GPU gets them from pinned memory, so nobody waits: the processor goes on, and the GPU copies
    them when it comes to them. From ordinary memory each copy waits for all work before it.
    """
    if device.type != "cuda":
        return numbers.to(device)
    return numbers.contiguous().pin_memory().to(device, non_blocking=True)


def beside(module: ModuleT, like: Tensor) -> ModuleT:
    """``module``, moved to the device of ``like`` if needed.

    After a move, recurrent layers without dropout are in training mode. Their numbers are the same,
    and in eval mode cuDNN refuses their backward pass, which every attack needs.
    """
    parameter = next(chain(module.parameters(), module.buffers()), like)
    if parameter.device == like.device:
        return module
    try:
        module.to(like.device)
    except Exception:  # no memory: the parts that moved go back
        module.to(parameter.device)
        raise
    for part in module.modules():
        if isinstance(part, nn.RNNBase) and not part.dropout:
            part.train()
    return module
