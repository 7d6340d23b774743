"""SpeechT5's files: a folder of transformers, or the hub. Nothing of a pickle is run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from safetensors import SafetensorError

from melmoat import files as file_kinds
from melmoat.audio import RATE
from melmoat.models import hub
from melmoat.models.guards import Guards
from melmoat.models.speecht5 import tokens
from melmoat.models.speecht5.recognizer import SpeechT5
from melmoat.normalisers import Choice, by_name
from melmoat.weights import WeightsError, fill

PUBLISHED = "microsoft/speecht5_asr"
TOKENIZER = "spm_char.model"
EXTRACTOR = "preprocessor_config.json"
SETTINGS = ("config.json", "generation_config.json", EXTRACTOR)
WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")  # where there are no safetensors
IDS = ("pad_token_id", "eos_token_id", "decoder_start_token_id")
KIND = "SpeechT5ForSpeechToText"
EMBEDDINGS = "speecht5.decoder.prenet.embed_tokens.weight"
HEAD = "text_decoder_postnet.lm_head.weight"
# What older files call the two parts of a weight that is a length times a direction.
OLDER = {
    "conv.weight_g": "conv.parametrizations.weight.original0",
    "conv.weight_v": "conv.parametrizations.weight.original1",
}
# Sinusoids, which are computed, and what stands for a frame that training hides.
UNUSED = ("embed_positions.weights", "pos_sinusoidal_embed.weights", "masked_spec_embed")
UNHIDDEN = {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}


@dataclass(frozen=True)
class Files(hub.Files):
    """What a name stands for."""

    @property
    def all(self) -> list[Path]:
        """Everything that a transcript may depend on."""
        beside = (self.folder / name for name in (*SETTINGS, TOKENIZER))
        return [*self.weights, *(path for path in beside if path.is_file())]


@lru_cache(maxsize=16)
def find(name: str, revision: str | None = None) -> Files:
    """The files of ``name``, downloaded if need be.

    Args:
        name: a folder, or a hub name such as ``microsoft/speecht5_asr``.
        revision: a branch, tag or commit of the hub's model.

    Raises:
        WeightsError: not to be had; says what to do.
    """
    if (folder := Path(name).expanduser()).is_dir():
        hub.no_revision(name, revision)
        return _folder(folder, name)
    if folder.is_file():
        reason = file_kinds.obstacle(folder) or f"a file; give the folder, {folder.parent}"
        raise WeightsError(f"{name}: {reason}")
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise WeightsError(f"{name}: no such folder, nor a name on the hub such as {PUBLISHED}")
    beside = [*SETTINGS, TOKENIZER]
    found = hub.snapshot(name, "speecht5", beside, WEIGHTS, PICKLES, revision=revision)
    return _folder(found, f"{name} of the Hugging Face hub")


def _weights(folder: Path, patterns: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(sorted(path for pattern in patterns for path in folder.glob(pattern)))


def _folder(folder: Path, origin: str) -> Files:
    weights = _weights(folder, WEIGHTS) or _weights(folder, PICKLES)
    if not weights or not all((folder / x).is_file() for x in ("config.json", TOKENIZER)):
        raise WeightsError(
            f"{folder}: not a SpeechT5 of transformers; expected config.json, model.safetensors "
            f"(or pytorch_model.bin) and {TOKENIZER}, as save_pretrained of a model and of its "
            "processor write them"
        )
    return Files(weights, folder, origin)


def origin(name: str, revision: str | None = None) -> list[Path]:
    """What a recognizer's transcripts depend on."""
    return find(name, revision).all


def load(
    name: str,
    beam: int,
    compared: Choice = "auto",
    compression_ratio_threshold: float | None = None,
    revision: str | None = None,
) -> SpeechT5:
    """The recognizer that ``name`` stands for; see :func:`find` and :class:`SpeechT5`.

    Raises:
        MelmoatError: transformers is not installed.
        WeightsError: no such weights, or of another network.
        ValueError: a width or a threshold out of range.
    """
    hf = hub.transformers("SpeechT5")
    files = find(name, revision)
    network = _network(hf, files)
    characters = tokens.load(files.folder / TOKENIZER)
    if len(characters.pieces) > network.config.vocab_size:
        raise WeightsError(
            f"{files.folder}: {TOKENIZER} has {len(characters.pieces)} tokens, for "
            f"{network.config.vocab_size} outputs; the files are of different models"
        )
    guards = None
    if compression_ratio_threshold is not None:
        guards = Guards(None, compression_ratio_threshold=compression_ratio_threshold)
    return SpeechT5(
        network,
        tokens.vocabulary(characters, network.config, _longest(files, network.config)),
        _standardise(files),
        None if compared == "auto" else by_name(compared),
        beam,
        files.origin,
        guards,
    )


def _standardise(files: Files) -> bool:
    settings = files.json(EXTRACTOR)
    if (rate := settings.get("sampling_rate", RATE)) != RATE:
        raise WeightsError(
            f"{files.folder}: {EXTRACTOR} says {rate} Hz; only networks of {RATE} Hz are known"
        )
    return bool(settings.get("do_normalize", False))


def _longest(files: Files, config: Any) -> int:
    """Most tokens that are written: ``max_length`` without the one that a text begins with."""
    settings = files.json("config.json") | files.json("generation_config.json")
    found = settings.get("max_length", config.max_text_positions)
    if not isinstance(found, int) or found < 2:
        raise WeightsError(
            f"{files.folder}: max_length in generation_config.json or config.json is {found!r}; "
            "expected a whole number of at least 2"
        )
    room: int = config.max_text_positions
    return min(found, room) - 1


def _network(hf: ModuleType, files: Files) -> Any:
    settings = files.json("config.json")
    if settings.get("model_type") != "speecht5":
        raise WeightsError(
            f"{files.folder}: a {settings.get('model_type')} model, expected a speecht5"
        )
    if KIND not in (settings.get("architectures") or [KIND]):
        raise WeightsError(
            f"{files.folder}: a {settings['architectures'][0]}, which writes no text; expected a "
            f"{KIND}, such as {PUBLISHED}"
        )
    try:
        config = hf.SpeechT5Config(**settings | UNHIDDEN)
        for key in IDS:
            if not isinstance(getattr(config, key), int):
                raise WeightsError(f"{files.folder}: {key} in config.json is not a token")
        network = hf.SpeechT5ForSpeechToText(config)
        state = {k: v.float() for file in files.weights for k, v in hub.tensors(file).items()}
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise WeightsError(f"{files.folder}: it cannot be used ({error})") from error
    state = {_plain(key): value for key, value in state.items() if not key.endswith(UNUSED)}
    # Older releases of transformers keep the sinusoids as weights; they are the network's own.
    state |= {k: v for k, v in network.state_dict().items() if k.endswith(UNUSED)}
    if EMBEDDINGS in state:
        state.setdefault(HEAD, state[EMBEDDINGS])
    fill(network, state, files.origin)
    return network


def _plain(key: str) -> str:
    for older, newer in OLDER.items():
        key = key.replace(older, newer)
    return key
