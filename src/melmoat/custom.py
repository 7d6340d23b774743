"""A user's own parts: ``python:MODULE:FACTORY`` imports a module and calls a factory in it.

The other options of such a spec go to the factory: ``python:my:Defense,level=3`` calls
``Defense(level=3)``. Types and defaults come from its signature.

Python's own search path comes first, then the current folder.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from melmoat.errors import MelmoatError
from melmoat.facts import Origin
from melmoat.spec import typed


def make(target: str, options: Mapping[str, str]) -> object:
    """Call the factory ``MODULE:FACTORY``, a function or class, with ``options``.

    Raises:
        MelmoatError: there is no such module or factory, it does not have these options, or it
            fails.
    """
    module, colon, name = target.partition(":")
    if not (module and colon and name):
        raise MelmoatError(
            f"python:{target}: expected python:MODULE:FACTORY, such as python:my:load"
        )
    factory = _find(module, name)
    arguments = typed(f"python:{target}", factory, options) if options else {}
    try:
        return factory(**arguments)
    except MelmoatError:
        raise
    except Exception as error:
        raise MelmoatError(f"python:{target}: the factory failed, {_error_line(error)}") from error


def origin(args: Mapping[str, Any]) -> Origin:
    """The known dependencies of a part: the file of its module, and its factory."""
    target: str = args["target"]
    module, _, name = target.partition(":")
    _look_here()
    try:
        module_spec = importlib.util.find_spec(module)
    except Exception:  # importing a parent may raise anything; loading reports it
        module_spec = None
    if module_spec is None or not module_spec.has_location or module_spec.origin is None:
        return Origin(also=target, instead="target")
    code = [Path(module_spec.origin)]
    return Origin(also=name, instead="target", code=code, factory=lambda: _find(module, name))


def _find(module: str, name: str) -> Callable[..., object]:
    _look_here()
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise MelmoatError(f"importing {module} failed, {_error_line(error)}") from error
        raise MelmoatError(
            f"no module {module!r}; run from the folder it lies in, or install it or add its "
            "folder to PYTHONPATH"
        ) from error
    except Exception as error:
        raise MelmoatError(f"importing {module} failed, {_error_line(error)}") from error
    if not callable(factory := getattr(imported, name, None)):
        public = [n for n, v in vars(imported).items() if callable(v) and not n.startswith("_")]
        raise MelmoatError(
            f"{module} has no function or class {name!r}; it has {', '.join(public)}"
        )
    return cast(Callable[..., object], factory)


def _look_here() -> None:
    here = str(Path.cwd())
    if (
        here not in sys.path
    ):  # an installed command lacks it; last, so that it does not hide packages
        sys.path.append(here)


def _error_line(error: BaseException) -> str:
    """The error in one line, with the place where it was raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"
