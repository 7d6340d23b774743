"""Parts that are a user's own objects, passed in Python instead of named by a spec.

A cell needs a name and an identity. The name is the class with the options that differ from their
defaults (:func:`called`). The identity is a fingerprint of the class's code and of the object's
values (:func:`fingerprint`). Comments and line breaks do not change it; another value does. If
there is no fingerprint, rows of the object are never continued (:func:`untold`).
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import inspect
import re
import secrets
import textwrap
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache, partial
from pathlib import PurePath
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from melmoat.errors import MelmoatError
from melmoat.spec import Registry, show

OBJECT = "object"  # the name in front of every such part's spec
UNTOLD = "untold-"  # prefix of a code that is not a fingerprint
_PLAIN = re.compile(r"[\w .+/=-]{1,60}")  # values that may appear in a name
_OURS = {"abc", "collections", "melmoat", "torch", "typing", "typing_extensions"}
_OF_MODULES = frozenset(vars(nn.Module()))  # what every module of PyTorch has
# Layers that do something else in training. Of others the mode does not count.
_OF_TWO_MODES = (
    nn.modules.batchnorm._NormBase,
    nn.modules.dropout._DropoutNd,
    nn.MultiheadAttention,
    nn.RNNBase,
)
_HELD = ("_parameters", "_buffers", "_modules")
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_objects: dict[tuple[str, str, str], object] = {}

T = TypeVar("T")


class UntoldError(Exception):
    """An object has no fingerprint, so it cannot be compared with another one."""


def hand(family: Registry[T], part: T) -> str:
    """Make ``part`` a part of ``family`` in this process.

    Returns:
        Its spec, ``object:NAME,code=FINGERPRINT``; for an attack also with its ``access``.
    """
    name = called(part)
    try:
        code = fingerprint(part)
    except UntoldError:
        code = UNTOLD + secrets.token_hex(4)
    _objects[family.kind, name, code] = part

    def find(name: str, code: str, access: str = "") -> Any:
        """An object that was passed to this process."""
        try:
            return _objects[family.kind, name, code]
        except KeyError:
            raise MelmoatError(
                f"{name} is an object that was passed in Python, in another process or with "
                "different code; pass it again to melmoat.evaluate"
            ) from None

    family.table.setdefault(OBJECT, find)
    access = getattr(part, "access", "") if family.kind == "attack" else ""
    also = f",access={access}" if access else ""
    return str(family.parse(f"{OBJECT}:({name}),code={code}{also}"))


def is_object(spec: str) -> bool:
    """Whether ``spec`` stands for an object that was passed in Python."""
    return spec.startswith(f"{OBJECT}:")


def name_of(spec: str) -> str:
    """The name in such a spec.

    >>> name_of("object:Coarse:bits=4,code=12"), name_of("object:(A:x=1,y=2),code=untold-3")
    ('Coarse:bits=4', 'A:x=1,y=2')
    """
    name = spec.removeprefix(f"{OBJECT}:").rpartition(",code=")[0]
    return name[1:-1] if name.startswith("(") else name


def untold(spec: str) -> bool:
    """Whether such a spec has no fingerprint: its rows may belong to a different object."""
    return is_object(spec) and spec.rpartition(",code=")[2].startswith(UNTOLD)


def called(part: object) -> str:
    """The name of an object: its class; for a dataclass with the options that are not defaults.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Coarse:
    ...     bits: int = 8
    >>> called(Coarse()), called(Coarse(4))
    ('Coarse', 'Coarse:bits=4')
    """
    name = type(part).__name__
    if not is_dataclass(part):
        return name
    options = []
    for field in fields(part):
        value = getattr(part, field.name, MISSING)
        default = field.default
        if default is MISSING and field.default_factory is not MISSING:
            default = field.default_factory()
        same = type(value) is type(default) and repr(value) == repr(default)
        plain = value is None or isinstance(value, str | int | float | bool)
        if plain and not same and _PLAIN.fullmatch(show(value)):
            options.append(f"{field.name}={show(value)}")
    return f"{name}:{','.join(options)}" if options else name


def fingerprint(part: object) -> str:
    """16 hex digits of the code of an object's class and of all its values.

    Raises:
        UntoldError: its code cannot be read, or it has values that cannot be compared.
    """
    digest = hashlib.sha256()
    _tell(part, digest.update, ())
    return digest.hexdigest()[:16]


def _tell(value: object, add: Callable[[bytes], None], above: tuple[int, ...]) -> None:
    """Add the bytes that distinguish ``value`` from others."""
    if id(value) in above:
        add(b"itself")
        return
    above = (*above, id(value))
    add(type(value).__qualname__.encode())
    if value is None or isinstance(value, str | bytes | int | float | complex | PurePath):
        add(repr(value).encode())
    elif isinstance(value, torch.dtype | torch.device):
        add(str(value).encode())
    elif isinstance(value, torch.Tensor | np.ndarray):
        add(repr((tuple(value.shape), str(value.dtype))).encode())
        add(_bytes(value))
    elif isinstance(value, Mapping):
        add(f"{len(value)} pairs".encode())
        for key, held in value.items():
            _tell(key, add, above)
            _tell(held, add, above)
    elif isinstance(value, set | frozenset):
        add(repr(sorted(map(repr, value))).encode())
    elif isinstance(value, Sequence):
        add(str(len(value)).encode())
        for held in value:
            _tell(held, add, above)
    elif inspect.isfunction(value):
        if value.__closure__:
            raise UntoldError(f"{value.__qualname__} has captured variables")
        add(_code(value))
    elif inspect.isbuiltin(value) and (value.__module__ or "").split(".")[0] == "torch":
        add(f"{value.__module__}.{value.__qualname__}".encode())
    elif isinstance(value, weakref.ref):  # as recurrent layers have of their weights
        _tell(value(), add, above)
    elif isinstance(value, partial):
        _tell([value.func, value.args, value.keywords], add, above)
    else:
        _tell_object(value, add, above)


def _bytes(value: torch.Tensor | np.ndarray[Any, Any]) -> bytes:
    if isinstance(value, torch.Tensor):  # numpy has no bfloat16
        return value.detach().cpu().flatten().view(torch.uint8).numpy().tobytes()
    return np.ascontiguousarray(value).tobytes()


def _tell_object(value: object, add: Callable[[bytes], None], above: tuple[int, ...]) -> None:
    for kind in type(value).__mro__:
        known = getattr(builtins, kind.__name__, None) is kind
        if not known and kind.__module__.split(".")[0] not in _OURS:
            add(_code(kind))
    if isinstance(value, nn.Module):
        held = _held_by(value)
    elif hasattr(value, "__dict__"):
        held = vars(value)
    elif is_dataclass(value):
        held = {field.name: getattr(value, field.name) for field in fields(value)}
    else:
        raise UntoldError(f"the contents of a {type(value).__name__} are unknown")
    _tell(held, add, above)


def _held_by(module: nn.Module) -> dict[str, Any]:
    """All that a module holds: weights, buffers that are not saved too, parts with what they hold,
    hooks, and plain values."""
    there = vars(module)
    held = {name: there[name] for name in sorted(there.keys() - _OF_MODULES)}
    held |= {name: dict(there[name]) for name in _HELD}
    if isinstance(module, _OF_TWO_MODES):
        held["training"] = module.training
    return held | {name: list(there[name].values()) for name in _HOOKS if there[name]}


@lru_cache(maxsize=1024)  # parts of a module often share their classes
def _code(definition: Any) -> bytes:
    """The code of a class or function without comments, and its origin."""
    try:
        source = textwrap.dedent(inspect.getsource(definition))
        tree = ast.dump(ast.parse(source))
    except (OSError, TypeError, SyntaxError) as error:
        raise UntoldError(f"the code of {definition!r} cannot be read") from error
    return f"{definition.__qualname__}:{tree}".encode()
