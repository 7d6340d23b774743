"""A cache of the Hugging Face hub, laid out as the hub's client does it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from melmoat.models import hub
from melmoat.models.moonshine import loading as moonshine
from melmoat.models.speecht5 import loading as speecht5
from melmoat.models.whisper import loading as whisper


class Cache:
    """A folder that the client takes for its cache, on a machine without a network."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import huggingface_hub

        self.folder = folder
        for name, value in {"HF_HUB_CACHE": str(folder), "HF_HUB_OFFLINE": True}.items():
            monkeypatch.setattr(huggingface_hub.constants, name, value)
            monkeypatch.setenv(name, str(value))  # for other processes

    def add(self, name: str, sha: str, files: Path) -> None:
        """Put ``files`` into the cache as the commit ``sha`` of ``name``, its newest."""
        shutil.copytree(files, self._of(name) / "snapshots" / sha)
        self.point(name, sha)

    def point(self, name: str, sha: str, revision: str = "main") -> None:
        """Let a branch or a tag be another commit."""
        refs = self._of(name) / "refs"
        refs.mkdir(exist_ok=True)
        (refs / revision).write_text(sha)

    def _of(self, name: str) -> Path:
        return self.folder / f"models--{name.replace('/', '--')}"


@contextmanager
def another_process() -> Iterator[None]:
    """In this block nothing is known of what names of the hub stand for, as in a new process."""
    finders = moonshine.find, speecht5.find, whisper.find
    with patch.dict(hub._settled, clear=True):
        for find in finders:
            find.cache_clear()
        try:
            yield
        finally:
            for find in finders:
                find.cache_clear()
