"""What every task of a training run keeps."""

from collections.abc import Callable
from typing import Any

import torch


def check_restart(task: Callable[[], Any], *keys: str) -> None:
    """Four steps give the same states ``keys`` if the task is restored after two."""
    whole, cut, resumed = task(), task(), task()
    for number in range(4):
        whole.step(number)
    for number in range(2):
        cut.step(number)
    resumed.restore(cut.state())
    for number in range(2, 4):
        resumed.step(number)
    for key in keys:
        a, b = whole.state()[key], resumed.state()[key]
        assert all(torch.allclose(a[k], b[k], atol=1e-6) for k in a)
