"""What each package offers is written down in its ``__all__``."""

import importlib
from types import ModuleType

import pytest


@pytest.mark.parametrize(
    "name", ["attacks", "data", "defenses", "detectors", "metrics", "models", "vocoders"]
)
def test_all_is_what_a_package_takes_from_its_own_modules(name: str) -> None:
    package = importlib.import_module(f"melmoat.{name}")
    own = {
        word
        for word, value in vars(package).items()
        if not word.startswith("_")
        and not isinstance(value, ModuleType)
        and (word.isupper() or str(getattr(value, "__module__", "")).startswith(package.__name__))
    }
    assert set(package.__all__) == own, "add it to __all__, or give it an underscore"
    assert package.__doc__
