"""What loaders of transformers' networks share: the library, its hub, folders and their files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from safetensors.torch import load_file

from melmoat import files as file_kinds
from melmoat.errors import extra
from melmoat.weights import WeightsError, read_pickle

_SHA = re.compile(r"[0-9a-f]{40}")
_SMALL = "config.json"  # a file that every network here has


@dataclass(frozen=True)
class Commit:
    """What a name of the hub stands for in this process.

    Args:
        name: such as ``openai/whisper-small``.
        revision: the branch, tag or commit that was asked for; None is the branch ``main``.
        sha: the commit; None if something else is used instead of the hub's files.
    """

    name: str
    revision: str | None
    sha: str | None


_settled: dict[tuple[str, str | None], Commit] = {}


def settled() -> tuple[Commit, ...]:
    """The commits of all names that were asked for in this process."""
    return tuple(_settled.values())


def settle(*commits: Commit) -> None:
    """Make names stand for these commits in this process, as they do where a key was made."""
    _settled.update({(commit.name, commit.revision): commit for commit in commits})


def commit(name: str, family: str, revision: str | None = None) -> str:
    """The commit that ``name`` stands for, the same one as long as the process lives.

    It is the one in the hub's cache on this machine, which takes no network. Where the cache has
    none, the hub is asked, and the cache keeps the answer. So a network has the weights that its
    key names, even if the authors upload others meanwhile.

    Args:
        family: what a spec of it begins with, such as ``whisper``, or the option that takes it,
            such as ``--model``.
        revision: a branch, a tag or a whole commit; None is the branch ``main``.

    Raises:
        MelmoatError: the hub's client is not installed.
        WeightsError: it cannot be found; says what to do.
    """
    if (known := _settled.get((name, revision))) is None:
        settle(known := Commit(name, revision, _found(name, family, revision)))
    if known.sha is None:
        raise _absent(name, family, revision, "it did not answer when this run began")
    return known.sha


def _found(name: str, family: str, revision: str | None) -> str:
    if revision is not None and _SHA.fullmatch(revision):
        return revision
    with extra("hf", family.capitalize()):
        import huggingface_hub as hub
    try:
        cached = hub.try_to_load_from_cache(name, _SMALL, revision=revision)
        if not isinstance(cached, str):
            place = hub.snapshot_download(name, revision=revision, allow_patterns=[_SMALL])
            cached = str(Path(place) / _SMALL)
    except Exception as error:  # of the hub's client and of whatever carries its requests
        raise _absent(name, family, revision, error) from error
    return Path(cached).parent.name


def _absent(name: str, family: str, revision: str | None, why: object) -> WeightsError:
    reason = " ".join(str(why).split())[:160]
    which = "" if revision is None else f" --revision {revision}"
    at = "" if revision is None else f" at revision {revision}"
    return WeightsError(
        f"{name}{at}: not on the Hugging Face hub, or the hub cannot be reached ({reason}); "
        f"without a network, run `hf download {name}{which} --local-dir FOLDER` where there is one "
        f"and give {family}{' ' if family.startswith('-') else ':'}FOLDER"
    )


def identity(name: str, family: str, revision: str | None = None) -> str:
    """``name`` and its commit, for a key.

    Raises:
        MelmoatError: as of :func:`commit`.
    """
    return f"{name}@{commit(name, family, revision)}"


@dataclass(frozen=True)
class Files:
    """What a name stands for.

    Args:
        weights: one or several files.
        folder: where its settings lie.
        origin: in words, for people.
    """

    weights: tuple[Path, ...]
    folder: Path
    origin: str

    def json(self, name: str) -> dict[str, Any]:
        """A settings file; empty where there is none."""
        path = self.folder / name
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            reason = file_kinds.obstacle(path) or f"not JSON ({error})"
            raise WeightsError(f"{path}: {reason}") from error
        if not isinstance(found, dict):
            raise WeightsError(f"{path}: holds a {type(found).__name__}, expected an object")
        return found


def transformers(what: str) -> ModuleType:
    """The library, which ``what`` needs.

    Raises:
        MelmoatError: it is not installed.
    """
    with extra("hf", what):
        import transformers as library
    module: ModuleType = library
    return module


def folder(name: str, family: str, example: str, revision: str | None = None) -> Path | None:
    """The folder ``name``; None if it can only be a hub name.

    Args:
        family: what a spec of it begins with, such as ``hf-ctc``.
        example: a hub name, for the error.
        revision: what was asked for; a folder has none.

    Raises:
        WeightsError: it is a file, or a path without a folder, or a folder with a revision.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        no_revision(name, revision)
        return path
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise WeightsError(
            f"{name}: no such folder; {family} takes a folder that save_pretrained wrote, or a hub "
            f"name such as {example}"
        )
    return None


def no_revision(name: str, revision: str | None) -> None:
    """Check that files which are no name of the hub have no revision.

    Raises:
        WeightsError: they have one.
    """
    if revision is not None:
        raise WeightsError(
            f"{name}: only names of the Hugging Face hub have revisions; leave out "
            f"revision={revision}"
        )


def snapshot(
    name: str,
    family: str,
    settings: Sequence[str],
    *weights: Sequence[str],
    revision: str | None = None,
    nested: bool = False,
) -> Path:
    """The folder of the hub's ``name`` at its commit (:func:`commit`), downloaded if need be.

    Args:
        family: what a spec of it begins with, such as ``whisper``.
        settings: patterns of the files beside the weights.
        weights: patterns of weights; later ones are for where there are none of the earlier.
        nested: whether files in folders of it count too.

    Raises:
        MelmoatError: the hub's client is not installed.
        WeightsError: not to be had; says what to do.
    """
    sha = commit(name, family, revision)
    with extra("hf", family.capitalize()):
        import huggingface_hub as hub
    for some in weights:
        patterns = [*settings, *some]
        try:
            place = hub.snapshot_download(
                name,
                revision=sha,
                allow_patterns=patterns,
                ignore_patterns=None if nested else ["*/*"],
            )
        except Exception as error:  # as above
            raise _absent(name, family, sha, error) from error
        if any(path for pattern in some for path in Path(place).glob(pattern)):
            return Path(place)
    raise _absent(name, family, sha, "no weights of it came")


def tensors(path: Path) -> Mapping[str, Any]:
    """The tensors of a file: safetensors, or a checkpoint of which nothing is run."""
    if path.suffix == ".bin":
        return read_pickle(path)
    if wrong := file_kinds.obstacle(path):
        raise WeightsError(f"{path}: {wrong}")
    if file_kinds.is_torch(path):
        raise WeightsError(f"{path}: a PyTorch file under this name; call it pytorch_model.bin")
    return load_file(path)


@contextmanager
def quiet(hf: ModuleType, bars: bool) -> Iterator[None]:
    """Turn off transformers' loading reports, because callers check what was loaded; ``bars``
    stay."""
    logging = hf.utils.logging
    verbosity, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    if not bars:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
