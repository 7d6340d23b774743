"""Requests share batches, and nobody pays for another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest
import torch

from melmoat.audio import Audio, AudioError
from melmoat.draws import Draws
from melmoat.server.batching import Batcher

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
    assert work.batches == [[5], [10, 10, 10], [10, 9], [50]]
    batcher.close()


def test_the_oldest_is_next_with_those_of_its_length(work: Work) -> None:
    batcher = Batcher(work, RATE, batch=3, seconds=100)
    batcher.start()
    assert ask(batcher, work, 40, 90, 41, 100, 39, 42, 95) == [40, 90, 41, 100, 39, 42, 95]
    assert work.batches == [[5], [40, 41, 39], [90, 95, 100], [42]]
    batcher.close()


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
    with pytest.raises(RuntimeError, match="not open"):
        asyncio.run(batcher(torch.ones(5)))
    work.gate.set()
    for _ in range(2):  # it may be opened again
        batcher.start()
        assert asyncio.run(batcher(torch.ones(5))) == 5
        batcher.close()
        with pytest.raises(RuntimeError, match="not open"):
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
