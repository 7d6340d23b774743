"""Facts that a part declares about itself because its options do not show them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
_ORIGIN = "_melmoat_origin"


@dataclass(frozen=True)
class Before:
    """Marks an option that was added later, with the value that older specs mean.

    ``level: Annotated[Literal["loudest", "file"], Before("file")] = "loudest"`` says that a spec
    without ``level`` means ``loudest`` now, and meant ``file`` before. Older results keep their key
    (:attr:`melmoat.spec.Spec.lasting`) and their meaning (:meth:`melmoat.spec.Registry.undated`).
    """

    value: Any


@dataclass(frozen=True)
class Part:
    """Marks an option that is the spec of another part: ``Annotated[str, Part("model")]``.

    The identity of this part includes that of the named part: other weights make another cell.

    Args:
        kind: the family: ``model``, ``defense``, ``attack``, ``vocoder``, ``corpus``, ``detector``.
        keyed: whether the identity contains the option's name. For vocoders it does not, because
            older results do not have it.
    """

    kind: str
    keyed: bool = True


@dataclass(frozen=True)
class NamesFile:
    """Marks an option whose text stands for a file. The identity includes the file's contents.

    Args:
        find: returns the file that a text stands for; None if it stands for no file.
    """

    find: Callable[[str], Path | None]


@dataclass(frozen=True)
class OfGradient:
    """Marks an option of a defense that changes only what attackers get in the backward pass."""


Mark = Part | NamesFile | OfGradient


@dataclass(frozen=True)
class Origin:
    """What a part depends on besides its options.

    Attributes:
        files: files whose contents are part of the identity.
        also: a text that is part of the identity, such as the way transcripts are compared.
        instead: an option that the files replace, such as a folder's name, or several. Their texts
            are not part of the identity.
        code: files of code. They are part of the identity, but random numbers do not depend on
            them.
        factory: imports and returns the factory that takes the remaining options; None if there is
            none.
    """

    files: Sequence[Path] = ()
    also: str | None = None
    instead: str | tuple[str, ...] | None = None
    code: Sequence[Path] = ()
    factory: Callable[[], Callable[..., Any]] | None = None

    def replaces(self, option: str) -> bool:
        """Whether the text of ``option`` is not part of the identity."""
        return option in ((self.instead,) if isinstance(self.instead, str) else self.instead or ())


Finder = Callable[[Mapping[str, Any]], Origin]


def rests_on(find: Finder) -> Callable[[F], F]:
    """Decorates a factory: declares what its parts depend on besides their options.

    Args:
        find: gets the options, with defaults filled in.
    """

    def declare(factory: F) -> F:
        setattr(factory, _ORIGIN, find)
        return factory

    return declare


def origin_of(factory: Callable[..., Any], args: Mapping[str, Any]) -> Origin:
    """The declared dependencies of the part that ``factory`` makes of ``args``."""
    find: Finder | None = getattr(factory, _ORIGIN, None)
    return find(args) if find else Origin()
