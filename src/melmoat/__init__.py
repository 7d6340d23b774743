"""melmoat: attack, defend and measure automatic speech recognition.

``melmoat.evaluate`` measures and returns a ``melmoat.Run``, which can also be opened from a folder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from melmoat.evaluation import RunWarning as RunWarning
    from melmoat.evaluation import evaluate as evaluate
    from melmoat.runs import Run as Run

__version__ = "0.1.0"
__all__ = ["Run", "RunWarning", "__version__", "evaluate"]

_PLACES = {
    "Run": "melmoat.runs",
    "RunWarning": "melmoat.evaluation",
    "evaluate": "melmoat.evaluation",
}


def __getattr__(name: str) -> Any:
    """Import a name on first use: the package itself imports nothing (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module 'melmoat' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
