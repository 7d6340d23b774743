"""Our weights come back as they were; foreign ones are read without running anything."""

import os
import pickle
import resource
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from melmoat import weights
from melmoat.weights import WeightsError


def network(width: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width))


@pytest.mark.parametrize(("half", "error"), [(False, 0.0), (True, 5e-4)])
def test_our_own_files_come_back(tmp_path: Path, half: bool, error: float) -> None:
    module = network()
    weights.write(tmp_path / "a", module, {"architecture": "test", "card": {"n": 1}}, half)
    assert weights.read_header(tmp_path / "a") == {"architecture": "test", "card": {"n": 1}}
    state = weights.read(tmp_path / "a")
    kept = {k: v for k, v in module.state_dict().items() if "num_batches" not in k}
    assert state.keys() == kept.keys()
    for key, value in state.items():
        assert value.dtype == torch.float32
        assert (value - kept[key]).abs().max() <= error * kept[key].abs().max()
    other = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    weights.fill(other, state, "a")
    assert torch.allclose(other[0].weight, module[0].weight, atol=1e-3)  # type: ignore[index]


def test_a_full_disk_keeps_the_old_file_and_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a"
    weights.write(path, network(), {"card": "old"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(WeightsError, match=r"cannot write .* free some space"):
            weights.write(path, network(5_000), {"card": "new"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert weights.read_header(path) == {"card": "old"}
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_it_as_far_as_they_may_read_other_files(tmp_path: Path) -> None:
    weights.write(tmp_path / "a", network(), {})
    (tmp_path / "b").write_text("b")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_half_is_half_the_size(tmp_path: Path) -> None:
    sizes = []
    for half in (False, True):
        weights.write(tmp_path / "a", network(5_000), {}, half)
        sizes.append((tmp_path / "a").stat().st_size)
    assert sizes[1] < 0.52 * sizes[0]


def test_what_melmoat_did_not_write_has_no_header(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(WeightsError, match="no such weights file"):
        weights.read_header(path)
    weights.write(path, network(), {})
    whole = path.read_bytes()
    for content in (b"text", whole.replace(b"melmoat", b"another")):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="not weights that melmoat wrote"):
            weights.read_header(path)


def test_filling_is_exact_and_freezes() -> None:
    module = network()
    state = {k: v + 1 for k, v in module.state_dict().items() if "num_batches" not in k}
    weights.fill(module, state, "a")
    assert all(torch.equal(module.state_dict()[k], v) for k, v in state.items())
    assert not module.training
    assert not any(p.requires_grad for p in module.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"0.bias": None}, r"a: weights do not fit Sequential; differing: \['0\.bias'\]"),
        ({"2.bias": torch.zeros(3)}, r"differing: \['2\.bias'\]"),
        ({"0.bias": torch.zeros(4)}, "size mismatch for 0.bias"),
    ],
)
def test_other_weights_are_refused(changes: dict[str, Any], message: str) -> None:
    state = {**network().state_dict(), **changes}
    with pytest.raises(WeightsError, match=message):
        weights.fill(network(), {k: v for k, v in state.items() if v is not None}, "a")


def test_a_foreign_checkpoint_is_read(tmp_path: Path) -> None:
    package = {"model": {"a": torch.arange(3)}, "steps": 7, "name": "x", "betas": (0.5, 0.9)}
    for old_format in (False, True):
        torch.save(package, tmp_path / "a", _use_new_zipfile_serialization=not old_format)
        found = weights.read_pickle(tmp_path / "a")
        assert found["model"]["a"].tolist() == [0, 1, 2]
        assert {k: v for k, v in found.items() if k != "model"} == {
            k: v for k, v in package.items() if k != "model"
        }


def test_safetensors_by_another_name_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    safetensors.torch.save_file({"a": torch.arange(3)}, path)
    assert weights.read_pickle(path)["a"].tolist() == [0, 1, 2]
    weights.write(path, network(), {})
    with pytest.raises(WeightsError, match=r"melmoat wrote; a recognizer is deepspeech2:.*model"):
        weights.read_pickle(path)


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("where", ["whole", "inside"])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, where: str) -> None:
    mark, path = tmp_path / "executed", tmp_path / "model.pth"
    if where == "whole":
        path.write_bytes(pickle.dumps(Bomb(mark)))
    else:
        torch.save({"state_dict": {}, "hyper_parameters": Bomb(mark)}, path)
    with pytest.raises(WeightsError, match="could run code"):
        weights.read_pickle(path)
    assert not mark.exists()


def test_unreadable_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for missing in (path, tmp_path):
        with pytest.raises(WeightsError, match="no such weights file"):
            weights.read_pickle(missing)
    path.write_text("not weights")
    with pytest.raises(WeightsError, match="not a checkpoint of plain tensors"):
        weights.read_pickle(path)
    torch.save({"a": torch.zeros(99)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(WeightsError, match="not a readable PyTorch checkpoint"):
        weights.read_pickle(path)
    torch.save(torch.zeros(3), path)
    with pytest.raises(WeightsError, match="holds a Tensor, expected a dictionary"):
        weights.read_pickle(path)


def test_onnx_files_are_read_and_broken_ones_refused() -> None:
    onnx = pytest.importorskip("onnx", reason="needs the extra hama or dtln")
    found = {"a": torch.arange(6.0).view(2, 3), "ä.bias": torch.tensor([0.5, -2.0, 3.0])}
    tensors = [onnx.numpy_helper.from_array(x.half().numpy(), name) for name, x in found.items()]
    graph = onnx.helper.make_graph([], "g", [], [], initializer=tensors)
    data = onnx.helper.make_model(graph).SerializeToString()
    read = weights.initializers(data, "x", "dtln")
    assert read.keys() == found.keys()
    assert all(torch.equal(read[name], value) for name, value in found.items())
    with pytest.raises(WeightsError, match="not a whole ONNX file"):
        weights.initializers(data[:-3], "x", "dtln")
