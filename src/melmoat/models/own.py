"""Somebody's own recognizer: ``python:MODULE:FACTORY`` imports, calls and checks it.

The module is looked for where Python looks, then in the current folder.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import cast

from melmoat.errors import MelmoatError
from melmoat.models.base import Recognizer


def load(target: str) -> Recognizer:
    """What the factory ``MODULE:FACTORY`` returns, a function or class called without arguments.

    Raises:
        MelmoatError: no such module or factory, one that fails, or what it made is no recognizer.
    """
    module, colon, name = target.partition(":")
    if not (module and colon and name):
        raise MelmoatError(
            f"python:{target}: expected python:MODULE:FACTORY, such as python:my:load"
        )
    factory = _find(module, name)
    try:
        model = factory()
    except MelmoatError:
        raise
    except Exception as error:
        raise MelmoatError(f"python:{target}: the factory failed, {_told(error)}") from error
    wrong = faults(model)
    if wrong:
        raise MelmoatError(
            f"python:{target} made a {type(model).__name__}, which is no recognizer: "
            f"{'; '.join(wrong)} (docs/recognizers.md)"
        )
    return cast(Recognizer, model)


def origin(target: str) -> tuple[list[Path], str]:
    """What a recognizer depends on as far as is known: the file of its module, and its factory."""
    module, _, name = target.partition(":")
    _look_here()
    try:
        found = importlib.util.find_spec(module)
    except Exception:  # importing a parent may raise anything; loading it says what is wrong
        found = None
    if found is None or not found.has_location or found.origin is None:
        return [], target
    return [Path(found.origin)], name


def faults(model: object) -> list[str]:
    """What keeps ``model`` from being a recognizer, empty if nothing does."""
    wrong = []
    rate = getattr(model, "rate", None)
    if type(rate) is not int or rate <= 0:  # True would be an int
        wrong.append(f"rate must be its sampling rate in Hz, got {rate!r}")
    needed = ["transcribe", "loss"]
    if hasattr(model, "labels"):
        needed.append("log_probs")  # only those with labels have frame-wise probabilities
    if hasattr(model, "vocabulary"):
        needed += ["hear", "cut"]  # and only these write token after token
    for method in needed:
        if not callable(getattr(model, method, None)):
            wrong.append(f"it has no method {method}")
    labels = getattr(model, "labels", "_")
    if not isinstance(labels, str):
        wrong.append(f"labels must be a string of single characters, got {type(labels).__name__}")
    return wrong


def _find(module: str, name: str) -> Callable[[], object]:
    _look_here()
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise MelmoatError(f"importing {module} failed, {_told(error)}") from error
        raise MelmoatError(
            f"no module {module!r}; run from the folder it lies in, or install it or add its "
            "folder to PYTHONPATH"
        ) from error
    except Exception as error:
        raise MelmoatError(f"importing {module} failed, {_told(error)}") from error
    if not callable(factory := getattr(found, name, None)):
        public = [n for n, v in vars(found).items() if callable(v) and not n.startswith("_")]
        raise MelmoatError(
            f"{module} has no function or class {name!r}; it has {', '.join(public)}"
        )
    return cast(Callable[[], object], factory)


def _look_here() -> None:
    here = str(Path.cwd())
    if here not in sys.path:  # an installed command does not have it; it must not shadow packages
        sys.path.append(here)


def _told(error: BaseException) -> str:
    """The error in a line, with the place it came from."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"
