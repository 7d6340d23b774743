"""Which cluster is joined, and how soon one that is not there is said so."""

import socket
import time
from collections.abc import Iterator

import pytest

from melmoat.bench import cluster
from melmoat.errors import MelmoatError


class Spy:
    """What Ray is asked for."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.asked: list[dict[str, object]] = []
        self.fails = fails

    def init(self, **options: object) -> None:
        self.asked.append(options)
        if self.fails:
            raise self.fails


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of something that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed(deaf: str) -> str:
    """The address of nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def test_local_is_a_new_cluster_whatever_the_environment_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    ray = Spy()
    cluster._join(ray, "local")
    assert ray.asked[0]["address"] == "local"  # None would join RAY_ADDRESS


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_listens_is_said_so_at_once(scheme: str, closed: str) -> None:
    ray, began = Spy(), time.monotonic()
    with pytest.raises(MelmoatError, match=rf"no Ray cluster at {scheme}{closed}: .*refused"):
        cluster._join(ray, scheme + closed)
    assert time.monotonic() - began < 5
    assert not ray.asked


def test_what_listens_and_is_no_cluster_is_said_so_within_a_time(
    deaf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'melmoat[ray]'")
    monkeypatch.setattr(cluster, "ANSWER", 2.0)
    began = time.monotonic()
    with pytest.raises(MelmoatError, match=rf"no Ray cluster at {deaf}: no answer in 2 s"):
        cluster._join(Spy(), deaf)
    assert time.monotonic() - began < 10


def test_the_address_in_the_environment_is_named(
    closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", closed)
    with pytest.raises(MelmoatError, match=rf"no Ray cluster at {closed} \(RAY_ADDRESS\)"):
        cluster._join(Spy(), "auto")


@pytest.mark.parametrize("address", ["nowhere", "ray://", "host:port"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(MelmoatError, match=r"HOST:PORT|no Ray cluster at"):
        cluster._join(Spy(), address)


def test_the_advice_is_never_what_was_tried() -> None:
    with pytest.raises(MelmoatError) as said:
        cluster._join(Spy(ConnectionError("no room")), "local")
    assert "address=local" not in str(said.value)
    assert "no room" in str(said.value)
