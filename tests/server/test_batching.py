"""Requests share batches, and nobody pays for another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest
import torch

from melmoat.audio import Audio, AudioError
from melmoat.draws import Draws
from melmoat.server.batching import Batcher, Pace

RATE = 100


class Work:
    """The lengths of what it is given. It waits for ``gate`` and notes each batch."""

    def __init__(self) -> None:
        self.gate, self.begun = threading.Event(), threading.Event()
        self.batches: list[list[int]] = []
        self.seeds: list[int] = []

    def __call__(self, audio: Audio, draws: Draws) -> Sequence[int]:
        lengths: list[int] = audio.lengths.tolist()
        self.batches.append(lengths)
        self.seeds += draws.seeds
        self.begun.set()
        assert self.gate.wait(10)
        if 13 in lengths:
            raise AudioError("thirteen")
        if 14 in lengths:
            raise SystemExit("a defense that ends its process")
        return lengths


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    yield work
    work.gate.set()


def ask(
    batcher: Batcher[int], work: Work, *lengths: int, cancelled: Sequence[int] = ()
) -> list[object]:
    """What each of ``lengths`` is answered, all asked while another (of 5) is computed."""

    async def all_of_them() -> list[object]:
        first = asyncio.ensure_future(batcher(torch.ones(5)))
        await asyncio.to_thread(work.begun.wait, 10)
        others = [asyncio.ensure_future(batcher(torch.ones(n))) for n in lengths]
        await asyncio.sleep(0)  # they stand in the queue
        for i in cancelled:
            others[i].cancel()
        await asyncio.sleep(0)
        work.gate.set()
        assert await first == 5
        return list(await asyncio.gather(*others, return_exceptions=True))

    return asyncio.run(all_of_them())


def test_what_waits_is_computed_together(work: Work) -> None:
    batcher = Batcher(work, RATE, batch=3, seconds=100)
    batcher.start()
    assert ask(batcher, work, 7, 8, 9, 10) == [7, 8, 9, 10]
    assert work.batches == [[5], [7, 8, 9], [10]]
    assert len(set(work.seeds)) == 5, "each draws for itself"
    batcher.close()


def test_a_batch_is_bounded_by_its_audio_padding_included(work: Work) -> None:
    batcher = Batcher(work, RATE, batch=8, seconds=0.3)
    batcher.start()
    assert ask(batcher, work, 10, 10, 10, 10, 50, 9) == [10, 10, 10, 10, 50, 9]
    assert work.batches == [[5], [9, 10, 10], [10, 10], [50]]
    batcher.close()


def test_of_those_that_come_together_the_shortest_is_next_with_those_of_its_length(
    work: Work,
) -> None:
    batcher = Batcher(work, RATE, batch=3, seconds=100)
    batcher.start()
    assert ask(batcher, work, 40, 90, 41, 100, 39, 42, 95) == [40, 90, 41, 100, 39, 42, 95]
    assert work.batches == [[5], [39, 40, 41], [42], [90, 95, 100]]
    batcher.close()


class Clock:
    """Each look takes a step."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.mark.parametrize(("step", "before"), [(0.05, [1, 2, 3]), (0.3, [1])])
def test_a_long_one_is_passed_by_those_that_come_within_its_length(
    work: Work, step: float, before: list[int]
) -> None:
    """0.5 s of audio, then three short ones, ``step`` seconds apart."""
    batcher = Batcher(work, RATE, batch=1, seconds=100, clock=Clock(step))
    batcher.start()
    ask(batcher, work, 50, 1, 2, 3)
    assert work.batches[0] == [5]
    order = [length for (length,) in work.batches[1:]]
    assert order[: order.index(50)] == before
    batcher.close()


def test_what_is_ahead_is_predicted_from_the_pace(work: Work) -> None:
    batcher = Batcher(work, RATE, 1, 100, pace=Pace(audio=1.0, work=2.0), clock=lambda: 0.0)
    assert batcher.ahead(1) == 0
    batcher.start()
    found: list[float] = []

    async def waiting() -> None:
        asked = [asyncio.ensure_future(batcher(torch.ones(5)))]
        await asyncio.to_thread(work.begun.wait, 10)
        asked += [asyncio.ensure_future(batcher(torch.ones(n))) for n in (10, 400)]
        await asyncio.sleep(0)
        found.extend(batcher.ahead(seconds) for seconds in (0.05, 1, 9))
        work.gate.set()
        await asyncio.gather(*asked)

    asyncio.run(waiting())
    # What is computed (0.05 s of audio), then 0.1 s and 4 s of it: two seconds of work for each.
    assert found == pytest.approx([0.1, 0.3, 8.3])
    batcher.close()


def test_the_pace_follows_what_was_measured_of_late() -> None:
    pace = Pace()
    assert pace.of(10) == 0
    for work in [1.0] * 40 + [3.0] * 40:
        pace.note(2.0, work)
    assert pace.of(10) == pytest.approx(15, rel=1e-3)


def test_one_that_fails_does_not_take_the_others_with_it(work: Work) -> None:
    batcher = Batcher(work, RATE, batch=8, seconds=100)
    batcher.start()
    seven, thirteen, fourteen, eight = ask(batcher, work, 7, 13, 14, 8)
    assert (seven, eight) == (7, 8)
    assert isinstance(thirteen, AudioError)
    assert isinstance(fourteen, RuntimeError)
    batcher.close()


def test_an_answer_too_few_is_an_error_and_not_the_end(work: Work) -> None:
    batcher: Batcher[int] = Batcher(lambda audio, draws: [], RATE, 8, 100)
    batcher.start()

    async def twice() -> list[object]:
        asked = [batcher(torch.ones(5)), batcher(torch.ones(5))]
        return list(await asyncio.gather(*asked, return_exceptions=True))

    assert [type(answer) for answer in asyncio.run(twice())] == [ValueError] * 2
    batcher.close()


def test_who_goes_before_its_turn_costs_nothing(work: Work) -> None:
    batcher = Batcher(work, RATE, batch=8, seconds=100)
    batcher.start()
    found = ask(batcher, work, 7, 8, 9, cancelled=[1])
    assert (found[0], found[2]) == (7, 9)
    assert isinstance(found[1], asyncio.CancelledError)
    assert work.batches == [[5], [7, 9]]
    assert batcher.waiting == 0
    batcher.close()


def test_what_waits_at_the_end_is_still_answered(work: Work) -> None:
    batcher = Batcher(work, RATE, batch=1, seconds=100)
    batcher.start()

    async def closing() -> list[int]:
        asked = [asyncio.ensure_future(batcher(torch.ones(n))) for n in (5, 6, 7)]
        await asyncio.to_thread(work.begun.wait, 10)
        ending = asyncio.create_task(asyncio.to_thread(batcher.close))
        await asyncio.sleep(0.05)
        work.gate.set()
        await ending
        return list(await asyncio.gather(*asked))

    assert asyncio.run(closing()) == [5, 6, 7]


def test_nobody_waits_for_a_batcher_that_is_not_open(work: Work) -> None:
    batcher = Batcher(work, RATE, batch=1, seconds=100)
    with pytest.raises(RuntimeError, match="not running"):
        asyncio.run(batcher(torch.ones(5)))
    work.gate.set()
    for _ in range(2):  # it may be opened again
        batcher.start()
        assert asyncio.run(batcher(torch.ones(5))) == 5
        batcher.close()
        with pytest.raises(RuntimeError, match="not running"):
            asyncio.run(batcher(torch.ones(5)))


def test_a_batch_that_cannot_be_made_is_an_error_and_not_the_end(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.gate.set()
    batcher = Batcher(work, RATE, batch=1, seconds=100)
    batcher.start()
    with monkeypatch.context() as full:
        full.setattr(Audio, "of", lambda waves, rate: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            asyncio.run(batcher(torch.ones(5)))
    assert asyncio.run(batcher(torch.ones(6))) == 6
    batcher.close()
