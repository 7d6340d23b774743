"""Parts that installed packages add by name. Their entry points are read on demand."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from melmoat.errors import MelmoatError


class PluginError(MelmoatError):
    """A part of an installed package that cannot be loaded."""


@lru_cache
def plugins(group: str) -> dict[str, list[EntryPoint]]:
    """The entry points of ``group`` by name; nothing is imported. Several packages may claim one
    name."""
    points: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        points.setdefault(point.name, []).append(point)
    return points


def package(point: EntryPoint) -> str:
    """The name of the package that has this entry point."""
    return point.dist.name if point.dist else point.value


def load(point: EntryPoint) -> Any:
    """The factory that ``point`` names.

    Raises:
        PluginError: the import failed, or the result is not a factory. Parts of other packages
            still work.
    """
    try:
        factory = point.load()
    except Exception as error:  # somebody else's code
        raise PluginError(
            f"{point.name!r} of the package {package(point)} cannot be loaded "
            f"({type(error).__name__}: {error}); repair or uninstall the package"
        ) from error
    if not callable(factory):
        raise PluginError(
            f"{point.name!r} of the package {package(point)} is a {type(factory).__name__}; "
            "expected a function or a class"
        )
    return factory
