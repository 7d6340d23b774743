"""Where things are computed: where the audio is.

:meth:`melmoat.audio.Audio.to` brings a batch to a device, and the weights that hear it follow.
Random numbers are drawn on the processor whatever the device, so that they are the same on all.
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
    """``device`` itself, once a number has been there and back.

    Raises:
        MelmoatError: PyTorch knows no such device, or cannot use it here; or the device has no
            64-bit floats, in which perturbations are measured.
    """
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
    """Let this process compute in whole single precision on every device.

    By default a GPU rounds the operands of convolutions and recurrent layers to 10 bits (TF32), and
    an utterance would be another in another batch.
    """
    # PyTorch's newer switches (fp32_precision) break libraries that read these.
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


def beside(module: ModuleT, like: Tensor) -> ModuleT:
    """``module``, brought to where ``like`` is if it is elsewhere.

    Its recurrent layers are in training mode then, where they hold no dropout: the numbers are the
    same, and cuDNN refuses their backward pass in eval mode, which every attack needs.
    """
    own = next(chain(module.parameters(), module.buffers()), like)
    if own.device == like.device:
        return module
    try:
        module.to(like.device)
    except Exception:  # no memory: the parts that moved go back
        module.to(own.device)
        raise
    for part in module.modules():
        if isinstance(part, nn.RNNBase) and not part.dropout:
            part.train()
    return module
