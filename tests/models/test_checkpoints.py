from pathlib import Path
from typing import Any

import pytest
import torch

from melmoat import models, weights
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models import DeepSpeech2, checkpoints
from melmoat.spec import SpecError
from melmoat.weights import WeightsError
from tests.conftest import tiny_config


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
    with pytest.raises(WeightsError, match=r"differing: \['head\.weight'\]"):
        models.load(f"deepspeech.pytorch:{tmp_path / 'part.pth'}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"audio_conf": {"window": "hann"}}, "only the published hamming window"),
        ({"hyper_parameters": None, "labels": 7}, "settings that cannot be used"),
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
