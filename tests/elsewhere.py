"""A second device, for machines that have none.

It computes on the processor and, as a real one does, refuses operands that lie on two devices. Its
tensors are real ones of the processor behind a wrapper that says they are on ``meta``, a device
that every PyTorch knows and that by itself computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = "meta"
JOINS = ("aten::cat", "aten::stack")
INDEXED = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
MOVES = ("aten::_to_copy", "aten::copy_")
Operator = Callable[..., Any]


class There(Tensor):
    """A tensor on the second device."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> There:
        made: There = Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=DEVICE,
        )
        made.here = here
        return made

    @classmethod
    def __torch_dispatch__(
        cls, operator: Operator, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(operator, args, kwargs or {})

    def tolist(self) -> Any:
        """PyTorch has none for wrappers."""
        return self.here.tolist()

    def new_tensor(self, data: Any, **options: Any) -> Tensor:  # type: ignore[override]
        return torch.tensor(data, **{"dtype": self.dtype, "device": self.device, **options})

    def __getitem__(self, index: Any) -> Tensor:
        return super().__getitem__(_indices(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_indices(index), value)


def _indices(index: Any) -> Any:
    """Lists as tensors, for the reason of :class:`_Makers`."""
    if isinstance(index, tuple):
        return tuple(map(_indices, index))
    if isinstance(index, list):
        return torch.tensor(index, dtype=None if index else torch.int64)
    return index


class _Makers(TorchFunctionMode):
    """Tensors of numbers: PyTorch would make them on ``meta`` itself, where they are lost."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function in (torch.tensor, torch.as_tensor) and "device" in kwargs:
            return function(*args, **{**kwargs, "device": "cpu"}).to(kwargs["device"])
        return function(*args, **kwargs)


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(
        self, operator: Operator, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _run(operator, args, kwargs or {})


@contextmanager
def elsewhere() -> Iterator[str]:
    """The device's name, within which it exists."""
    with _Makers(), _Mode():
        yield DEVICE


def _run(operator: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    name = operator._schema.name
    given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    there = [x for x in given if isinstance(x, There)]
    assert not any(x.device.type == DEVICE for x in given if not isinstance(x, There)), name
    if there and name not in MOVES:
        numbers = name not in JOINS  # which a single number of the processor may take part in
        mixed = [x for x in given if not isinstance(x, There) and (x.dim() or not numbers)]
        if name in INDEXED and isinstance(args[0], There):  # indices may lie on the processor
            mixed = [x for x in mixed if x.dtype not in (torch.int64, torch.bool)]
        if mixed:
            raise RuntimeError(
                f"{name}: operands on {DEVICE}, and one of shape {tuple(mixed[0].shape)} on cpu"
            )
    device = kwargs.get("device")
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    here_args, here_kwargs = tree_map(
        lambda x: x.here if isinstance(x, There) else x, (args, kwargs)
    )
    out = operator(*here_args, **here_kwargs)
    if name == "aten::_conj":  # lazy, which the wrapper could not tell
        out = torch.conj_physical(*here_args)
    stays = bool(there) if device is None else torch.device(device).type == DEVICE
    if not stays:
        return out
    if torch.Tag.inplace_view in operator.tags:  # such as transpose_: the wrapper's shape as well
        with no_dispatch():
            operator(*args, **kwargs)
    owners = {id(x.here): x for x in there}  # an operation in place gives what it was given
    return tree_map(
        lambda x: owners[id(x)] if id(x) in owners else There(x) if isinstance(x, Tensor) else x,
        out,
    )
