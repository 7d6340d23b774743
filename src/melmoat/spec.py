"""Spec strings: one spelling of every part, in Python, on the command line and in result files.

``name``, ``name:key=value,key=value`` or ``name:VALUE,key=value``, where VALUE is the first,
positional argument of those parts that take one (a path, a hub name)::

    rs:snr=15,votes=5      an4:/data/an4/test      deepspeech.pytorch:model.pth,pad=reflect

A value that is a spec with several options of its own stands in parentheses::

    mdnf:vocoder=(griffin-lim:iterations=8,momentum=0.5),level=0.1

A family is a table from names to factories (classes or functions). The factory's own signature says
which keys there are, their types and defaults, so a new part is one line in a table.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from melmoat.errors import MelmoatError

T = TypeVar("T")
_KEY = re.compile(r"([a-z][a-z0-9_]*)=(.*)", re.DOTALL)


class SpecError(MelmoatError):
    """A spec that names an unknown part, an unknown key, or a value of the wrong type."""


@dataclass(frozen=True)
class Before:
    """Marks an option that came late: what its part did before the option existed.

    ``level: Annotated[Literal["loudest", "file"], Before("file")] = "loudest"`` says that a spec
    without ``level`` now means ``loudest`` and that one written earlier meant ``file``. What was
    measured then keeps its key (:attr:`Spec.lasting`), and is read as what it was
    (:meth:`Family.undated`).
    """

    value: Any


@dataclass(frozen=True)
class Spec:
    """A parsed spec with every default filled in: equal specs mean equal parts."""

    name: str
    args: Mapping[str, Any]
    text: str  # the canonical spelling: defaults left out, keys in the signature's order
    lasting: str  # the same, but options that came late are left out where they say Before's value
    dated: str  # the same as text, but options that came late are always written out

    def __str__(self) -> str:
        return self.text


class Family(Generic[T]):
    """A table of named parts.

    Args:
        kind: what the parts are, for messages ("defense").
        table: factories by name. Their annotations may be str, int, float, bool, Path, a Literal
            of strings, and any of these or None.
    """

    def __init__(self, kind: str, table: Mapping[str, Callable[..., T]]) -> None:
        self.kind = kind
        self.table = dict(table)

    def parse(self, text: str, earlier: bool = False) -> Spec:
        """Check ``text`` against the table; nothing is built.

        Args:
            text: the spec.
            earlier: take it as written before options that it leaves out existed.

        Raises:
            SpecError: unknown name or key, missing or ill-typed value; lists what is known.
        """
        name, _, rest = text.partition(":")
        if name not in self.table:
            raise SpecError(f"unknown {self.kind} {name!r}; known: {', '.join(sorted(self.table))}")
        factory = self.table[name]
        parameters = inspect.signature(factory).parameters
        hints = _hints(factory)
        first = next(iter(parameters), "")
        positional = bool(first) and parameters[first].default is inspect.Parameter.empty
        given = self._split(text, rest, list(parameters), positional)
        late = _late(factory)
        args: dict[str, Any] = {}
        short, lasting, dated = [], [], []
        for key, parameter in parameters.items():
            if key in given:
                args[key] = _convert(f"{text!r}: {key}", given[key], hints.get(key, str))
            elif parameter.default is parameter.empty:
                raise SpecError(f"{text!r}: {self.kind} {name!r} needs {key}: {self.usage(name)}")
            else:
                args[key] = late.get(key, parameter.default) if earlier else parameter.default
            written = f"{key}={show(args[key])}"
            if positional and key == first and not _KEY.fullmatch(show(args[first])):
                written = show(args[first])
            new = args[key] != parameter.default
            short += [written] if new else []
            lasting += [written] if (args[key] != late[key] if key in late else new) else []
            dated += [written] if new or key in late else []
        spellings = (f"{name}:{','.join(s)}" if s else name for s in (short, lasting, dated))
        return Spec(name, args, *spellings)

    def dated(self, text: str) -> str:
        """How a file keeps a spec: options that came late are written out, so that it means the
        same to whoever reads it later. What is not known stays as it is."""
        return self.parse(text).dated if self._came_late(text) else text

    def undated(self, text: str) -> str:
        """The canonical spelling of a spec that a file keeps: where an option that came late is not
        written, the file is older than the option."""
        return str(self.parse(text, earlier=True)) if self._came_late(text) else text

    def _came_late(self, text: str) -> bool:
        try:
            return bool(_late(self.table[self.parse(text).name]))
        except SpecError:
            return False

    def build(self, text: str) -> T:
        """The part that ``text`` names.

        Raises:
            SpecError: as :meth:`parse`, or a value that the part itself refuses.
        """
        spec = self.parse(text)
        try:
            return self.table[spec.name](**spec.args)
        except ValueError as error:
            raise SpecError(f"{text!r}: {error}") from error

    def usage(self, name: str) -> str:
        """How a spec of ``name`` is written, with its defaults."""
        parts: list[str] = []
        for key, parameter in inspect.signature(self.table[name]).parameters.items():
            if parameter.default is parameter.empty:  # only the first may stand without its key
                parts.append(f"{key}={key.upper()}" if parts else key.upper())
            else:
                parts.append(f"{key}={show(parameter.default)}")
        return f"{name}:{','.join(parts)}" if parts else name

    @staticmethod
    def _split(text: str, rest: str, keys: list[str], positional: bool) -> dict[str, str]:
        given: dict[str, str] = {}
        for i, part in enumerate(options(rest)):
            match = _KEY.fullmatch(part)
            if match and match[1] in keys:
                key, value = match[1], match[2]
            elif match or i or not positional:
                known = ", ".join(keys) or "none"
                named = f"; write {keys[0]}={part} if it is that" if match and positional else ""
                raise SpecError(
                    f"{text!r}: unknown key {part!r}; known keys: {known} "
                    f"(a value with commas stands in parentheses{named})"
                )
            else:
                key, value = keys[0], part
            if value.startswith("(") and value.endswith(")"):
                value = value[1:-1]
            if key in given:
                raise SpecError(f"{text!r}: {key} is given twice")
            given[key] = value
        return given


def _hints(factory: Callable[..., Any]) -> dict[str, Any]:
    # For a class, its own and its bases' fields, each resolved in the module that wrote it.
    return get_type_hints(factory)


def _late(factory: Callable[..., Any]) -> dict[str, Any]:
    """What each option that came late meant before, by its key."""
    hints = get_type_hints(factory, include_extras=True).items()
    marked = [(key, get_args(hint)[1:]) for key, hint in hints if get_origin(hint) is Annotated]
    return {key: m.value for key, marks in marked for m in marks if isinstance(m, Before)}


def _convert(where: str, value: str, hint: Any) -> Any:
    """``value`` as the type that the factory's annotation asks for."""
    if get_origin(hint) in (Union, types.UnionType):
        if value == "none" and type(None) in get_args(hint):
            return None
        hint = next(h for h in get_args(hint) if h is not type(None))
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise SpecError(f"{where} must be one of {', '.join(get_args(hint))}; got {value!r}")
        return value
    if hint is bool:
        if value not in ("true", "false"):
            raise SpecError(f"{where} must be true or false; got {value!r}")
        return value == "true"
    try:
        return hint(value)
    except ValueError:
        raise SpecError(f"{where} must be {_TYPES.get(hint, hint)}; got {value!r}") from None


_TYPES = {int: "a whole number", float: "a number", str: "text", Path: "a path"}


def options(rest: str) -> list[str]:
    """What stands behind a spec's name, taken apart.

    >>> options("a,b=(c:d=1,e=2),f=3")
    ['a', 'b=(c:d=1,e=2)', 'f=3']
    >>> options("a=(b:c=1,d=(e:f=2,g=3)),h=4")
    ['a=(b:c=1,d=(e:f=2,g=3))', 'h=4']
    """
    parts, depth = [""], 0
    for letter in rest:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts if rest else []


def without(spec: Spec, key: str) -> str:
    """The canonical spelling of ``spec`` with ``key`` at its default."""
    name, _, rest = spec.text.partition(":")
    kept = ",".join(part for part in options(rest) if not part.startswith(f"{key}="))
    return f"{name}:{kept}" if kept else name


def show(value: Any) -> str:
    """How a value is written in a spec."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return f"({value})" if "," in str(value) else str(value)
