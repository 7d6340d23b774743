"""Imports point one way only; see the order in the assertion below."""

import ast
from pathlib import Path

import pytest

import melmoat

HOME = Path(melmoat.__file__).parent
LAYERS = [
    {
        "errors",
        "progress",
        "objects",
        "decoding",
        "audio",
        "levels",
        "text",
        "writing_systems",
        "normalisers",
        "spectral",
        "devices",
        "draws",
        "spec",
        "assets",
        "files",
        "unpickling",
        "weights",
        "memory",
        "threads",
        "locks",
        "facts",
        "custom",
        "plugins",
        "resampling",
        "fetching",
    },
    {"metrics"},
    {"data", "models", "vocoders", "denoisers", "semantic"},
    {"channels", "defenses"},
    {"detectors"},
    {"attacks"},
    {"training", "bench", "checking"},
    {"analysis", "certificates", "file_jobs", "file_attacks"},
    {"standard"},
    {"report"},
    {"runs"},
    {"evaluation"},
    {"cli", "server", "studio", "__main__", "__init__"},
]
RANK = {name: i for i, layer in enumerate(LAYERS) for name in layer}
FILES = sorted(HOME.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Packages of melmoat that ``path`` imports, for type checkers too."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name.split(".")[1] for name in found if name.startswith("melmoat.")} & RANK.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HOME)))
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(HOME).parts[0].removesuffix(".py")
    assert own in RANK, f"{own} has no place in the layers"
    above = {name for name in imported(path) if RANK[name] > RANK[own]}
    assert not above, f"{own} may not import {above}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(HOME)))
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("folder", ["suites", "tools", "benchmarks"])
def test_scripts_use_the_library_and_not_the_command_line(folder: str) -> None:
    scripts = sorted((HOME.parents[1] / folder).glob("*.py"))
    assert scripts
    # The tutorials are commands, which their runner runs in its own process.
    own = ["tutorials.py"] if folder == "tools" else []
    assert [path.name for path in scripts if "cli" in imported(path)] == own
