"""What is fetched is whole and what was published, or it is not taken."""

import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from melmoat import fetching, files
from melmoat.cli.app import app
from melmoat.defenses.neural import lyra
from melmoat.fetching import CATALOGUE, FetchError, Source, chosen, fetch, located, where
from melmoat.fetching.download import SPARE, digest
from melmoat.locks import hold
from tests.fetching.serving import Site, packed, site

BYTES = bytes(range(256)) * 40
HASH = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture
def served() -> Iterator[Site]:
    with site({"/file.bin": BYTES}) as made:
        yield made


def source(served: Site, **changes: object) -> Source:
    one = Source(
        name="thing",
        about="a thing",
        url=f"{served.url}/file.bin",
        file="file.bin",
        place="things/file.bin",
        licence="MIT",
        page="the page",
        size=len(BYTES),
        sha256=HASH,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def test_a_file_comes_once_and_is_recorded(served: Site, tmp_path: Path) -> None:
    seen: list[tuple[float, float]] = []
    said = fetch(source(served), tmp_path, lambda done, total, what: seen.append((done, total)))
    place = tmp_path / "things" / "file.bin"
    assert place.read_bytes() == BYTES
    assert "the published one" in said
    assert seen[-1] == (len(BYTES) / 1e6, len(BYTES) / 1e6)
    record = json.loads((tmp_path / "fetched" / "thing.json").read_text())
    assert (record["sha256"], record["bytes"], record["compared"]) == (HASH, len(BYTES), True)
    assert "there already" in fetch(source(served), tmp_path)
    assert served.asked == [None]
    assert list((tmp_path / "downloads").iterdir()) == []


def test_a_hash_that_nobody_published_is_told_and_recorded_as_such(
    served: Site, tmp_path: Path
) -> None:
    said = fetch(source(served, sha256=None), tmp_path)
    assert f"no published hash is known to compare with; its SHA-256 is {HASH}" in said
    record = json.loads((tmp_path / "fetched" / "thing.json").read_text())
    assert (record["sha256"], record["compared"]) == (HASH, False)


def test_a_hash_of_the_file_that_was_tested_is_not_called_published(
    served: Site, tmp_path: Path
) -> None:
    said = fetch(source(served, published=False), tmp_path)
    assert "the file that melmoat was tested with" in said
    record = json.loads((tmp_path / "fetched" / "thing.json").read_text())
    assert (record["sha256"], record["compared"]) == (HASH, False)
    with pytest.raises(FetchError):
        fetch(source(served, name="other", place="other", sha256="0" * 64), tmp_path)


def test_another_file_is_not_taken(served: Site, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=f"is {HASH}, and {'0' * 64} is published"):
        fetch(source(served, sha256="0" * 64), tmp_path)
    with pytest.raises(FetchError, match=r"has 10,240 bytes and must have at least 10,241"):
        fetch(source(served, sha256=None, size=10_241), tmp_path)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_a_connection_that_breaks_is_opened_again(served: Site, tmp_path: Path) -> None:
    served.cut = 4_000
    fetch(source(served), tmp_path)
    assert (tmp_path / "things" / "file.bin").read_bytes() == BYTES
    assert served.asked == [None, "bytes=4000-", "bytes=8000-"]


@pytest.mark.parametrize("known", [True, False])
def test_a_stopped_download_goes_on_where_it_was(served: Site, tmp_path: Path, known: bool) -> None:
    one = source(served) if known else source(served, sha256=None)

    def stop(done: float, total: float, what: str) -> None:
        served.down = True

    served.cut = 3_000
    with pytest.raises(FetchError, match=r"broke off after 3,000 bytes.*the same command goes on"):
        fetch(one, tmp_path, stop)
    assert (tmp_path / "downloads" / "file.bin.part").stat().st_size == 3_000
    served.down, served.cut = False, 0
    fetch(one, tmp_path)
    assert served.asked[-1] == "bytes=3000-"
    assert (tmp_path / "things" / "file.bin").read_bytes() == BYTES


def test_two_processes_do_not_append_to_one_part(served: Site, tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    with (tmp_path / "downloads" / ".thing.lock").open("ab") as other:
        hold(other)
        with pytest.raises(FetchError, match="another process fetches thing"):
            fetch(source(served), tmp_path)
    assert served.asked == []
    fetch(source(served), tmp_path)


def test_parts_of_two_versions_are_not_joined(served: Site, tmp_path: Path) -> None:
    part = tmp_path / "downloads" / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 100)
    (part.parent / "file.bin.part.etag").write_text('"0"')
    fetch(source(served, sha256=None), tmp_path)  # the server says that it is another
    assert (tmp_path / "things" / "file.bin").read_bytes() == BYTES


@pytest.mark.parametrize("changes", [{"ranges": False}, {"etag": ""}])
def test_without_ranges_or_a_mark_it_starts_again(
    served: Site, tmp_path: Path, changes: dict[str, object]
) -> None:
    vars(served).update(changes)
    part = tmp_path / "downloads" / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 100)
    fetch(source(served, sha256=None), tmp_path)
    assert (tmp_path / "things" / "file.bin").read_bytes() == BYTES


def test_a_part_that_is_whole_already_is_taken(served: Site, tmp_path: Path) -> None:
    part = tmp_path / "downloads" / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(BYTES)
    fetch(source(served), tmp_path)
    assert served.asked == [f"bytes={len(BYTES)}-"]
    assert located(source(served), tmp_path) == tmp_path / "things" / "file.bin"


def test_a_part_that_is_longer_than_the_file_is_dropped(served: Site, tmp_path: Path) -> None:
    part = tmp_path / "downloads" / "file.bin.part"
    part.parent.mkdir()
    part.write_bytes(BYTES + b"x")
    fetch(source(served), tmp_path)
    assert served.asked == [f"bytes={len(BYTES) + 1}-", None]


def test_without_a_network_it_says_what_to_do_and_takes_what_lies_there(tmp_path: Path) -> None:
    with site({}) as gone:
        pass
    one = source(gone)
    with pytest.raises(FetchError, match=r"127\.0\.0\.1 cannot be reached .*put it at \S+bin, and"):
        fetch(one, tmp_path)
    (tmp_path / "downloads" / "file.bin").write_bytes(BYTES)
    fetch(one, tmp_path)
    assert (tmp_path / "things" / "file.bin").read_bytes() == BYTES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"contents": {}}, "404 Not Found; it may have moved"),
        ({"kind": "text/html; charset=utf-8"}, "answered with a web page and no file"),
        ({"length": False}, "does not say how long the file is"),
    ],
)
def test_an_answer_that_is_no_file_is_told(
    served: Site, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    vars(served).update(changes)
    with pytest.raises(FetchError, match=f"{message}.*put it at {tmp_path}/downloads/file.bin, "):
        fetch(source(served, sha256=None), tmp_path)
    assert located(source(served), tmp_path) is None


def test_a_full_disk_is_told_before_it_is_full(
    served: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=SPARE + len(BYTES))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(FetchError, match=r"20 kB are needed and 10 kB are free"):
        fetch(source(served, file="f.tar.gz"), tmp_path)  # which unpacked takes as much again
    fetch(source(served), tmp_path)


def test_a_folder_that_cannot_be_written_is_told(served: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match=r"cannot write in .*MELMOAT_CACHE"):
        fetch(source(served), tmp_path / "file")


def test_a_corpus_is_unpacked_to_where_its_spec_looks(served: Site, tmp_path: Path) -> None:
    home, archive = (
        tmp_path,
        packed({"LibriSpeech/LICENSE.TXT": b"", "LibriSpeech/test-clean/1/2/1-2.trans.txt": b"A"}),
    )
    served.contents["/file.bin"] = archive
    sha256 = hashlib.sha256(archive).hexdigest()
    one = replace(CATALOGUE["test-clean"], url=f"{served.url}/file.bin", sha256=sha256)
    fetch(one, home)
    assert where("test-clean", home) == home / "LibriSpeech" / "test-clean"
    assert (home / "LibriSpeech/test-clean/1/2/1-2.trans.txt").read_bytes() == b"A"
    assert sorted(x.name for x in home.iterdir()) == ["LibriSpeech", "downloads", "fetched"]
    assert list((home / "downloads").iterdir()) == []


@pytest.mark.parametrize("root", ["", "libritts_parallel_wavegan.v1.long/"])
def test_a_vocoder_lies_beside_its_settings(served: Site, tmp_path: Path, root: str) -> None:
    members = {"checkpoint-9steps.pkl": b"w", "config.yml": b"c", "stats.h5": b"s"}
    served.contents["/file.bin"] = packed({root + name: c for name, c in members.items()})
    one = replace(CATALOGUE["pwg-libritts"], url=f"{served.url}/file.bin", size=1)
    fetch(one, tmp_path)
    found = where("pwg-libritts", tmp_path)
    assert found == tmp_path / "pwg-libritts" / "checkpoint-9steps.pkl"
    assert sorted(path.name for path in found.parent.iterdir()) == sorted(members)
    (found.parent / "checkpoint-8steps.pkl").write_bytes(b"")
    with pytest.raises(FetchError, match="several files"):
        where("pwg-libritts", tmp_path)


def test_a_group_brings_all_of_its_files_into_one_folder(tmp_path: Path) -> None:
    parts = chosen(["lyra", "lyra-decoder"])
    assert [one.file for one in parts] == list(lyra.FILES)
    assert {one.place for one in parts} == {f"lyra/{file}" for file in lyra.FILES}
    assert {one.name for one in parts}.isdisjoint(fetching.PAPER)


def test_the_hashes_of_lyra_are_of_the_files_that_are_compared(shared: Path) -> None:
    for one in chosen(["lyra"]):
        path = shared / "weights" / one.place
        if not path.is_file():
            pytest.skip(f"needs Lyra's files in {path.parent}")
        assert (path.stat().st_size, digest(path)) == (one.size, one.sha256)


def link(name: str, target: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "archive",
    [
        packed({"test-clean/a": b"", "../outside": b"x"}),
        packed({"/outside": b"x"}),
        packed({"test-clean/a": b""}, link("test-clean/b", "/etc/passwd", tarfile.SYMTYPE)),
        packed({"test-clean/a": b""}, link("test-clean/b", "../../outside", tarfile.LNKTYPE)),
        packed({"test-clean/a": b""}, link("test-clean/b", "", tarfile.FIFOTYPE)),
    ],
    ids=["a folder above", "the root", "a symbolic link", "a hard link", "a pipe"],
)
def test_an_archive_that_leads_outside_is_refused_whole(
    served: Site, tmp_path: Path, archive: bytes
) -> None:
    served.contents["/file.bin"] = archive
    one = replace(CATALOGUE["test-clean"], url=f"{served.url}/file.bin", sha256=None, size=1)
    with pytest.raises(Exception, match=r"refused, it has .* nothing was unpacked"):
        fetch(one, tmp_path / "home")
    assert not (tmp_path / "home" / "LibriSpeech" / "test-clean").exists()
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "home" / "downloads" / "outside").exists()


def test_half_an_archive_is_no_corpus(served: Site, tmp_path: Path) -> None:
    archive = packed({f"test-clean/{i}": BYTES[i:] for i in range(9)})
    served.contents["/file.bin"] = archive[: len(archive) // 2]
    one = replace(CATALOGUE["test-clean"], url=f"{served.url}/file.bin", sha256=None, size=1)
    with pytest.raises(Exception, match="not a whole tar archive"):
        fetch(one, tmp_path)
    assert located(one, tmp_path) is None


def test_the_catalogue_is_sound() -> None:
    for name, one in CATALOGUE.items():
        assert one.name == name
        assert one.url.startswith("https://")
        assert one.sha256 is None or re.fullmatch("[0-9a-f]{64}", one.sha256)
        assert one.licence
    assert len({one.place for one in CATALOGUE.values()}) == len(CATALOGUE)
    assert set(fetching.PAPER) <= set(CATALOGUE)


def test_the_cache_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MELMOAT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert files.cache() == Path("/x/melmoat")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert files.cache() == Path("~/.cache/melmoat").expanduser()
    monkeypatch.setenv("MELMOAT_CACHE", "/y")
    assert files.cache() == Path("/y")


def test_the_command_lists_and_fetches(
    served: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MELMOAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(CATALOGUE, "thing", source(served))
    listed = CliRunner().invoke(app, ["fetch"]).output
    assert re.search(r"^test-clean +- +347 MB +CC BY 4\.0 ", listed, re.MULTILINE)
    assert re.search(r"^melgan-multi-speaker +- +at least 17 MB +MIT ", listed, re.MULTILINE)
    assert re.search(r"^lyra-quantiser +- +0\.3 MB +Apache-2\.0 ", listed, re.MULTILINE)
    done = CliRunner().invoke(app, ["fetch", "thing", "--to", str(tmp_path / "other")])
    assert done.exit_code == 0, done.output
    assert f"export MELMOAT_CACHE={tmp_path / 'other'}" in done.output
    assert CliRunner().invoke(app, ["fetch", "thing"]).exit_code == 0
    assert where("thing").read_bytes() == BYTES
    assert re.search("^thing +there ", CliRunner().invoke(app, ["fetch"]).output, re.MULTILINE)


def test_unknown_and_missing_names_are_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["fetch", "test-claen", "--to", str(tmp_path)])
    assert "did you mean 'test-clean'" in str(result.exception)
    with pytest.raises(FetchError, match=f"not in {tmp_path}: fetch it by `melmoat fetch dev-cl"):
        where("dev-clean", tmp_path)
