"""Reads foreign pickles without running any of their code.

PyTorch's restricted unpickler (``weights_only=True``) reads them. It imports nothing, and calls
only what it knows. Settings of other libraries (OmegaConf, argparse, enum members) would stop it.
So each unknown name becomes an inert class here, :class:`Inert`. It takes any arguments and any
state, and does nothing with them.
"""

from __future__ import annotations

import pickletools
import threading
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

# Subclasses of dict, which are filled item by item: plain dictionaries will do.
DICTS = {
    "collections.defaultdict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
}
_LOCK = threading.Lock()  # the names that PyTorch knows are the process's


class Inert:
    """A placeholder for an object of an unknown class or function.

    Args:
        args: the arguments of the call; ``state`` is the object's state.
    """

    args: tuple[Any, ...]
    state: Any

    def __new__(cls, *args: Any) -> Any:
        """Store the arguments."""
        made = object.__new__(cls)
        made.args, made.state = args, None
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Items(Inert):
    """A stand-in for a subclass of dict."""

    def __new__(cls, *args: Any) -> Any:
        return {}


def load(path: Path) -> Any:
    """The contents of a PyTorch checkpoint, unknown parts as :class:`Inert`.

    Raises:
        pickle.UnpicklingError: it needs a name that is refused, such as anything of ``os``.
        Exception: many other kinds, as ``torch.load``.
    """
    stand_ins = [_stand_in(name) for name in sorted(_names(path))]
    with _LOCK, _known(stand_ins):
        return torch.load(path, map_location="cpu", weights_only=True)


def plain(value: Any) -> Any:
    """Settings as dictionaries, lists, numbers and strings, without their containers.

    >>> node = Inert()
    >>> node.__setstate__({"_content": {"rate": 8000}, "_parent": node})
    >>> plain(node)
    {'rate': 8000}
    """
    if isinstance(value, Inert):
        state = value.state
        if isinstance(state, Mapping):
            for key in ("_content", "_val"):  # OmegaConf: containers, single values
                if key in state:
                    return plain(state[key])
            return plain(state)
        return plain(value.args[-1]) if value.args else name_of(value)  # a member of an enum
    if isinstance(value, Mapping):
        return {
            str(plain(key)) if isinstance(key, Inert) else key: plain(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, type) and issubclass(value, Inert):
        return name_of(value)
    return value


def name_of(value: Any) -> str:
    """The name of the type of ``value``; for a class with its module."""
    kind = value if isinstance(value, type) else type(value)
    inert = issubclass(kind, Inert)
    return f"{kind.__module__}.{kind.__qualname__}" if inert else kind.__qualname__


def _stand_in(name: str) -> type[Inert]:
    module, _, last = name.rpartition(".")
    base = _Items if name in DICTS else Inert
    # PyTorch finds what may be made by these two names.
    return type(last, (base,), {"__module__": module, "__qualname__": last})


@contextmanager
def _known(stand_ins: Sequence[type[Inert]]) -> Iterator[None]:
    """Let PyTorch know these names besides its own, and no others."""
    serialization = torch.serialization
    before = serialization.get_safe_globals()
    serialization.clear_safe_globals()
    serialization.add_safe_globals(list(stand_ins))
    try:
        yield
    finally:
        serialization.clear_safe_globals()
        serialization.add_safe_globals(before)


def _names(path: Path) -> set[str]:
    """The names that a checkpoint's pickles use. Nothing is unpickled."""
    names: set[str] = set()
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    for name in archive.namelist():
                        if name.endswith("/data.pkl"):
                            with archive.open(name) as member:
                                names |= _globals(member)
            else:
                file.seek(0)
                for _ in range(4):  # a number, a version, a system and then the contents
                    names |= _globals(file)
    except Exception:  # pickletools and zipfile answer damage with errors of many kinds
        return names  # and torch.load says what is wrong
    return names


def _globals(file: IO[bytes]) -> set[str]:
    names = set()
    for operation, argument, _ in pickletools.genops(file):
        if operation.name == "GLOBAL":
            module, name = str(argument).split(" ", 1)
            module, name = NAME_MAPPING.get((module, name), (module, name))
            names.add(f"{IMPORT_MAPPING.get(module, module)}.{name}")
    return names
