"""The same rows whoever does the work, whatever dies meanwhile."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from melmoat.audio import load
from melmoat.bench import executors
from melmoat.bench.cell import Cell, grid
from melmoat.bench.cluster import Ray
from melmoat.bench.executors import EXECUTORS, Executor, Processes
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store
from melmoat.bench.worker import Measured, Unit, Worker
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2, checkpoints
from melmoat.spec import SpecError
from tests.data.speech import tone

Step = Callable[[Cell, float], None]


def ignore(cell: Cell, amount: float) -> None:
    pass


@pytest.fixture
def cells(tmp_path: Path, tiny: DeepSpeech2) -> list[Cell]:
    checkpoints.save(tmp_path / "tiny.safetensors", tiny, {})
    spec = f"deepspeech2:{tmp_path / 'tiny.safetensors'}"
    return grid([spec], ["none", "wgn:snr=20"], ["none", "pgd:norm=snr,db=25,steps=2"], ["demo"])


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def measured(
    folder: Path, cells: list[Cell], executor: Executor, tick: Step = ignore
) -> list[list[dict[str, object]]]:
    store = Store(folder)
    runner = Runner(store, batch=2, limit=5, executor=executor)
    runner.run(cells, tick)
    runner.require_whole(cells)
    kept = [sorted(store.rows(cell), key=lambda row: row["id"]) for cell in cells]
    return [[{**row, "seconds": 0} for row in rows] for rows in kept]


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_two_processes_give_the_same_rows(tmp_path: Path, cells: list[Cell]) -> None:
    alone = measured(tmp_path / "one", cells, EXECUTORS.build("here"))
    total: list[float] = []
    two = EXECUTORS.build("processes:workers=2,threads=1")
    assert measured(tmp_path / "two", cells, two, lambda _, n: total.append(n)) == alone
    assert [len(rows) for rows in alone] == [5, 5, 5, 5]
    assert sum(total) == pytest.approx(20)
    assert not multiprocessing.active_children()


def test_two_spellings_of_one_corpus_are_measured_once(tmp_path: Path, cells: list[Cell]) -> None:
    """With workers that take units ahead, the run took itself for another process."""
    tone(tmp_path / "corpus" / "a.wav")
    tone(tmp_path / "corpus" / "b.wav")
    texts = tmp_path / "corpus" / "transcripts.tsv"
    texts.write_text("id\ttext\tpath\na\tGO\ta.wav\nb\tGO\tb.wav\n")
    specs = [f"tsv:{tmp_path / 'corpus'}", f"tsv:{texts}"]
    twins = grid([cells[0].model], ["none"], ["none"], specs)
    total: list[float] = []

    def ahead(units: Iterable[Unit], tick: Callable[[Unit, float], None]) -> Iterator[Measured]:
        worker = Worker()
        for unit in list(units):
            yield worker.measure(unit, partial(tick, unit))

    first, second = measured(tmp_path / "run", twins, ahead, lambda _, n: total.append(n))
    assert [row["id"] for row in first] == ["a", "b"]
    assert first == second
    assert sum(total) == pytest.approx(4)


@pytest.mark.usefixtures("one_thread")
def test_a_killed_process_costs_no_row(tmp_path: Path, cells: list[Cell]) -> None:
    cells = cells[2:]
    alone = measured(tmp_path / "one", cells, EXECUTORS.build("here"))
    killed: list[int] = []
    total: list[float] = []

    def kill(cell: Cell, amount: float) -> None:
        total.append(amount)
        if not killed:
            child = multiprocessing.active_children()[0]
            child.kill()
            child.join()
            killed.append(child.pid or 0)

    assert measured(tmp_path / "two", cells, Processes(2, 1), kill) == alone
    assert len(killed) == 1
    assert sum(total) == pytest.approx(10)


@pytest.mark.slow
def test_a_unit_that_always_dies_is_noted(
    tmp_path: Path, cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "_serve", dies)
    store = Store(tmp_path / "run")
    Runner(store, batch=1, limit=1, executor=Processes(1, 1)).run(cells[:1], ignore)
    (reason,) = store.failures(cells[0]).values()
    assert "died 3 times (exit code -9)" in reason


CULPRIT = "demo-0001-flite-slt"  # of the first three of the demo corpus the longest
DEADLY = "python:tests.bench.deadly:Deadly"


@pytest.mark.slow
def test_an_utterance_that_ends_its_process_takes_no_other_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("melmoat.bench.executors.TRIES", 1)  # each costs a new process
    (cell,) = grid([DEADLY], ["none"], ["none"], ["demo"])
    store, total = Store(tmp_path / "run"), []
    runner = Runner(store, batch=3, limit=3, executor=Processes(1, 1), choose="spread")
    runner.run([cell], lambda _, amount: total.append(amount))
    asked = {cut.id for cut in runner.cuts(cell)}
    assert {row["id"] for row in store.rows(cell)} == asked - {CULPRIT}
    assert list(store.failures(cell)) == [CULPRIT]
    assert "exit code 3" in store.failures(cell)[CULPRIT]
    assert sum(total) == pytest.approx(3)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_nor_on_a_cluster(tmp_path: Path) -> None:
    (cell,) = grid([DEADLY], ["none"], ["none"], ["demo"])
    store = Store(tmp_path / "run")
    executor = EXECUTORS.build("ray:workers=1,threads=1")
    runner = Runner(store, batch=3, limit=3, executor=executor, choose="spread")
    runner.run([cell], ignore)
    assert len(store.rows(cell)) == 2
    assert list(store.failures(cell)) == [CULPRIT]


def dies(pipe: object, threads: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_audio_comes_back_to_the_driver(tmp_path: Path, cells: list[Cell]) -> None:
    store = Store(tmp_path / "run")
    two = Processes(2, 1)
    Runner(store, batch=1, limit=2, save_audio=True, executor=two).run([cells[3]], ignore)
    for row in store.rows(cells[3]):
        clean, attacked = (
            load(store.folder / "audio" / cells[3].key / f"{row['id']}.{kind}.flac").wav
            for kind in ("clean", "adversarial")
        )
        assert (attacked - clean).norm().item() == pytest.approx(row["l2"], rel=1e-4)


@pytest.mark.slow
def test_a_system_that_cannot_be_built_ends_the_run(tmp_path: Path, cells: list[Cell]) -> None:
    (tmp_path / "tiny.safetensors").write_bytes(b"no weights")
    with pytest.raises(MelmoatError, match=r"tiny\.safetensors"):
        measured(tmp_path / "run", cells, Processes(2, 1))
    assert not multiprocessing.active_children()


def test_ctrl_c_ends_the_children(tmp_path: Path, cells: list[Cell]) -> None:
    def press(cell: Cell, amount: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path / "run", cells, Processes(2, 1), press)
    assert not multiprocessing.active_children()


def test_ctrl_c_does_not_reach_a_child_that_still_imports() -> None:
    with executors._Child(threads=1) as child:
        assert child.process.pid is not None
        os.kill(child.process.pid, signal.SIGINT)
        child.pipe.close()
        assert child.ended() == 0


@pytest.mark.parametrize("spec", ["processes:workers=0", "ray:threads=0", "cloud"])
def test_bad_executors_are_refused(spec: str) -> None:
    with pytest.raises(SpecError):
        EXECUTORS.build(spec)


@pytest.fixture
def cluster() -> Iterator[None]:
    """Two processors on this machine; what a worker logs is not read here."""
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'melmoat[ray]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread", "cluster")
def test_a_ray_cluster_gives_the_same_rows_though_a_worker_dies(
    tmp_path: Path, cells: list[Cell]
) -> None:
    alone = measured(tmp_path / "one", cells, EXECUTORS.build("here"))
    killed: list[int] = []

    def kill(cell: Cell, amount: float) -> None:
        if len(killed) < 2:
            killed.append(ray_worker())
            os.kill(killed[-1], signal.SIGKILL)

    many = measured(tmp_path / "ray", cells, EXECUTORS.build("ray:workers=2,threads=1"), kill)
    assert many == alone
    assert len(set(killed)) == 2


@pytest.mark.usefixtures("one_thread", "cluster")
@pytest.mark.slow
def test_more_workers_than_a_cluster_has_room_for_take_turns(
    tmp_path: Path, cells: list[Cell]
) -> None:
    done = measured(tmp_path / "ray", cells, EXECUTORS.build("ray:workers=4,threads=1"))
    assert [len(rows) for rows in done] == [5] * len(cells)


def test_workers_of_a_cluster_are_as_many_as_its_processors_and_gpus_allow() -> None:
    resources = {"CPU": 32.0, "GPU": 2.0}
    assert Ray(threads=3).places(resources) == 10
    assert Ray(gpus=0.5).places(resources) == 4
    assert Ray(gpus=1).places({"CPU": 8.0}) == 1  # Ray says that it waits for one
    assert Ray(workers=5).places(resources) == 5


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_folder_that_a_node_lacks_is_named(
    tmp_path: Path, cells: list[Cell], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "gone")
    with pytest.raises(MelmoatError, match=r"gone: no such folder on a node"):
        measured(tmp_path / "ray", cells, EXECUTORS.build("ray:workers=1"))


def ray_worker() -> int:
    """The process of one of the actors."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if name.startswith(b"ray::_Remote"):
            return int(folder.name)
    raise AssertionError("no actor")


def test_units_are_taken_only_when_there_is_room(cells: list[Cell]) -> None:
    taken: list[int] = []

    def endless() -> Iterator[Unit]:
        while True:
            taken.append(1)
            yield Unit(cells[0], tuple(Runner(Store(Path()), limit=1).cuts(cells[0])), frozenset())

    done = Processes(2, 1)(endless(), lambda unit, amount: None)
    next(done)
    next(done)
    assert len(taken) <= 4
    done.close()  # type: ignore[attr-defined]
