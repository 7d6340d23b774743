"""Networks of the Hugging Face hub: a key names the commit that is loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from melmoat import defenses, models
from melmoat.analysis.audit import audit
from melmoat.analysis.results import read_results
from melmoat.bench.cell import Cell, identity
from melmoat.bench.executors import Processes
from melmoat.bench.provenance import versions
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store
from melmoat.bench.worker import Worker
from melmoat.defenses import DEFENSES
from melmoat.models import MODELS, hub
from melmoat.weights import WeightsError
from tests.models.hub_cache import Cache, another_process

pytest.importorskip("transformers", reason="needs the extra hf")

NAME = "owner/network"
OLD, NEW = "a" * 40, "b" * 40
DEFENSE = "neural-codec"


def _ctc(folder: Path, seed: int) -> None:
    from tests.models.tiny_hf import tiny_hf

    folder.mkdir()
    model = tiny_hf("wav2vec2", folder)
    model.network.lm_head.bias.data[5 + seed] += 50  # it writes one letter
    model.save(folder)


def _codec(folder: Path, seed: int) -> None:
    from tests.defenses.tiny_codecs import network

    made = network("dac")
    made.quantizer.quantizers[0].codebook.weight += seed
    made.save_pretrained(folder)


def _moonshine(folder: Path, seed: int) -> None:
    from tests.models import tiny_moonshine

    tiny_moonshine.save(folder, tiny_moonshine.network(seed))


def _speecht5(folder: Path, seed: int) -> None:
    from tests.models import tiny_speecht5

    tiny_speecht5.save(folder, tiny_speecht5.network(seed))


def _whisper(folder: Path, seed: int) -> None:
    from tests.models import tiny_whisper

    tiny_whisper.save(folder, tiny_whisper.network(seed))


SAVED: dict[str, Callable[[Path, int], None]] = {
    "hf-ctc": _ctc,
    DEFENSE: _codec,
    "moonshine": _moonshine,
    "speecht5": _speecht5,
    "whisper": _whisper,
}
families = pytest.mark.parametrize("family", SAVED)


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    with another_process():
        yield


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    return Cache(tmp_path / "cache", monkeypatch)


@pytest.fixture
def published(cache: Cache, tmp_path: Path) -> Callable[[str], Cache]:
    """Puts two commits of a family's network into the cache; the newest is ``NEW``."""

    def publish(family: str) -> Cache:
        for sha, seed in ((OLD, 1), (NEW, 2)):
            SAVED[family](tmp_path / sha, seed)
            cache.add(NAME, sha, tmp_path / sha)
        return cache

    return publish


def key(family: str, options: str = "") -> str:
    return identity((DEFENSES if family == DEFENSE else MODELS).parse(f"{family}:{NAME}{options}"))


def weights(family: str, name: str = NAME, options: str = "") -> dict[str, torch.Tensor]:
    spec = f"{family}:{name}{options}"
    made: Any = defenses.build(spec).codec if family == DEFENSE else models.load(spec)  # type: ignore[attr-defined]
    assert isinstance(made, nn.Module)
    return made.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@families
class TestEveryFamily:
    def test_the_key_is_that_of_the_newest_commit(
        self, family: str, published: Callable[[str], Cache]
    ) -> None:
        cache, found = published(family), []
        for sha in (NEW, NEW, OLD, NEW):
            cache.point(NAME, sha)
            with another_process():
                found.append(key(family))
        assert found[0] == found[1] == found[3] != found[2]

    def test_what_is_loaded_is_what_the_key_names(
        self, family: str, published: Callable[[str], Cache], tmp_path: Path
    ) -> None:
        cache = published(family)
        cache.point(NAME, OLD)
        first = key(family)
        cache.point(NAME, NEW)  # while it runs
        assert same(weights(family), weights(family, str(tmp_path / OLD)))
        assert key(family) == first
        with another_process():
            assert key(family) != first
            assert same(weights(family), weights(family, str(tmp_path / NEW)))

    def test_a_revision_chooses_a_commit(
        self, family: str, published: Callable[[str], Cache], tmp_path: Path
    ) -> None:
        cache = published(family)
        cache.point(NAME, OLD, "v1")
        newest = key(family)
        pinned = key(family, f",revision={OLD}")
        assert pinned != newest
        assert pinned == key(family, ",revision=v1")
        assert newest == key(family, f",revision={NEW}") == key(family, ",revision=main")
        for revision in (OLD, "v1"):
            found = weights(family, options=f",revision={revision}")
            assert same(found, weights(family, str(tmp_path / OLD)))
            assert not same(found, weights(family))

    def test_a_folder_has_no_revision(self, family: str, tmp_path: Path) -> None:
        SAVED[family](tmp_path / "folder", 1)
        with pytest.raises(WeightsError, match=r"only names of .* leave out revision=v1"):
            weights(family, str(tmp_path / "folder"), ",revision=v1")

    def test_without_a_network_an_unknown_name_has_no_key(self, family: str, cache: Cache) -> None:
        for options, which in (("", ""), (",revision=v1", " at revision v1")):
            with pytest.raises(WeightsError, match=f"{NAME}{which}: .*run `hf download {NAME}.* "):
                key(family, options)


def test_a_key_needs_no_weights_where_the_commit_is_given(cache: Cache) -> None:
    first = key("hf-ctc", f",revision={OLD}")
    assert first == f"hf-ctc@{NAME}@{OLD}"
    assert key(DEFENSE, f",revision={NEW}") == f"{DEFENSE}@{NAME}@{NEW}"
    with pytest.raises(WeightsError, match=f"hf download {NAME} --revision {OLD} --local-dir"):
        models.load(f"hf-ctc:{NAME},revision={OLD}")


def test_what_the_hub_answers_is_kept(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    _ctc(tmp_path / "files", 1)
    asked = []

    def download(name: str, revision: str | None = None, **options: Any) -> str:
        asked.append((revision, options["allow_patterns"]))
        if len(asked) == 1:  # the client also notes which commit the branch is
            cache.add(name, NEW, tmp_path / "files")
        return str(cache.folder / f"models--{name.replace('/', '--')}" / "snapshots" / NEW)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert key("hf-ctc") == f"hf-ctc@{NAME}@{NEW}"
    with another_process():
        assert key("hf-ctc") == f"hf-ctc@{NAME}@{NEW}"
    assert asked == [(None, ["config.json"])]
    models.load(f"hf-ctc:{NAME}")
    assert [revision for revision, _ in asked[1:]] == [NEW]


def test_an_error_names_the_commit_whose_files_are_missing(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "config.json").write_text("{}")
    cache.add(NAME, OLD, tmp_path / "files")
    first = key("hf-ctc")
    with pytest.raises(WeightsError, match=rf"no weights of it came.*hf download {NAME}"):
        models.load(f"hf-ctc:{NAME}")
    hub.settle(hub.Commit(NAME, None, NEW))  # as told by the process that made a key
    with pytest.raises(WeightsError, match=f"hf download {NAME} --revision {NEW} --local-dir"):
        models.load(f"hf-ctc:{NAME}")
    assert key("hf-ctc") == first.replace(OLD, NEW)


def test_the_adapter_of_a_language_is_of_the_same_commit(cache: Cache, tmp_path: Path) -> None:
    import transformers
    from safetensors.torch import save_file

    from tests.models.tiny_hf import extractor, network, tokenizer

    config = {**network("wav2vec2-large").config.to_dict(), "adapter_attn_dim": 4}
    made = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(**config))
    letters = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "a": 5}
    for sha, added in ((OLD, 1.0), (NEW, 2.0)):
        files = tmp_path / sha
        made.save_pretrained(files)
        extractor().save_pretrained(files)
        tokenizer(tmp_path, {"fra": letters}, target_lang="fra").save_pretrained(files)
        state = {k: v + added for k, v in made._get_adapters().items()}
        state |= {k: state[k][:6].clone() for k in ("lm_head.weight", "lm_head.bias")}
        save_file(state, files / "adapter.fra.safetensors", metadata={"format": "pt"})
        cache.add(NAME, sha, files)
    for options, sha in (("", NEW), (f",revision={OLD}", OLD)):
        found, expected = (
            weights("hf-ctc", name, f",language=fra{more}")
            for name, more in ((NAME, options), (str(tmp_path / sha), ""))
        )
        assert same(found, expected)


def _measure(store: Store, cell: Cell, **options: Any) -> list[str]:
    """The transcripts of two utterances."""
    runner = Runner(store, limit=2, **options)
    store.begin([cell], runner.asked())
    runner.run([cell], lambda cell, amount: None)
    return [row["benign"] for row in store.rows(cell)]


class TestRuns:
    @pytest.fixture
    def cell(self, published: Callable[[str], Cache]) -> Cell:
        published("hf-ctc").point(NAME, OLD)
        return Cell(f"hf-ctc:{NAME}", "none", "none", "demo")

    def test_a_worker_loads_what_the_key_names(
        self, cell: Cell, cache: Cache, tmp_path: Path
    ) -> None:
        """Also where the cache has another commit by then, as on another machine."""
        (unit, *_) = Runner(Store(tmp_path / "run"), limit=1).missing(cell)
        cache.point(NAME, NEW)
        with another_process():
            worker = Worker()
            assert worker.measure(unit).rows
            model: Any = worker.system(cell)[0]
            assert same(model.state_dict(), weights("hf-ctc", str(tmp_path / OLD)))

    def test_so_do_other_processes(self, cell: Cell, cache: Cache, tmp_path: Path) -> None:
        _ = cell.key
        cache.point(NAME, NEW)
        apart = _measure(Store(tmp_path / "apart"), cell, executor=Processes(1))
        assert apart == _measure(Store(tmp_path / "here"), cell)
        with another_process():
            assert _measure(Store(tmp_path / "later"), replace(cell)) != apart

    def test_another_commit_is_measured_anew(
        self, cell: Cell, cache: Cache, tmp_path: Path
    ) -> None:
        """As with another file of weights."""
        store = Store(tmp_path / "run")
        first = _measure(store, cell)
        assert versions()[NAME] == OLD
        assert store.run()["versions"][NAME] == OLD
        cache.point(NAME, NEW)
        with another_process():
            other = replace(cell)
            assert _measure(store, other) != first
            assert store.run()["versions"][NAME] == NEW
        assert [row["benign"] for row in store.rows_of(cell.key)] == first
        assert list(store.keys().values()) == [other.key] != [cell.key]

    def test_a_run_is_read_where_its_networks_are_not(
        self, cell: Cell, cache: Cache, tmp_path: Path
    ) -> None:
        store, cell = Store(tmp_path / "run"), replace(cell, defense="rs", attack="noise:db=20")
        _measure(store, cell)
        store.summarise()
        before = json.loads((store.folder / "run.json").read_text())
        shutil.rmtree(cache.folder)
        with another_process():
            (result,) = read_results(store.folder)
            assert len(result.rows) == 2
            assert len(audit([result])) == 1
            with pytest.raises(WeightsError, match="the hub cannot be reached"):
                _measure(store, replace(cell))
        assert json.loads((store.folder / "run.json").read_text()) == before


def test_whisper_of_a_package_is_that_for_workers_too(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the hub did not answer when the key was made, and answers a worker."""
    from melmoat.models.whisper import loading
    from tests.models import tiny_whisper

    name, carried = "openai/whisper-tiny.en", tmp_path / "package"
    tiny_whisper.save_ct2(carried, tiny_whisper.network())
    monkeypatch.setitem(loading.PACKAGES, "tiny.en", str(carried))
    assert loading.find("tiny.en").folder == carried
    told = hub.settled()
    assert told == (hub.Commit(name, None, None),)
    _whisper(tmp_path / "files", 1)
    cache.add(name, NEW, tmp_path / "files")
    with another_process():
        hub.settle(*told)
        assert loading.find("tiny.en").folder == carried
    with another_process():
        assert loading.find("tiny.en").folder.name == NEW
        with pytest.raises(WeightsError, match="at revision v1"):
            loading.find("tiny.en", "v1")
