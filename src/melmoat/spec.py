"""Spec strings: one spelling of every part, in Python, on the command line and in result files.

``name``, ``name:key=value,key=value`` or ``name:VALUE,key=value``, where VALUE is the first,
positional argument of those parts that take one (a path, a hub name)::

    rs:snr=15,votes=5      an4:/data/an4/test      deepspeech.pytorch:model.pth,pad=reflect

A value that is a spec with several options of its own stands in parentheses::

    mdnf:vocoder=(griffin-lim:iterations=8,momentum=0.5),level=0.1

A registry is a table from names to factories (classes or functions). The factory's signature
defines the keys, their types and defaults, so a new part is one line in a table. If an option names
another part or a file, its annotation says so (:class:`melmoat.facts.Part`,
:class:`melmoat.facts.NamesFile`, Path). The factory declares everything else that the part depends
on (:func:`melmoat.facts.rests_on`).
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from melmoat.errors import MelmoatError, alike
from melmoat.facts import Before, Mark
from melmoat.plugins import PluginError, load, package, plugins

T = TypeVar("T")
_KEY = re.compile(r"([a-z][a-z0-9_]*)=(.*)", re.DOTALL)


class SpecError(MelmoatError):
    """A spec that names an unknown part, an unknown key, or a value of the wrong type."""


@dataclass(frozen=True)
class Spec:
    """A parsed spec with every default filled in: equal specs mean equal parts.

    Attributes:
        text: the canonical spelling: defaults left out, keys in the signature's order.
        lasting: the same, but an option that was added later is left out if it has the value of its
            ``Before``.
        dated: the same as ``text``, but options that were added later are always written.
        parts: the options of ``lasting`` by key, as they are written there.
        factory: makes the part.
        foreign: whether making it imports a module that the spec names.
        others: options for such a module, as text.
    """

    name: str
    args: Mapping[str, Any]
    text: str
    lasting: str
    dated: str
    parts: Mapping[str, str] = field(compare=False)
    factory: Callable[..., Any] = field(compare=False)
    foreign: bool = field(compare=False)
    others: Mapping[str, str] = field(compare=False)

    def __str__(self) -> str:
        return self.text


class Registry(Generic[T]):
    """A table of named parts.

    Args:
        kind: the kind of parts, for messages ("defense").
        table: factories by name. Their annotations may be str, int, float, bool, Path, a Literal of
            strings, and any of these or None. A factory with ``**options`` also takes any other
            key, as text: its parts come from a module that the spec names.
        group: group of entry points with which packages add parts; None if they cannot.
    """

    def __init__(
        self, kind: str, table: Mapping[str, Callable[..., T]], group: str | None = None
    ) -> None:
        self.kind, self.group = kind, group
        self.table = dict(table)

    @property
    def names(self) -> list[str]:
        """The known parts, also those of installed packages, even if these cannot be loaded."""
        return sorted({*self.table, *self._added()})

    def _added(self) -> Mapping[str, list[EntryPoint]]:
        return plugins(self.group) if self.group else {}

    def parse(self, text: str, earlier: bool = False) -> Spec:
        """Check ``text`` against the table; nothing is built.

        Args:
            text: the spec.
            earlier: read it as if it was written before the options that it leaves out were added.

        Raises:
            SpecError: a name or key is unknown, or a value is missing or has the wrong type. The
                message lists the known ones.
        """
        name, _, rest = text.partition(":")
        factory = self.factory(name)
        parameters, foreign = _parameters(factory)
        hints = _hints(factory)
        first = next(iter(parameters), "")
        positional = bool(first) and parameters[first].default is inspect.Parameter.empty
        written_options = self._split(text, rest, list(parameters), positional, foreign)
        late = _late(factory)
        args: dict[str, Any] = {}
        short, lasting, dated = [], {}, []
        for key, parameter in parameters.items():
            if key in written_options:
                args[key] = _convert(f"{text!r}: {key}", written_options[key], hints.get(key, str))
            elif parameter.default is parameter.empty:
                raise SpecError(f"{text!r}: {self.kind} {name!r} needs {key}: {self.usage(name)}")
            else:
                args[key] = late.get(key, parameter.default) if earlier else parameter.default
            written = f"{key}={show(args[key])}"
            if positional and key == first and not _KEY.fullmatch(show(args[first])):
                written = show(args[first])
            new = args[key] != parameter.default
            short += [written] if new else []
            if args[key] != late[key] if key in late else new:
                lasting[key] = written
            dated += [written] if new or key in late else []
        others = {
            key: written_options[key] for key in sorted(written_options.keys() - parameters.keys())
        }
        for key, value in others.items():
            args[key], lasting[key] = value, f"{key}={show(value)}"
            short, dated = [*short, lasting[key]], [*dated, lasting[key]]
        return Spec(
            name,
            args,
            text=spelling(name, short),
            lasting=spelling(name, lasting.values()),
            dated=spelling(name, dated),
            parts=lasting,
            factory=factory,
            foreign=foreign,
            others=others,
        )

    def factory(self, name: str) -> Callable[..., T]:
        """The factory of the parts called ``name``.

        Raises:
            SpecError: there is none (the message lists the known names), several packages claim the
                name, or its package cannot be loaded.
        """
        added = self._added().get(name, [])
        if len(owners := ["melmoat"] * (name in self.table) + [*map(package, added)]) > 1:
            raise SpecError(
                f"{self.kind} {name!r} is claimed by {' and '.join(owners)}: rename it in one of "
                "them, or uninstall one"
            )
        if added:
            try:
                return cast(Callable[..., T], load(added[0]))
            except PluginError as error:
                raise SpecError(str(error)) from error
        if name not in self.table:
            near = alike(name, self.names)
            raise SpecError(f"unknown {self.kind} {name!r}; known: {', '.join(self.names)}{near}")
        return self.table[name]

    def dated(self, text: str) -> str:
        """The spelling of a spec for files: options that were added later are written, so that the
        spec keeps its meaning. An unknown spec stays as it is."""
        return self.parse(text).dated if self._came_late(text) else text

    def undated(self, text: str) -> str:
        """The canonical spelling of a spec from a file, older than the options that it lacks."""
        return str(self.parse(text, earlier=True)) if self._came_late(text) else text

    def _came_late(self, text: str) -> bool:
        try:
            return bool(_late(self.parse(text).factory))
        except SpecError:
            return False

    def build(self, text: str) -> T:
        """The part that ``text`` names.

        Raises:
            SpecError: as :meth:`parse`, or the part refuses a value.
        """
        spec = self.parse(text)
        try:
            return cast(T, spec.factory(**spec.args))
        except ValueError as error:
            raise SpecError(f"{text!r}: {error}") from error

    def usage(self, name: str) -> str:
        """The spelling of a spec of ``name``, with its defaults."""
        parts: list[str] = []
        parameters, foreign = _parameters(self.factory(name))
        for key, parameter in parameters.items():
            if parameter.default is parameter.empty:  # only the first option may lack its key
                parts.append(f"{key}={key.upper()}" if parts else key.upper())
            else:
                parts.append(f"{key}={show(parameter.default)}")
        return spelling(name, [*parts, "OPTION=VALUE"] if foreign else parts)

    @staticmethod
    def _split(
        text: str, rest: str, keys: list[str], positional: bool, foreign: bool
    ) -> dict[str, str]:
        values: dict[str, str] = {}
        for i, part in enumerate(options(rest)):
            match = _KEY.fullmatch(part.lstrip() if i else part)  # a space after a comma is no harm
            if match and (match[1] in keys or foreign):
                key, value = match[1], match[2]
            elif match or i or not positional:
                known = ", ".join(keys) or "none"
                hint = f"; write {keys[0]}={part} if it is that" if match and positional else ""
                meant = alike(part.partition("=")[0], keys)
                raise SpecError(
                    f"{text!r}: unknown key {part!r}; known keys: {known}{meant} "
                    f"(put a value with commas in parentheses{hint})"
                )
            else:
                key, value = keys[0], part
            if key in values:
                raise SpecError(f"{text!r}: {key} is given twice")
            enclosed = value.startswith("(") and value.endswith(")")
            values[key] = value[1:-1] if enclosed else value
        return values


def typed(where: str, factory: Callable[..., Any], texts: Mapping[str, str]) -> dict[str, Any]:
    """Options given as text, in the types of the factory's signature, with its defaults.

    Raises:
        SpecError: a key is unknown, or a value is missing or has the wrong type.
    """
    parameters, foreign = _parameters(factory)
    if (unknown := texts.keys() - parameters.keys()) and not foreign:
        known = ", ".join(parameters) or "none"
        raise SpecError(f"{where}: unknown key {min(unknown)!r}; known keys: {known}")
    hints = _hints(factory)
    values: dict[str, Any] = {key: texts[key] for key in sorted(unknown)}
    for key, parameter in parameters.items():
        default = parameter.default
        if key in texts:
            plain = type(default) if isinstance(default, bool | int | float) else str
            values[key] = _convert(f"{where}: {key}", texts[key], hints.get(key, plain))
        elif default is parameter.empty:
            raise SpecError(f"{where}: the factory needs {key}={key.upper()}")
        else:
            values[key] = default
    return values


def marks(factory: Callable[..., Any]) -> dict[str, Mark]:
    """The mark of each option that has one, such as that it names a part, by its key."""
    return {
        key: mark
        for key, annotations in _annotations(factory).items()
        for mark in annotations
        if isinstance(mark, Mark)
    }


def choices(factory: Callable[..., Any], key: str) -> tuple[str, ...]:
    """The values that an option of a ``Literal`` type may have; none for any other option."""
    hint = _hints(factory).get(key)
    return get_args(hint) if get_origin(hint) is Literal else ()


def _late(factory: Callable[..., Any]) -> dict[str, Any]:
    """For each option that was added later, its value in older specs, by its key."""
    annotations = _annotations(factory).items()
    return {key: m.value for key, marked in annotations for m in marked if isinstance(m, Before)}


def _annotations(factory: Callable[..., Any]) -> dict[str, list[Any]]:
    """The ``Annotated`` marks of each option."""
    hints = _hints(factory, extras=True)
    return {key: _marked(hint) for key, hint in hints.items()}


def _marked(hint: Any) -> list[Any]:
    if get_origin(hint) is Annotated:
        inner, *metadata = get_args(hint)
        return [*metadata, *_marked(inner)]
    if get_origin(hint) in (Union, types.UnionType):
        return [mark for member in get_args(hint) for mark in _marked(member)]
    return []


def _hints(factory: Callable[..., Any], extras: bool = False) -> dict[str, Any]:
    read = _read_hints if isinstance(factory, Hashable) else _read_hints.__wrapped__
    return read(factory, extras)


@lru_cache(maxsize=512)  # each spec is parsed many times
def _read_hints(factory: Callable[..., Any], extras: bool) -> dict[str, Any]:
    # A dataclass has the annotations itself, with those of its bases; other classes in __init__.
    plain = isinstance(factory, type) and not is_dataclass(factory)
    hinted = getattr(factory, "__init__", factory) if plain else factory
    try:
        return get_type_hints(hinted, include_extras=extras)
    except Exception as error:  # a user's factory may name what does not exist
        name = getattr(factory, "__name__", factory)
        raise SpecError(f"the annotations of {name} cannot be read ({error})") from error


def _parameters(factory: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """The options of a factory by key, and whether it also takes other keys."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # a builtin
        return {}, False
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    options = {p.name: p for p in parameters if p.kind not in several}
    return options, any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def _convert(where: str, value: str, hint: Any) -> Any:
    """``value`` in the type of the factory's annotation."""
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
    if hint not in _TYPES:
        known = "str, int, float, bool, Path or a Literal of strings, or one of these or None"
        raise SpecError(f"{where} has the type {hint}; in a spec options are {known}")
    try:
        return hint(value)
    except ValueError:
        raise SpecError(f"{where} must be {_TYPES[hint]}; got {value!r}") from None


_TYPES = {int: "a whole number", float: "a number", str: "text", Path: "a path"}


def options(rest: str) -> list[str]:
    """Split the options of a spec.

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


def spelling(name: str, parts: Iterable[str]) -> str:
    """The spec of ``name`` with these options."""
    rest = ",".join(parts)
    return f"{name}:{rest}" if rest else name


def without(spec: Spec, key: str) -> str:
    """The canonical spelling of ``spec`` with ``key`` at its default."""
    name, _, rest = spec.text.partition(":")
    return spelling(name, (part for part in options(rest) if not part.startswith(f"{key}=")))


def show(value: Any) -> str:
    """The spelling of a value in a spec."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return f"({value})" if "," in str(value) else str(value)
