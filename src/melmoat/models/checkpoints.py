"""Reading and writing recognizer weights.

Foreign weights are deepspeech.pytorch checkpoints: V2 dictionaries and V3 Lightning files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from melmoat import unpickling, weights
from melmoat.models.deepspeech2 import DeepSpeech2, DeepSpeech2Config
from melmoat.text import LABELS
from melmoat.weights import WeightsError

HEAD = "fc.0.module.1.weight"  # a row for each label


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

    Sizes are read from the weights; labels and the spectrogram from the file's own settings. The
    blank is the label ``_``, at any index; here it comes first.

    Raises:
        WeightsError: the file is missing, is not a checkpoint, needs code to unpickle, or has
            another network.
    """
    package = weights.read_pickle(Path(path))
    state = package.get("state_dict")
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path}: no 'state_dict' in it; not a deepspeech.pytorch checkpoint")
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: its 'state_dict' holds other things than tensors")
    try:
        state = _current(state)
        settings = unpickling.plain(package.get("hyper_parameters")) or {
            key: unpickling.plain(package[key])
            for key in ("labels", "audio_conf")
            if key in package
        }
        config = _config_of(state, settings)
        labels = _labels(settings, len(state[HEAD]))
    except KeyError as error:
        raise WeightsError(
            f"{path}: not a deepspeech.pytorch network, {error} is missing"
        ) from None
    except (AttributeError, TypeError, ValueError, IndexError, RecursionError) as error:
        raise WeightsError(f"{path}: settings that cannot be used ({error})") from error
    blank = labels.index("_")
    order = [blank, *(i for i in range(len(labels)) if i != blank)]
    state[HEAD] = state[HEAD][order]
    model = DeepSpeech2(replace(config, pad=pad, labels="".join(labels[i] for i in order)))
    weights.fill(model, _rename(state), str(path))
    return model


def _current(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's weights by the names that V2 and V3 give them.

    A module around the network (DataParallel, for example) adds a prefix to each name. Before V2
    the convolutions had no module around them, and the recurrent layers had no biases.
    """
    first = "rnns.0.rnn.weight_hh_l0"
    outer = next((str(k).removesuffix(first) for k in state if str(k).endswith(first)), "")
    weights = {str(k).removeprefix(outer): v for k, v in state.items() if str(k).startswith(outer)}
    weights = {re.sub(r"^conv\.(?=\d)", "conv.seq_module.", k): v for k, v in weights.items()}
    if not any(".rnn.bias_" in key for key in weights):
        matrices = [(k, v) for k, v in weights.items() if ".rnn.weight_" in k]
        weights |= {k.replace("weight_", "bias_"): v.new_zeros(len(v)) for k, v in matrices}
    return weights


def _labels(settings: Mapping[str, Any], outputs: int) -> str:
    """The labels as published: one character per output, with the blank at any index."""
    labels = settings.get("labels", LABELS)
    if not isinstance(labels, str | list) or not all(isinstance(label, str) for label in labels):
        raise TypeError(f"labels must be characters, got {labels!r:.60}")
    several = [label for label in labels if len(label) != 1]
    if several:
        raise ValueError(
            f"labels of several characters or none, such as {several[0]!r}; here each label is one "
            "character, so a model of these cannot be used"
        )
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(f"labels {twice} occur twice")
    if len(labels) != outputs:
        raise ValueError(f"{len(labels)} labels for a network of {outputs} outputs")
    if "_" not in labels:
        raise ValueError(
            f"no '_' among its labels {''.join(labels)!r}, so nothing says which is the blank; put "
            "'_' in its place in 'labels' and save the file again"
        )
    return "".join(labels)


def _config_of(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> DeepSpeech2Config:
    hidden = state["rnns.0.rnn.weight_hh_l0"].shape[1]
    gates = state["rnns.0.rnn.weight_hh_l0"].shape[0] // hidden
    lookahead = next((v for k, v in state.items() if k.startswith("lookahead.")), None)
    audio = settings.get("audio_conf") or settings.get("spect_cfg") or {}
    window = str(audio.get("window", "hamming"))
    if "hamming" not in window:
        raise ValueError(f"window {window!r}; only the published hamming window is supported")
    rate = int(audio.get("sample_rate", 16_000))
    config = DeepSpeech2Config(
        hidden=hidden,
        layers=1 + max(int(k.split(".")[1]) for k in state if k.startswith("rnns.")),
        rnn={4: "lstm", 3: "gru", 1: "rnn"}[gates],  # type: ignore[arg-type]
        bidirectional="rnns.0.rnn.weight_ih_l0_reverse" in state,
        lookahead=lookahead.shape[-1] if lookahead is not None else 20,
        channels=len(state["conv.seq_module.0.weight"]),
        rate=rate,
        window=int(rate * float(audio.get("window_size", 0.02))),
        hop=int(rate * float(audio.get("window_stride", 0.01))),
        symmetric="audio_conf" in settings,
    )
    _check_inputs(config, state["rnns.0.rnn.weight_ih_l0"].shape[1])
    return config


def _check_inputs(config: DeepSpeech2Config, inputs: int) -> None:
    """Check that the sizes of the spectrogram, convolutions and recurrent layers fit."""
    bare = config.channels * (((config.bins - 41) // 2 - 20) // 2 + 1)
    if inputs == bare != config.inputs:
        raise ValueError(
            "a network of release 1, whose convolutions are not padded, which is not built here; "
            "release 2 of deepspeech.pytorch has files for the same corpora, which load"
        )
    if inputs != config.inputs:
        raise ValueError(
            f"a spectrogram of {config.bins} bins makes {config.inputs} inputs of the recurrent "
            f"layers, its weights take {inputs}; its sample_rate or window_size is not what it was "
            "trained with"
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
