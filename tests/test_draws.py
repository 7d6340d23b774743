import pytest
import torch

from melmoat.draws import Draws, derive


def test_a_stream_depends_on_neither_neighbours_nor_padding() -> None:
    batch = Draws([3, 4, 5]).normal(torch.zeros(3, 40))
    alone = Draws([4]).normal(torch.zeros(1, 7))
    assert torch.equal(batch[1, :7], alone[0])


def test_bands_are_filled_along_time() -> None:
    long = Draws([1]).normal(torch.zeros(1, 80, 33))
    short = Draws([1]).normal(torch.zeros(1, 80, 10))
    assert torch.equal(long[..., :10], short)


def test_calls_forks_and_seeds_differ_and_repeat() -> None:
    def five(draws: Draws) -> list[torch.Tensor]:
        like = torch.zeros(1, 50)
        return [draws.normal(like), draws.normal(like), draws.fork(0).normal(like),
                draws.fork("0").normal(like), draws.fork(1).normal(like)]  # fmt: skip

    first, second = five(Draws([9])), five(Draws([9]))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    distinct = [*first, Draws([10]).normal(torch.zeros(1, 50))]
    assert len({tuple(x[0].tolist()) for x in distinct}) == 6


def test_normal_is_normal_and_uniform_is_uniform() -> None:
    normal = Draws([0]).normal(torch.zeros(1, 100_000))
    assert normal.mean().abs() < 0.015
    assert normal.std() == pytest.approx(1, abs=0.01)
    assert normal.pow(4).mean() == pytest.approx(3, abs=0.15)
    uniform = Draws([0]).uniform(torch.zeros(1, 100_000))
    assert 0 <= uniform.min() < 0.001
    assert 0.999 < uniform.max() < 1
    assert uniform.mean() == pytest.approx(0.5, abs=0.005)


def test_neighbouring_streams_are_uncorrelated() -> None:
    x = Draws(range(8)).normal(torch.zeros(8, 20_000))
    off = torch.corrcoef(x) - torch.eye(8)
    assert off.abs().max() < 0.03


def test_the_batch_must_match() -> None:
    with pytest.raises(ValueError, match="2 streams cannot fill a batch of 3"):
        Draws([1, 2]).normal(torch.zeros(3, 5))


def test_derive_separates_its_parts() -> None:
    assert len({derive("a", "b"), derive("ab"), derive("b", "a"), derive("a", "b", "")}) == 4
