"""Reading and writing recognizer weights.

Foreign ones are deepspeech.pytorch checkpoints, V2 dictionaries and V3 Lightning files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from melmoat import weights
from melmoat.models.deepspeech2 import DeepSpeech2, DeepSpeech2Config
from melmoat.text import LABELS
from melmoat.weights import WeightsError


def save(path: Path, model: DeepSpeech2, card: Mapping[str, Any], half: bool = False) -> None:
    """Write ``model`` as safetensors with its config and ``card`` in the header.

    ``half`` stores 16-bit floats: half the file; the published scores are those of the file.
    """
    header = {"architecture": "deepspeech2", "config": asdict(model.config), "card": dict(card)}
    weights.write(path, model, header, half)


def load(path: Path) -> DeepSpeech2:
    """Read a file written by :func:`save`, in eval mode with frozen weights."""
    header = weights.read_header(path)
    try:
        model = DeepSpeech2(DeepSpeech2Config(**header["config"]))
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{path}: not weights of this melmoat ({error!r})") from error
    weights.fill(model, weights.read(path), str(path))
    model.card = header.get("card", {})
    return model


def load_deepspeech_pytorch(
    path: Path | str, pad: Literal["zeros", "reflect"] = "zeros"
) -> DeepSpeech2:
    """Read a deepspeech.pytorch checkpoint (V2 dictionary or V3 Lightning file).

    Sizes are read from the weights; labels and the recurrent type from the file's own settings.

    Raises:
        WeightsError: missing, not a checkpoint, needs code to unpickle, or another network.
    """
    package = weights.read_pickle(Path(path))
    state = package.get("state_dict")
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path}: no 'state_dict' in it; not a deepspeech.pytorch checkpoint")
    state = {str(k).removeprefix("module."): v for k, v in state.items()}
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: its 'state_dict' holds other things than tensors")
    settings = package.get("hyper_parameters") or package
    try:
        config = replace(_config_of(state, settings), pad=pad)
    except KeyError as error:
        raise WeightsError(
            f"{path}: not a deepspeech.pytorch network, {error} is missing"
        ) from None
    except (AttributeError, TypeError, ValueError, IndexError) as error:
        raise WeightsError(f"{path}: settings that cannot be used ({error})") from error
    model = DeepSpeech2(config)
    weights.fill(model, _rename(state), str(path))
    return model


def _config_of(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> DeepSpeech2Config:
    hidden = state["rnns.0.rnn.weight_hh_l0"].shape[1]
    gates = state["rnns.0.rnn.weight_hh_l0"].shape[0] // hidden
    lookahead = next((v for k, v in state.items() if k.startswith("lookahead.")), None)
    audio = settings.get("audio_conf") or settings.get("spect_cfg") or {}
    window = str(audio.get("window", "hamming"))
    if "hamming" not in window:
        raise ValueError(f"window {window!r}; only the published hamming window is supported")
    rate = int(audio.get("sample_rate", 16_000))
    labels = settings.get("labels", LABELS)
    return DeepSpeech2Config(
        hidden=hidden,
        layers=1 + max(int(k.split(".")[1]) for k in state if k.startswith("rnns.")),
        rnn={4: "lstm", 3: "gru", 1: "rnn"}[gates],  # type: ignore[arg-type]
        bidirectional="rnns.0.rnn.weight_ih_l0_reverse" in state,
        lookahead=lookahead.shape[-1] if lookahead is not None else 20,
        channels=len(state["conv.seq_module.0.weight"]),
        labels=labels if isinstance(labels, str) else "".join(labels),
        rate=rate,
        window=int(rate * float(audio.get("window_size", 0.02))),
        hop=int(rate * float(audio.get("window_stride", 0.01))),
        symmetric="audio_conf" in settings,
    )


def _rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published keys to ours."""
    fixed = {
        "conv.seq_module.0.": "convs.0.conv.",
        "conv.seq_module.1.": "convs.0.norm.",
        "conv.seq_module.3.": "convs.1.conv.",
        "conv.seq_module.4.": "convs.1.norm.",
        "lookahead.0.": "lookahead.",
        "fc.0.module.0.": "head_norm.",
        "fc.0.module.1.": "head.",
    }
    renamed = {}
    for key, value in state.items():
        for old, new in fixed.items():
            key = key.replace(old, new) if key.startswith(old) else key
        key = key.replace(".batch_norm.module.", ".norm.")
        if "_reverse" in key:
            key = key.replace(".rnn.", ".back.").removesuffix("_reverse")
        renamed[key.replace(".rnn.", ".ahead.")] = value
    return renamed
