"""Reading a CTC recognizer of Hugging Face transformers from a folder or the hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from melmoat import files
from melmoat.models import hub
from melmoat.models.hf_ctc import CARD, HFCTC
from melmoat.models.hf_pieces import FEATURES, HFPieces
from melmoat.weights import WeightsError

FAMILY = "hf-ctc"
SETTINGS = ("*.json", "*.txt", "*.model")  # tokenizers have files of many names
WEIGHTS = ("model.safetensors", "model-*-of-*.safetensors")  # not those of other precisions
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")  # where there are no safetensors


def load(name: str, language: str | None = None, revision: str | None = None) -> HFCTC | HFPieces:
    """Read a folder of ``save_pretrained``, or a model of the hub; the weights are frozen.

    Args:
        name: a folder or a hub name such as ``facebook/wav2vec2-base-960h``.
        language: adapter of a multilingual MMS model, such as ``fra``.
        revision: a branch, tag or commit of the hub's model.

    Raises:
        MelmoatError: transformers is not installed.
        WeightsError: the folder or a file is missing, the hub cannot be reached, or it is not a
            complete CTC model.
    """
    hf = hub.transformers("a Hugging Face model")
    source = _folder(name, revision)
    where = source or _downloaded(name, language, revision)
    chosen: dict[str, Any] = {} if language is None else {"target_lang": language}
    with hub.quiet(hf, bars=source is None):
        config = _read(hf.AutoConfig, where, name, "a config.json")
        if type(config) not in hf.MODEL_FOR_CTC_MAPPING:
            raise WeightsError(
                f"{name} is a {config.model_type} model, which has no CTC form; hf-ctc takes "
                "wav2vec2, hubert, wavlm and the like"
            )
        if language is not None and getattr(config, "adapter_attn_dim", None) is None:
            raise WeightsError(
                f"{name} has no adapters; leave out language={language}, which is for MMS models"
            )
        extractor = _read(hf.AutoFeatureExtractor, where, name, "a preprocessor_config.json")
        tokenizer = _read(hf.AutoTokenizer, where, name, "a vocab.json", **chosen)
        options = {"dtype": torch.float32, "output_loading_info": True}
        if chosen:  # the head has the size of the language's alphabet
            chosen["ignore_mismatched_sizes"] = True
        network, report = _read(
            hf.AutoModelForCTC, where, name, "weights", config=config, **options, **chosen
        )

    def given(key: str) -> bool:  # by the language's adapter, which is read after the weights
        return bool(chosen) and (key.startswith("lm_head.") or ".adapter_layer." in key)

    other = sorted(key for key, *_ in report["mismatched_keys"] if not given(key))
    if other:
        raise WeightsError(
            f"{name}: the weights of {', '.join(other[:4])} have other sizes than its config.json "
            "says; the two are of different models"
        )
    absent = (k for k in report["missing_keys"] if not k.endswith("masked_spec_embed"))
    missing = sorted(key for key in absent if not given(key))
    if missing:
        raise WeightsError(
            f"{name} is not whole or has no trained CTC head: {', '.join(missing[:4])} are not in "
            "its weights. What was only pretrained has none; take a model that was fine-tuned for "
            "speech recognition"
        )
    try:
        kind = HFPieces if config.model_type in FEATURES else HFCTC
        model: HFCTC | HFPieces = kind(network, extractor, tokenizer)
    except WeightsError as error:
        raise WeightsError(f"{name}: {error}") from error
    if source and (source / CARD).is_file():
        try:
            model.card = json.loads((source / CARD).read_text(encoding="utf-8"))
        except ValueError as error:
            raise WeightsError(
                f"{source / CARD}: not a card ({error}); delete it, it only says where the weights "
                "come from"
            ) from error
    model.eval().requires_grad_(False)
    return model


def origin(name: str, revision: str | None = None) -> tuple[list[Path], str]:
    """The files of a folder, or the hub name and its commit: the transcripts depend on these."""
    if (source := _folder(name, revision)) is None:
        return [], hub.identity(name, FAMILY, revision)
    return _files(source), "folder"


def _files(folder: Path) -> list[Path]:
    kinds = (*SETTINGS, "*.safetensors", "*.bin")
    return sorted(p for kind in kinds for p in folder.glob(kind) if p.name != CARD)


def _folder(name: str, revision: str | None) -> Path | None:
    return hub.folder(name, FAMILY, "facebook/wav2vec2-base-960h", revision)


def _downloaded(name: str, language: str | None, revision: str | None) -> Path:
    """The files of one commit. By the name alone, transformers would read the adapter of a language
    from the newest."""
    beside = [*SETTINGS, *([] if language is None else [f"adapter.{language}.*"])]
    return hub.snapshot(name, FAMILY, beside, WEIGHTS, PICKLES, revision=revision)


def _read(kind: Any, where: Path, name: str, needs: str, **options: Any) -> Any:
    """``kind.from_pretrained``; a failure becomes one sentence with the remedy."""
    try:
        return kind.from_pretrained(where, trust_remote_code=False, **options)
    except Exception as error:  # transformers answers with OSError, ValueError, KeyError and more
        reason = " ".join(str(error).split())[:200]
        if "target_lang" in options:
            raise WeightsError(
                f"{name} cannot be read with language={options['target_lang']}: {reason}; it "
                "takes the codes in its vocab.json that have an adapter.CODE.safetensors beside it"
            ) from error
        for path in _files(where):  # transformers only says that it cannot read them
            if wrong := files.obstacle(path):
                raise WeightsError(f"{path}: {wrong}") from error
        raise WeightsError(
            f"{name} is no whole CTC model, it needs {needs} ({reason}); save model, feature "
            "extractor and tokenizer in a folder with save_pretrained"
        ) from error
