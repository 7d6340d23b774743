"""A corpus of one's own: a spoken digit a folder, as ``digits/seven/anna_1.wav``.

melmoat data python:own_corpus:digits,home=digits
"""

from pathlib import Path


def digits(home: Path, most: int = 100) -> list[tuple[Path, str]]:
    """Each file with its text; at most ``most`` of a digit."""
    folders = sorted(one for one in home.iterdir() if one.is_dir())
    return [
        (file, folder.name.upper())
        for folder in folders
        for file in sorted(folder.glob("*.wav"))[:most]
    ]
