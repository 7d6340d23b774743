import enum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from melmoat import models, weights
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models import DeepSpeech2, checkpoints
from melmoat.spec import SpecError
from melmoat.text import LABELS
from melmoat.weights import WeightsError
from tests.conftest import tiny_config


class SpectrogramWindow(enum.Enum):
    """As the V3 project has it."""

    hamming = "hamming"


def published(model: DeepSpeech2) -> dict[str, torch.Tensor]:
    """Our weights under the names of deepspeech.pytorch."""
    names = {
        "convs.0.conv.": "conv.seq_module.0.",
        "convs.0.norm.": "conv.seq_module.1.",
        "convs.1.conv.": "conv.seq_module.3.",
        "convs.1.norm.": "conv.seq_module.4.",
        "lookahead.": "lookahead.0.",
        "head_norm.": "fc.0.module.0.",
        "head.": "fc.0.module.1.",
    }
    out = {}
    for key, value in model.state_dict().items():
        key = next((key.replace(a, b) for a, b in names.items() if key.startswith(a)), key)
        if ".back." in key:
            key = key.replace(".back.", ".rnn.") + "_reverse"
        if key.startswith("rnns."):
            key = key.replace(".norm.", ".batch_norm.module.").replace(".ahead.", ".rnn.")
        out[key] = value
    return out


def same(a: Any, b: Any, audio: Audio) -> bool:
    draws = Draws(range(len(audio)))
    return torch.allclose(a.log_probs(audio, draws)[0], b.log_probs(audio, draws)[0], atol=1e-6)


@pytest.mark.parametrize("layout", ["v2", "v3"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rnn": "gru", "layers": 3, "channels": 6},
        {"rnn": "rnn", "hidden": 10},
        {"bidirectional": False, "lookahead": 7},
    ],
    ids=str,
)
def test_foreign_checkpoints_of_any_size(
    tmp_path: Path, ragged: Audio, layout: str, changes: dict[str, Any]
) -> None:
    torch.manual_seed(1)
    model = DeepSpeech2(tiny_config(**changes, symmetric=layout == "v2")).eval()
    labels = model.labels
    package: dict[str, Any] = {"state_dict": published(model)}
    if layout == "v3":
        package["hyper_parameters"] = {"labels": list(labels)}
    else:
        package |= {"labels": labels, "hidden_size": 1, "audio_conf": {"sample_rate": 16_000}}
    torch.save(package, tmp_path / "model.pth")
    loaded = models.load(f"deepspeech.pytorch:{tmp_path / 'model.pth'}")
    assert isinstance(loaded, DeepSpeech2)
    assert loaded.config == model.config
    assert same(loaded, model, ragged)
    assert not any(p.requires_grad for p in loaded.parameters())


def test_windows_are_those_of_the_published_code(tmp_path: Path) -> None:
    """V2 hands librosa ``scipy.signal.hamming``, which is symmetric; V3 names a periodic window.
    Both cut seconds to whole samples."""
    state = published(DeepSpeech2(tiny_config(rate=22_050, window=441, hop=220)))
    settings = {"sample_rate": 22_050, "window_size": 0.02, "window_stride": 0.01}
    for layout, package in {
        "v2": {"audio_conf": settings},
        "v3": {"hyper_parameters": {"spect_cfg": settings}},
    }.items():
        torch.save({"state_dict": state, **package}, tmp_path / "model.pth")
        model = models.load(f"deepspeech.pytorch:{tmp_path / 'model.pth'}")
        assert isinstance(model, DeepSpeech2)
        assert (model.config.window, model.config.hop) == (441, 220)
        mirrored = torch.allclose(model.window, model.window.flip(0), atol=1e-5)
        assert mirrored == (layout == "v2")


@pytest.mark.parametrize("holder", [list, "".join, tuple])
@pytest.mark.parametrize("place", [1, 13, 28])
def test_the_blank_may_stand_anywhere(
    tmp_path: Path, tiny: DeepSpeech2, ragged: Audio, holder: Any, place: int
) -> None:
    labels = LABELS[1 : place + 1] + "_" + LABELS[place + 1 :]
    state = published(tiny)
    rows = [LABELS.index(label) for label in labels]
    state["fc.0.module.1.weight"] = state["fc.0.module.1.weight"][rows]
    conf = {"audio_conf": {"sample_rate": 16_000}}
    torch.save({"state_dict": state, "labels": holder(labels), **conf}, tmp_path / "moved.pth")
    torch.save({"state_dict": published(tiny), "labels": LABELS, **conf}, tmp_path / "first.pth")
    moved, first = (
        models.load(f"deepspeech.pytorch:{tmp_path / n}.pth") for n in ("moved", "first")
    )
    draws, texts = Draws(range(3)), ["GO ON", "A", ""]
    assert torch.equal(moved.loss(ragged, texts, draws), first.loss(ragged, texts, draws))
    assert moved.transcribe(ragged, draws) == first.transcribe(ragged, draws)
    assert any(moved.transcribe(ragged, draws))
    assert isinstance(moved, DeepSpeech2)
    assert moved.labels == "_" + labels.replace("_", "")


def test_settings_of_the_v3_trainer(tmp_path: Path, ragged: Audio) -> None:
    """Lightning keeps OmegaConf's objects, with members of the project's own enums in them."""
    omegaconf = pytest.importorskip("omegaconf", reason="only writes what is read here")
    model = DeepSpeech2(tiny_config(rate=8_000, window=200, hop=80, symmetric=False)).eval()
    spect = {"sample_rate": 8_000, "window_size": 0.025, "window_stride": 0.01}
    hyper = {
        "labels": omegaconf.OmegaConf.create(list(model.labels)),
        "spect_cfg": omegaconf.OmegaConf.create({**spect, "window": SpectrogramWindow.hamming}),
        "model_cfg": omegaconf.OmegaConf.create({"hidden_size": 1}),
    }
    trainer = {
        "callbacks": {SpectrogramWindow: {"best_score": np.float64(3), "dirpath": tmp_path}},
        "hparams_type": omegaconf.DictConfig,
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1)}}, "param_groups": []}],
    }
    path = tmp_path / "epoch=1.ckpt"
    for hyper_parameters in (hyper, omegaconf.OmegaConf.create(hyper)):
        package = {"state_dict": published(model), "hyper_parameters": hyper_parameters, **trainer}
        torch.save(package, path)
        loaded = models.load(f"deepspeech.pytorch:path={path}")
        assert isinstance(loaded, DeepSpeech2)
        assert loaded.config == model.config
        draws = Draws(range(3))
        slow = Audio(ragged.wav, ragged.lengths, 8_000)
        assert torch.equal(loaded.log_probs(slow, draws)[0], model.log_probs(slow, draws)[0])


@pytest.mark.parametrize("outer", ["module.", "model.", "model.module."])
def test_weights_inside_another_module(
    tmp_path: Path, tiny: DeepSpeech2, ragged: Audio, outer: str
) -> None:
    state = {f"{outer}{k}": v for k, v in published(tiny).items()}
    torch.save({"state_dict": state | {"criterion.x": torch.zeros(1)}}, tmp_path / "a.pth")
    loaded = models.load(f"deepspeech.pytorch:{tmp_path / 'a.pth'}")
    assert same(loaded, tiny, ragged)


def test_keys_before_v2(tmp_path: Path, tiny: DeepSpeech2, ragged: Audio) -> None:
    """No module around the convolutions and no biases in the recurrent layers, which are zeros."""
    for key, value in tiny.state_dict().items():
        if "rnns" in key and "bias_" in key:
            value.zero_()
    state = {k.replace(".seq_module.", "."): v for k, v in published(tiny).items()}
    state = {k: v for k, v in state.items() if ".rnn.bias_" not in k}
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    assert same(models.load(f"deepspeech.pytorch:{tmp_path / 'a.pth'}"), tiny, ragged)
    state["rnns.0.rnn.weight_ih_l0"] = torch.zeros(4 * 24, 4 * 21)
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    with pytest.raises(
        WeightsError, match=r"release 1, whose convolutions are not padded.*release 2"
    ):
        models.load(f"deepspeech.pytorch:{tmp_path / 'a.pth'}")


def test_one_missing_bias_is_no_old_file(tmp_path: Path, tiny: DeepSpeech2) -> None:
    state = published(tiny)
    del state["rnns.1.rnn.bias_ih_l0"]
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"differing: \['rnns\.1\.ahead\.bias_ih_l0'\]"):
        models.load(f"deepspeech.pytorch:{tmp_path / 'a.pth'}")


def test_our_own_files_come_back(tmp_path: Path, tiny: DeepSpeech2, ragged: Audio) -> None:
    path = tmp_path / "a.safetensors"
    checkpoints.save(path, tiny, {"origin": "a test"})
    assert same(models.load(f"deepspeech2:{path}"), tiny, ragged)
    assert weights.read_header(path)["card"] == {"origin": "a test"}


def test_weights_of_something_else_are_refused(tmp_path: Path, tiny: DeepSpeech2) -> None:
    path = tmp_path / "a.safetensors"
    for config in ({"hidden": 24, "window_seconds": 3}, None):
        weights.write(path, tiny, {"config": config} if config else {})
        with pytest.raises(WeightsError, match="not weights of this melmoat"):
            models.load(f"deepspeech2:{path}")


def test_missing_foreign_and_ill_fitting_weights(tmp_path: Path, tiny: DeepSpeech2) -> None:
    for spec in ("deepspeech2", "deepspeech.pytorch"):
        with pytest.raises(WeightsError, match="no such weights file"):
            models.load(f"{spec}:{tmp_path / 'none'}")
    torch.save({"weights": {}}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="foreign checkpoints have specs of their own"):
        models.load(f"deepspeech2:{tmp_path / 'other.pth'}")
    with pytest.raises(WeightsError, match="no 'state_dict'"):
        models.load(f"deepspeech.pytorch:{tmp_path / 'other.pth'}")
    state = published(tiny)
    del state["fc.0.module.1.weight"]
    torch.save({"state_dict": state}, tmp_path / "part.pth")
    with pytest.raises(WeightsError, match=r"'fc\.0\.module\.1\.weight' is missing"):
        models.load(f"deepspeech.pytorch:{tmp_path / 'part.pth'}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"audio_conf": {"window": "hann"}}, "only the published hamming window"),
        ({"hyper_parameters": None, "labels": 7}, "labels must be characters, got 7"),
        ({"labels": ["_", "ch", *"abc"]}, "labels of several characters or none, such as 'ch'"),
        ({"labels": LABELS[:-1]}, "28 labels for a network of 29 outputs"),
        ({"labels": LABELS.replace("Z", "A")}, r"labels \['A'\] occur twice"),
        ({"labels": LABELS.replace("_", "#")}, r"no '_' among its labels .* put '_' in its place"),
        ({"hyper_parameters": {"spect_cfg": {"sample_rate": 8_000}}}, "is not what it was trained"),
        ({"state_dict": {"rnns.0.rnn.weight_hh_l0": 3}}, "other things than tensors"),
        ({"state_dict": {"conv": torch.zeros(1)}}, r"'rnns\.0\.rnn\.weight_hh_l0' is missing"),
    ],
)
def test_unusable_settings_say_so(
    tmp_path: Path, tiny: DeepSpeech2, changes: dict[str, Any], message: str
) -> None:
    torch.save({"state_dict": published(tiny), **changes}, tmp_path / "model.pth")
    with pytest.raises(WeightsError, match=message):
        models.load(f"deepspeech.pytorch:{tmp_path / 'model.pth'}")


def test_a_bad_beam_is_a_spec_error(tmp_path: Path, tiny: DeepSpeech2) -> None:
    checkpoints.save(tmp_path / "a.safetensors", tiny, {})
    with pytest.raises(SpecError, match="at least 1"):
        models.load(f"deepspeech2:{tmp_path / 'a.safetensors'},beam=-1")
