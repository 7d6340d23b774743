import json
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from lhotse import MonoCut

from melmoat import attacks
from melmoat.attacks.base import Objective
from melmoat.attacks.budgets import Linf
from melmoat.audio import Audio, load
from melmoat.bench import audio_store, worker
from melmoat.bench.cell import Cell, grid
from melmoat.bench.estimate import estimate
from melmoat.bench.fresh import fresh_draws
from melmoat.bench.judge import JudgeError, judge, rows_of
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store, StoreError
from melmoat.bench.worker import Measured, Unit, Worker, choose, plan
from melmoat.data import load as load_corpus
from melmoat.defenses import FrontEnd
from melmoat.draws import Draws
from melmoat.metrics.distortion import snr_db
from melmoat.models import DeepSpeech2, checkpoints
from melmoat.models.base import Recognizer
from tests.data.speech import tone

TRUTH = ["GO ON", "ENTER SIX", "A"]
SEEDS = (1, 2, 3)


def ignore(cell: Cell, amount: float) -> None:
    pass


@pytest.fixture
def spec(tmp_path: Path, tiny: DeepSpeech2) -> str:
    checkpoints.save(tmp_path / "tiny.safetensors", tiny, {})
    return f"deepspeech2:{tmp_path / 'tiny.safetensors'}"


def without_time(store: Store, cell: Cell) -> list[dict[str, object]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in store.rows(cell)]


def test_the_judge_measures_16_bit_audio_within_the_budget(
    tiny: DeepSpeech2, ragged: Audio
) -> None:
    attack = attacks.build("pgd:norm=snr,db=25,steps=2,step=0.7")
    out = judge(tiny, ragged, attack, TRUTH, Draws(SEEDS))
    rows = rows_of(["a", "b", "c"], TRUTH, attack, out)
    assert torch.equal(out.adversarial.wav, out.adversarial.quantized().wav)
    assert out.transcripts == tiny.transcribe(out.adversarial, Draws(SEEDS))
    for row in rows:
        assert 25.0 <= row["snr_db"] < 25.1
        assert row["reached"] == (row["adversarial"] != row["benign"])
        assert row["steps"] == 2


def test_the_judges_draws_are_not_the_attackers(tiny: DeepSpeech2, ragged: Audio) -> None:
    seen: list[tuple[str, tuple[int, ...]]] = []

    class Spy:
        rate = tiny.rate

        def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
            seen.append(("judge", draws.seeds))
            return tiny.transcribe(audio, draws)

        def loss(self, audio: Audio, texts: list[str], draws: Draws) -> torch.Tensor:
            seen.append(("attacker", draws.seeds))
            return tiny.loss(audio, texts, draws)

    judge(Spy(), ragged, attacks.build("pgd:db=25,steps=3"), TRUTH, Draws(SEEDS))
    assert [who for who, _ in seen] == ["judge", "attacker", "attacker", "attacker", "judge"]
    assert len({seeds for _, seeds in seen}) == 5


class Cheat(Objective):
    """Claims a small budget and changes everything."""

    budget = Linf(0.001)
    evaluations = 0

    def __call__(self, model: Recognizer, audio: Audio, goal: object, draws: Draws) -> Audio:
        return Audio(audio.wav[:, :-10], audio.lengths - 10, audio.rate)


def test_an_attack_that_changes_lengths_is_caught(tiny: DeepSpeech2, ragged: Audio) -> None:
    with pytest.raises(JudgeError, match="length"):
        judge(tiny, ragged, Cheat(), TRUTH, Draws(SEEDS))


class Loud(Cheat):
    def __call__(self, model: Recognizer, audio: Audio, goal: object, draws: Draws) -> Audio:
        return audio.with_wav(audio.wav + 0.5)


def test_an_attack_that_leaves_its_budget_is_caught(tiny: DeepSpeech2, ragged: Audio) -> None:
    with pytest.raises(JudgeError, match=r"500\.0000 times its budget"):
        judge(tiny, ragged, Loud(), TRUTH, Draws(SEEDS))


@pytest.mark.parametrize("size", [0.0005, 0.5])
def test_what_an_attack_writes_into_the_clean_audio_is_a_perturbation(
    tiny: DeepSpeech2, ragged: Audio, size: float
) -> None:
    """It was taken for clean, so that no budget held it and its SNR was that of rounding."""

    class InPlace(Cheat):
        def __call__(self, model: Recognizer, audio: Audio, goal: object, draws: Draws) -> Audio:
            wav = audio.wav
            wav += size
            return audio.with_wav(wav)

    attack = InPlace()
    if size > 0.001:
        with pytest.raises(JudgeError, match="times its budget"):
            judge(tiny, ragged, attack, TRUTH, Draws(SEEDS))
        return
    out = judge(tiny, ragged, attack, TRUTH, Draws(SEEDS))
    assert torch.equal(out.clean.wav, ragged.quantized().wav)
    changed = (out.adversarial.wav - out.clean.wav)[ragged.mask]
    assert torch.allclose(changed, torch.tensor(size), atol=1.6e-5)


def test_a_defense_that_writes_to_what_it_hears_is_judged_by_what_it_was_given(
    tiny: DeepSpeech2, ragged: Audio
) -> None:
    """Each pass made the next one's audio quieter, and the SNR that of the defense."""

    class Quieter(FrontEnd):
        def __call__(self, audio: Audio, draws: Draws) -> Audio:
            audio.wav.mul_(0.1)
            return audio

    attack = attacks.build("noise:db=20")
    out = judge(Quieter().wrap(tiny), ragged, attack, TRUTH, Draws(SEEDS))
    assert torch.equal(out.clean.wav, ragged.quantized().wav)
    assert snr_db(out.clean, out.adversarial).tolist() == pytest.approx([20.0] * 3, abs=0.1)
    before = out.adversarial.wav.clone()
    heard = fresh_draws(Quieter().wrap(tiny), out, TRUTH, Draws(SEEDS), 3)
    assert torch.equal(out.adversarial.wav, before)
    assert all(draw["text"] == text for row, text in zip(heard, out.transcripts, strict=True)
               for draw in (*row["choosing"], *row["judging"]))  # fmt: skip


class Broken(Cheat):
    def __call__(self, model: Recognizer, audio: Audio, goal: object, draws: Draws) -> Audio:
        return audio.with_wav(audio.wav * torch.nan)


def test_an_attack_that_returns_nan_is_caught(tiny: DeepSpeech2, ragged: Audio) -> None:
    with pytest.raises(JudgeError, match="NaN or Inf"):
        judge(tiny, ragged, Broken(), TRUTH, Draws(SEEDS))


def test_more_utterances_add_to_the_rows_there_are(tmp_path: Path, spec: str) -> None:
    cell, store = cells_of(spec)[0], Store(tmp_path / "run")
    Runner(store, batch=3, limit=4).run([cell], ignore)
    few = store.rows(cell)
    Runner(store, batch=3, limit=8).run([cell], ignore)
    assert store.rows(cell)[:4] == few
    assert len({row["id"] for row in store.rows(cell)}) == len(store.rows(cell)) == 8


def test_targets_and_truth(tiny: DeepSpeech2, ragged: Audio) -> None:
    attack = attacks.build("pgd:db=10,steps=1,target=help me")
    out = judge(tiny, ragged, attack, TRUTH, Draws(SEEDS))
    rows = rows_of(["a", "b", "c"], TRUTH, attack, out)
    assert {row["target"] for row in rows} == {"HELP ME"}
    assert rows[0]["counts"]["target"]["words"][1] == 2
    truth = attacks.build("pgd:db=10,steps=1,against=truth").goal(["X"], ["Y"])
    assert truth == attacks.Untargeted(["Y"])


def test_a_larger_subset_holds_the_smaller_ones_in_the_corpus_order() -> None:
    cuts = list(load_corpus("demo"))
    for how in ("shuffled", "spread"):
        assert choose(cuts, 0, how) == choose(cuts, 99, how) == cuts
    chosen = [{cut.id for cut in choose(cuts, n)} for n in range(1, 25)]
    assert [len(one) for one in chosen] == list(range(1, 25))
    assert all(one < more for one, more in pairwise(chosen))
    some = [cuts.index(cut) for cut in choose(cuts, 8)]
    assert some == sorted(some) != list(range(8))
    assert choose(cuts[::-1], 8) == choose(cuts, 8)[::-1]


def test_subsets_are_spread_and_batches_are_of_similar_length() -> None:
    cuts = list(load_corpus("demo"))
    chosen = choose(cuts, 8, "spread")
    assert [cuts.index(c) for c in chosen] == [0, 3, 6, 9, 12, 15, 18, 21]
    batches = plan(cuts, 5)
    assert [len(b) for b in batches] == [5, 5, 5, 5, 4]
    durations = [c.duration for b in batches for c in b]
    assert durations == sorted(durations, reverse=True)


def cells_of(spec: str) -> list[Cell]:
    attack = ["none", "pgd:norm=snr,db=25,steps=2"]
    return grid([spec], ["none", "wgn:snr=20"], attack, ["demo"])


def test_attacks_share_the_benign_pass(
    tmp_path: Path, spec: str, tiny: DeepSpeech2, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    heard = DeepSpeech2.transcribe

    def counted(self: DeepSpeech2, audio: Audio, draws: Draws) -> list[str]:
        passes.append(len(audio))
        return heard(self, audio, draws)

    monkeypatch.setattr(DeepSpeech2, "transcribe", counted)
    attack = ["none", "noise:norm=snr,db=5", "noise:norm=snr,db=10"]
    cells, store = grid([spec], ["wgn:snr=3"], attack, ["demo"]), Store(tmp_path / "run")
    Runner(store, batch=2, limit=4).run(cells, ignore)
    assert passes == [2] * (2 + 3 * 2)
    benign = [{row["id"]: row["benign"] for row in store.rows(cell)} for cell in cells]
    assert benign[0] == benign[1] == benign[2]


def test_a_killed_run_continues_to_the_same_rows(tmp_path: Path, spec: str) -> None:
    cells = cells_of(spec)
    whole, torn = Store(tmp_path / "whole"), Store(tmp_path / "torn")
    Runner(whole, batch=2, limit=3).run(cells, ignore)

    class KillError(BaseException):
        pass

    left = [6]

    def kill(cell: Cell, amount: float) -> None:
        left[0] -= 1
        if not left[0]:
            raise KillError

    with pytest.raises(KillError):
        Runner(torn, batch=2, limit=3).run(cells, kill)
    finished = sum(len(torn.rows(cell)) for cell in cells)
    assert 0 < finished < 12
    path = torn.path(cells[0])
    path.write_bytes(path.read_bytes()[:-9])
    Runner(torn, batch=2, limit=3).run(cells, ignore)
    for cell in cells:
        assert without_time(torn, cell) == without_time(whole, cell)
        assert len(whole.rows(cell)) == 3
    before = {cell.key: torn.path(cell).read_bytes() for cell in cells}
    Runner(torn, batch=2, limit=3).run(cells, ignore)
    assert before == {cell.key: torn.path(cell).read_bytes() for cell in cells}


def test_what_fails_alone_is_noted_and_the_rest_is_measured(
    tmp_path: Path, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, store = cells_of(spec)[1], Store(tmp_path / "run")
    name = Runner(store, limit=5).cuts(cell)[-1].id
    recording, bad = worker.data.recording, {name}

    def torn(cut: MonoCut, rate: int) -> object:
        if cut.id in bad:
            raise OSError("torn file")
        return recording(cut, rate)

    monkeypatch.setattr(worker.data, "recording", torn)
    total: list[float] = []
    runner = Runner(store, batch=3, limit=5)
    runner.run([cell], lambda _, n: total.append(n))
    assert store.failures(cell) == {name: "OSError: torn file"}
    with pytest.raises(StoreError, match=rf"1 utterance.*\n.*{name}: OSError: torn"):
        runner.require_whole([cell])
    fewer = Runner(store, batch=3, limit=2)
    assert bad.isdisjoint(cut.id for cut in fewer.cuts(cell))
    fewer.require_whole([cell])
    assert len(store.rows(cell)) == 4
    assert sum(total) == pytest.approx(5)
    bad.clear()
    runner.run([cell], ignore)
    runner.require_whole([cell])
    assert len(store.rows(cell)) == 5


def test_a_clip_that_cannot_be_heard_fails_alone(tmp_path: Path, spec: str) -> None:
    folder = tmp_path / "corpus"
    rows = ["u0\tGO\tempty.mp3", *(f"u{i}\tGO\ta.wav" for i in range(1, 5)), "u5\tX\tgone.wav"]
    tone(folder / "a.wav")
    (folder / "empty.mp3").touch()
    (folder / "transcripts.tsv").write_text("\n".join(["id\ttext\tpath", *rows]) + "\n")
    (cell,) = grid([spec], ["none"], ["none"], [f"tsv:{folder}"])
    runner = Runner(Store(tmp_path / "run"), batch=4)
    total: list[float] = []
    runner.run([cell], lambda _, n: total.append(n))
    assert sum(total) == pytest.approx(6)
    assert sorted(row["id"] for row in runner.store.rows(cell)) == ["u1", "u2", "u3", "u4"]
    with pytest.raises(StoreError, match=r"(?s)2 utterance.*u0: .*empty\.mp3.*u5: .*gone\.wav"):
        runner.require_whole([cell])
    (timed,) = estimate(runner, [cell])
    assert timed.missing == 2
    assert not timed.failed
    before = runner.store.path(cell).read_bytes()
    (folder / "empty.mp3").write_bytes((folder / "a.wav").read_bytes())
    again = Runner(runner.store, batch=4)
    again.run([cell], ignore)
    assert runner.store.path(cell).read_bytes().startswith(before)
    assert list(runner.store.failures(cell)) == ["u5"]


def test_an_estimate_writes_a_target_as_the_run_does(tmp_path: Path, spec: str) -> None:
    """It said that this cell would fail, which runs."""
    target = "IT\N{RIGHT SINGLE QUOTATION MARK}S"
    (cell,) = grid([spec], ["none"], [f"pgd:db=10,steps=1,target={target}"], ["demo"])
    (timed,) = estimate(Runner(Store(tmp_path), limit=2), [cell])
    assert not timed.failed
    assert timed.seconds > 0


def test_no_memory_for_one_is_a_failure_with_advice(
    tmp_path: Path, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, store = cells_of(spec)[0], Store(tmp_path / "run")
    name = Runner(store, limit=3).cuts(cell)[0].id
    heard = worker.data.recording

    def torn(cut: MonoCut, rate: int) -> object:
        if cut.id == name:
            raise MemoryError
        return heard(cut, rate)

    monkeypatch.setattr(worker.data, "recording", torn)
    Runner(store, batch=3, limit=3).run([cell], ignore)
    assert len(store.rows(cell)) == 2
    assert "out of memory: shorter audio takes less" in store.failures(cell)[name]


def test_ids_that_are_alike_have_audio_each(tmp_path: Path, spec: str) -> None:
    folder = tmp_path / "corpus"
    for i, name in enumerate("abc"):
        tone(folder / f"{name}.wav", 1 + i / 4)
    rows = ["s1/u1\tGO\ta.wav", "s1_u1\tGO\tb.wav", "../../u\tGO\tc.wav"]
    (folder / "transcripts.tsv").write_text("\n".join(["id\ttext\tpath", *rows]) + "\n")
    (cell,) = grid([spec], ["none"], ["none"], [f"tsv:{folder}"])
    runner = Runner(Store(tmp_path / "run"), save_audio=True)
    runner.run([cell], ignore)
    home = tmp_path / "run" / "audio" / cell.key
    clean = [audio_store.find(home, one, "clean") for one in ("s1/u1", "s1_u1", "../../u")]
    assert [load(path).seconds.item() for path in clean if path] == [1, 1.25, 1.5]
    assert len(list((tmp_path / "run" / "audio").rglob("*.flac"))) == 9
    assert runner.without_audio([cell]) == 0


def test_a_batch_whose_audio_fails_leaves_one_row_an_utterance(
    tmp_path: Path, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, store = cells_of(spec)[2], Store(tmp_path / "run")
    kinds = worker._kinds

    def full(out: worker.Outcome, defense: worker.Defense, draws: Draws) -> dict[str, Audio]:
        if len(out.clean) > 1:
            raise MemoryError
        return kinds(out, defense, draws)

    monkeypatch.setattr(worker, "_kinds", full)
    Runner(store, batch=3, limit=3, save_audio=True).run([cell], ignore)
    assert len(store.rows(cell)) == len({row["id"] for row in store.rows(cell)}) == 3


def test_batches_keep_to_their_seconds() -> None:
    cuts = list(load_corpus("demo"))
    batches = plan(cuts, 8, seconds=9)
    assert sorted(c.id for b in batches for c in b) == sorted(c.id for c in cuts)
    assert all(len(b) == 1 or len(b) * b[0].duration <= 9 for b in batches)
    assert max(map(len, batches)) > 1
    assert [len(b) for b in plan(cuts, 8, seconds=0.1)] == [1] * 24
    assert plan(cuts, 5, seconds=1e9) == plan(cuts, 5)


def test_progress_adds_up(tmp_path: Path, spec: str) -> None:
    total: list[float] = []
    Runner(Store(tmp_path / "run"), batch=2, limit=5).run(
        cells_of(spec), lambda _, n: total.append(n)
    )
    assert sum(total) == pytest.approx(20)


def test_progress_adds_up_though_an_attack_ends_early(tmp_path: Path, spec: str) -> None:
    attack = "pgd:norm=linf,eps=0.5,steps=9,stop=true"
    total: list[float] = []
    cells, store = grid([spec], ["none"], [attack], ["demo"]), Store(tmp_path / "run")
    Runner(store, batch=2, limit=4).run(cells, lambda _, n: total.append(n))
    assert any(row["queries"] < 10 for row in store.rows(cells[0]))
    assert sum(total) == pytest.approx(4)


def test_rows_say_what_an_attack_took(tiny: DeepSpeech2, ragged: Audio) -> None:
    def rows(spec: str) -> list[dict[str, object]]:
        attack = attacks.build(spec)
        out = judge(tiny, ragged, attack, TRUTH, Draws(SEEDS))
        return rows_of(["a", "b", "c"], TRUTH, attack, out)

    def column(spec: str, name: str) -> list[object]:
        return [row[name] for row in rows(spec)]

    assert column("none", "queries") == [0, 0, 0]
    assert column("none", "audible") == [0, 0, 0]
    assert column("pgd:db=20,steps=3", "queries") == [3, 3, 3]
    first = column("pgd:db=20,steps=3", "first")
    assert first == column("pgd:db=20,steps=3,stop=true", "first") != [None] * 3
    assert column("kenansville", "first") == [None] * 3  # it never looks
    never = "pgd:db=20,steps=2,stop=true,target=never"
    assert column(never, "first") == [None] * 3
    loud = rows("pgd:norm=linf,eps=0.5,steps=9,stop=true")
    assert all(row["queries"] == row["first"] + 1 for row in loud)  # type: ignore[operator]
    white = column("noise:norm=linf,eps=0.1", "audible")
    assert all(0.5 < share <= 1 for share in white)  # type: ignore[operator]


def test_targets_of_the_corpus_are_the_same_in_every_batch_part_and_cell(
    tmp_path: Path, spec: str
) -> None:
    def targets(seed: int = 0, limit: int = 5, defense: str = "none") -> dict[str, str]:
        attack = "pgd:db=20,steps=1,target=matched"
        (cell,) = grid([spec], [defense], [attack], ["demo"], seed)
        store = Store(tmp_path / f"{seed}-{limit}-{defense}")
        Runner(store, batch=limit, limit=limit).run([cell], ignore)
        return {row["id"]: row["target"] for row in store.rows(cell)}

    found, texts = targets(), {c.supervisions[0].text: c.id for c in load_corpus("demo")}
    assert all(texts[target] != name for name, target in found.items())
    assert targets(defense="wgn:snr=20") == found
    assert targets(limit=1).items() <= found.items()
    assert targets(seed=1) != found


def test_audio_is_kept_when_asked_for(tmp_path: Path, spec: str) -> None:
    (_, _, _, cell) = cells_of(spec)
    store = Store(tmp_path / "run")
    Runner(store, batch=4, limit=5, save_audio=True).run([cell], ignore)
    files = sorted(p.name for p in (store.folder / "audio" / cell.key).iterdir())
    assert len(files) == 15
    assert {name.split(".")[1] for name in files} == {"clean", "adversarial", "defended"}
    row = store.rows(cell)[0]
    pair = [
        load(store.folder / "audio" / cell.key / f"{row['id']}.{kind}.flac").wav
        for kind in ("clean", "adversarial")
    ]
    assert (pair[1] - pair[0]).norm().item() == pytest.approx(row["l2"], rel=1e-4)


def test_audio_that_was_not_kept_is_counted(tmp_path: Path, spec: str) -> None:
    cells = cells_of(spec)[:1]
    store = Store(tmp_path / "run")
    Runner(store, batch=1, limit=2).run(cells, ignore)
    again = Runner(store, batch=1, limit=4, save_audio=True)
    again.run(cells, ignore)
    assert again.without_audio(cells) == 2


def test_a_busy_cell_keeps_no_other_waiting(tmp_path: Path, spec: str) -> None:
    cells = cells_of(spec)[:2]
    store = Store(tmp_path / "run")
    with store.claimed(cells[0]), pytest.raises(StoreError, match="another process is measuring"):
        Runner(store, batch=4, limit=2).run(cells, ignore)
    assert [len(store.rows(cell)) for cell in cells] == [0, 2]


def test_what_is_refused_ends_no_work_that_others_do(tmp_path: Path, spec: str) -> None:
    """An executor that took units still does them where a later cell is busy or damaged."""
    cells = cells_of(spec)[:3]
    store = Store(tmp_path / "run")

    def together(units: Iterable[Unit], tick: object) -> Iterator[Measured]:
        worker = Worker()
        yield from [worker.measure(unit) for unit in list(units)]

    store.path(cells[1]).parent.mkdir(parents=True)
    store.path(cells[1]).write_text("no row\n")
    runner = Runner(store, batch=1, limit=2, executor=together)
    with (
        store.claimed(cells[0]),
        pytest.raises(StoreError, match=r"(?s)line 1 is damaged.*another process is measuring"),
    ):
        runner.run(cells, ignore)
    assert len(store.rows(cells[2])) == 2


def test_the_summary_is_plain_json(tmp_path: Path, spec: str) -> None:
    cells = cells_of(spec)[:1]
    store = Store(tmp_path / "run")
    store.begin(cells, {})
    Runner(store, batch=4, limit=5).run(cells, ignore)
    store.summarise()
    (summary,) = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["n"] == 5
    assert summary["reached"] == 0
    assert summary["snr_db"] is None
    assert summary["wer"] == summary["benign_wer"]


def test_what_a_failed_batch_computed_is_gone_before_its_utterances_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cell = grid(["ds2-an4"], ["none"], ["none"], ["demo"])[0]
    unit = Unit(cell, tuple(load_corpus("demo"))[:2], frozenset(), audio=False)
    alive: list[weakref.ref[torch.Tensor]] = []
    left: list[bool] = []

    def batch(self: Worker, unit: Unit, batch: Sequence[MonoCut], *_: object) -> None:
        if len(batch) == 1:
            left.append(alive[0]() is not None)
            return
        activations = torch.zeros(9)
        alive.append(weakref.ref(activations))
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Worker, "_batch", batch)
    unit = replace(unit, missing=frozenset(cut.id for cut in unit.batch))
    Worker().measure(unit)
    assert left == [False, False]
