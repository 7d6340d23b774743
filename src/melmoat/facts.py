"""What a part says of itself, where its options do not show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
_ORIGIN = "_melmoat_origin"


@dataclass(frozen=True)
class Before:
    """Marks an option that came late: what its part did before the option existed.

    ``level: Annotated[Literal["loudest", "file"], Before("file")] = "loudest"`` says that a spec
    without ``level`` now means ``loudest`` and that one written earlier meant ``file``. What was
    measured then keeps its key (:attr:`melmoat.spec.Spec.lasting`), and is read as what it was
    (:meth:`melmoat.spec.Registry.undated`).
    """

    value: Any


@dataclass(frozen=True)
class Part:
    """Marks an option that is the spec of another part: ``Annotated[str, Part("model")]``.

    What that part is counts in the identity of this one: other weights make another cell.

    Args:
        kind: the family: ``model``, ``defense``, ``attack``, ``vocoder`` or ``corpus``.
        keyed: whether the identity names the option. Those of vocoders do not: results that are
            older than this marker have them so.
    """

    kind: str
    keyed: bool = True


@dataclass(frozen=True)
class NamesFile:
    """Marks an option whose text stands for a file: the file's contents count in the identity.

    Args:
        find: the file that a text stands for; None where it stands for no file.
    """

    find: Callable[[str], Path | None]


@dataclass(frozen=True)
class Origin:
    """What a part depends on besides its options.

    Attributes:
        files: whose contents count.
        also: a text that counts, such as how transcripts are compared.
        instead: the option that the files stand for, such as a folder's name: its text then does
            not count.
        code: files of code, whose contents count too. Random numbers do not depend on them.
        factory: gives what the remaining options are those of, importing it; None if nothing.
    """

    files: Sequence[Path] = ()
    also: str | None = None
    instead: str | None = None
    code: Sequence[Path] = ()
    factory: Callable[[], Callable[..., Any]] | None = None


Finder = Callable[[Mapping[str, Any]], Origin]


def rests_on(find: Finder) -> Callable[[F], F]:
    """Declares, on a factory, what its parts depend on besides their options.

    Args:
        find: gets the options, defaults filled in.
    """

    def declare(factory: F) -> F:
        setattr(factory, _ORIGIN, find)
        return factory

    return declare


def origin_of(factory: Callable[..., Any], args: Mapping[str, Any]) -> Origin:
    """What the part that ``factory`` makes of ``args`` depends on besides them, as declared."""
    find: Finder | None = getattr(factory, _ORIGIN, None)
    return find(args) if find else Origin()
