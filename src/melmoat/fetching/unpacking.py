"""Archives of others, unpacked so that nothing lands outside the folder that is named."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from melmoat.errors import MelmoatError


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar archive into ``folder``, which is made.

    Only files and folders are taken, with the rights of a new file here. Nothing is unpacked of an
    archive that has anything else, or a path that leads out of it.

    Raises:
        MelmoatError: such an archive, or one that is broken.
    """
    try:
        with tarfile.open(archive) as tar:
            tar.extraction_filter = getattr(tarfile, "data_filter", None)  # Python's own check
            members = list(_safe(tar, archive))
            folder.mkdir(parents=True)
            tar.extractall(folder, members)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise MelmoatError(
            f"{archive}: not a whole tar archive ({error}); fetch it again"
        ) from error


def _safe(tar: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise MelmoatError(
                f"{archive}: refused, it has {member.name!r}, which is no plain file inside it; "
                "nothing was unpacked"
            )
        yield member
