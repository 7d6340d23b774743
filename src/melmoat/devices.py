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
    """``device`` itself, once it is ready for use.

    Its matrix products and convolutions then are in full single precision. Some devices round their
    inputs to 10 bits by default, and an utterance would be another in another batch.

    Raises:
        MelmoatError: PyTorch knows no such device, or cannot use it here.
    """
    try:
        torch.zeros(1, device=device).item()
    except Exception as error:  # each backend has its own
        reason = str(error).partition("\n")[0]
        raise MelmoatError(
            f"device {device!r} cannot be used: {reason} (cpu always can; cuda needs a PyTorch "
            "that is built for it, https://pytorch.org/get-started)"
        ) from error
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    return device


def beside(module: ModuleT, like: Tensor) -> ModuleT:
    """``module``, brought to where ``like`` is if it is elsewhere."""
    own = next(chain(module.parameters(), module.buffers()), like)
    return module if own.device == like.device else module.to(like.device)
