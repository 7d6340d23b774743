from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from melmoat import data
from melmoat.assets import asset
from melmoat.audio import AudioError
from melmoat.data.corpora import CorpusError
from melmoat.data.in_memory import write_corpus
from melmoat.metrics.errors import word_edits
from melmoat.spec import SpecError
from melmoat.text import LABELS, encode

HEADER = "id\tspeaker\tseconds\ttext\tpath\n"


def corpus(folder: Path, rows: str, rate: int = 16_000, channels: int = 1) -> Path:
    folder.mkdir(exist_ok=True)
    for i, name in enumerate(("a", "b")):
        t = np.arange(rate * (i + 1)) / rate
        samples = np.zeros((len(t), channels))
        samples[:, -1] = 0.1 * channels * np.sin(2_000 * t)  # what counts is the mean
        soundfile.write(folder / f"{name}.flac", samples, rate)
    (folder / "transcripts.tsv").write_text(HEADER + rows, encoding="utf-8")
    return folder


ROWS = "u1\ts1\t1.000\tgo on\ta.flac\nu2\ts2\t2.000\tIt's \u201cSIX\u201d\tb.flac\n"


@pytest.mark.parametrize("kind", ["tsv", "an4"])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (44_100, 2), (8_000, 1)])
def test_a_table_of_transcripts(tmp_path: Path, kind: str, rate: int, channels: int) -> None:
    cuts = list(data.load(f"{kind}:{corpus(tmp_path / 'c', ROWS, rate, channels)}"))
    assert [c.id for c in cuts] == ["u1", "u2"]
    assert [c.supervisions[0].text for c in cuts] == ["GO ON", "IT'S SIX"]
    assert [data.written(c) for c in cuts] == ["go on", "It's \u201cSIX\u201d"]
    assert [c.supervisions[0].speaker for c in cuts] == ["s1", "s2"]
    audio = data.read(cuts)
    assert audio.lengths.tolist() == [16_000, 32_000]
    assert audio.rate == 16_000
    assert audio.rms[0] == pytest.approx(0.1 / np.sqrt(2), rel=0.02)


def published_an4(folder: Path, order: str = "an2-fcaw-b cen10-fcaw-b an1-mabc-b") -> Path:
    """The layout of an4_sphere.tar.gz: its lists are in an order of their own."""
    folder.mkdir()
    names = [f"an4test_clstk/{name.split('-')[1]}/{name}" for name in order.split()]
    for i, name in enumerate(names):
        file = folder / "wav" / f"{name}.sph"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, np.full(1600 * (i + 1), 0.1), 16_000, "PCM_16", "BIG", "NIST")
    (folder / "etc").mkdir()
    (folder / "etc" / "an4_test.fileids").write_text("\n".join(names) + "\n")
    (folder / "etc" / "an4_test.transcription").write_text(
        " RUBOUT G SIX  (an2-fcaw-b)\n<s> GO ON </s> (cen10-fcaw-b)\n<s> YES </s> (an1-mabc-b)\n"
    )
    return folder


def test_an4_as_published(tmp_path: Path) -> None:
    folder = published_an4(tmp_path / "an4")
    cuts = list(data.load(f"an4:{folder}/test"))
    assert [c.id for c in cuts] == ["an2-fcaw-b", "cen10-fcaw-b", "an1-mabc-b"]
    assert [c.supervisions[0].text for c in cuts] == ["RUBOUT G SIX", "GO ON", "YES"]
    assert [c.supervisions[0].speaker for c in cuts] == ["fcaw", "fcaw", "mabc"]
    audio = data.read(cuts)
    assert audio.lengths.tolist() == [1600, 3200, 4800]
    assert audio.wav[0, :1600].tolist() == pytest.approx([0.1] * 1600, abs=1e-4)
    assert [c.id for c in data.load(f"an4:{folder}/test,speakers=mabc")] == ["an1-mabc-b"]
    with pytest.raises(CorpusError, match=r"an4_train\.fileids"):
        data.load(f"an4:{folder}/train")
    other = published_an4(tmp_path / "unknown", "an2-fcaw-b an9-fcaw-b")
    with pytest.raises(CorpusError, match="no text for an9-fcaw-b"):
        data.load(f"an4:{other}/test")


def test_an4_has_one_order_in_both_layouts(shared: Path) -> None:
    places = [(c.supervisions[0].speaker, c.id) for c in data.load(f"an4:{shared}/data/an4/test")]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "no utterances"),
        ("u1\ts\t1\tGO\tgone.flac\n", "missing or not audio"),
        ("u1\ts\t1\n", "missing or not audio"),
        ("u1\ts\t1\tGO\ta.flac\nu1\ts\t1\tGO\tb.flac\n", "ids occur twice"),
        (f"u1\ts\t1\t{'GO ' * 50_000}\ta.flac\n", "not a table"),
        ("u1\ts\t1\tGO\ta.raw\n", "missing or not audio"),
    ],
)
def test_broken_tables(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        data.load(f"tsv:{corpus(tmp_path / 'c', rows)}")


def test_speakers_and_seconds_need_not_be_known(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "c", ROWS)
    (folder / "transcripts.tsv").write_text("path\tid\ttext\na.flac\tu1\tgo on\n")
    (cut,) = data.load(f"tsv:{folder}")
    assert (cut.id, cut.duration) == ("u1", 1.0)
    assert cut.supervisions[0].text == "GO ON"
    assert not cut.supervisions[0].speaker


def test_a_table_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "c", ROWS)
    table = folder / "transcripts.tsv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert next(iter(data.load(f"tsv:{folder}"))).id == "u1"
    table.write_bytes("id\tspeaker\xe9".encode("latin-1"))
    with pytest.raises(CorpusError, match="not a table"):
        data.load(f"tsv:{folder}")


def test_missing_folders_columns_and_names(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no such file"):
        data.load(f"tsv:{tmp_path}")
    (tmp_path / "transcripts.tsv").write_text("id\ttext\nx\ty\n")
    with pytest.raises(CorpusError, match=r"\['path'\] are missing"):
        data.load(f"tsv:{tmp_path}")
    with pytest.raises(SpecError, match="known: altered, an4, commonvoice, csv, demo, folder, "):
        data.load("timit:x")
    with pytest.raises(CorpusError, match=r"unpack an4_sphere\.tar\.gz"):
        data.load(f"an4:{tmp_path / 'an4' / 'test'}")
    with pytest.raises(CorpusError, match="no such folder"):
        data.load(f"librispeech:{tmp_path / 'test-clean'}")


def test_librispeech_as_published(tmp_path: Path) -> None:
    part = tmp_path / "LibriSpeech" / "dev-clean"
    for speaker, text in (("84", "HE'S GONE"), ("1272", "")):
        chapter = part / speaker / "121"
        chapter.mkdir(parents=True)
        name = f"{speaker}-121"
        for i in range(2):
            soundfile.write(chapter / f"{name}-000{i}.flac", np.zeros(8_000), 16_000)
        lines = f"{name}-0000 GO ON\n{name}-0001 {text}\n"
        (chapter / f"{name}.trans.txt").write_text(lines)
    cuts = list(data.load(f"librispeech:{part}"))
    assert [(c.id, c.supervisions[0].text, c.supervisions[0].speaker) for c in cuts] == [
        ("1272-121-0000", "GO ON", "1272"),
        ("1272-121-0001", "", "1272"),
        ("84-121-0000", "GO ON", "84"),
        ("84-121-0001", "HE'S GONE", "84"),
    ]
    (part / "84" / "121" / "84-121-0001.flac").unlink()
    with pytest.raises(CorpusError, match=r"84-121-0001: .* missing or not audio"):
        data.load(f"librispeech:{part}")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "c", ROWS)
    cuts = list(data.load(f"tsv:{folder}"))
    (folder / "b.flac").write_bytes(b"gone bad")
    with pytest.raises(AudioError, match=r"u2: .*b\.flac: "):
        data.read(cuts)


def test_a_corpus_is_bounded_in_seconds(tmp_path: Path) -> None:
    spec = f"tsv:{corpus(tmp_path / 'c', ROWS)}"
    for bounds, kept in (
        ("shortest=1.5", ["u2"]),
        ("longest=1", ["u1"]),
        ("longest=2", ["u1", "u2"]),
    ):
        assert [cut.id for cut in data.load(f"{spec},{bounds}")] == kept
    with pytest.raises(CorpusError, match="no utterance of 3 to 8 s"):
        data.load(f"{spec},shortest=3,longest=8")


def test_the_demo_corpus() -> None:
    cuts = list(data.load("demo"))
    assert 20 <= len(cuts) <= 30
    assert len({c.supervisions[0].speaker for c in cuts}) >= 2
    for cut in cuts:
        assert cut.sampling_rate == 16_000
        encode(cut.supervisions[0].text, LABELS)
    audio = data.read(cuts)
    assert (audio.rms > 0.02).all()
    assert audio.wav.abs().max() < 1
    folder = Path(cuts[0].recording.sources[0].source).parents[1]
    assert sum(f.stat().st_size for f in folder.rglob("*")) < 3_000_000
    assert (folder / "ORIGIN.md").is_file()


def test_demo_sentences_are_not_an4s(shared: Path) -> None:
    known = {
        cut.supervisions[0].text
        for part in ("train", "test")
        for cut in data.load(f"an4:{shared / 'data' / 'an4' / part}")
    }
    demo = {cut.supervisions[0].text for cut in data.load("demo")}
    assert not demo & known


def test_the_development_corpora(shared: Path) -> None:
    cuts = list(data.load(f"an4:{shared / 'data' / 'an4' / 'test'}"))
    words = sum(word_edits(c.supervisions[0].text, "")[1] for c in cuts)
    assert (len(cuts), words) == (130, 773)
    mp3 = list(data.load(f"tsv:{shared / 'data' / 'librispeech' / 'dev-clean-mp3'}"))[:3]
    audio = data.read(mp3)
    assert torch.isfinite(audio.wav).all()
    assert (audio.rms > 0.01).all()


def test_descriptions() -> None:
    assert "librispeech:PATH" in data.describe(None)
    assert "24 utterances" in data.describe("demo")
    with pytest.raises(CorpusError, match=r"only librispeech:DIR/LibriSpeech/PART"):
        data.fetch("demo")


def test_texts_without_spaces_are_described_in_characters(tmp_path: Path) -> None:
    wave = 0.1 * torch.ones(1_600)
    spec, _ = write_corpus([(wave, "\u6253\u5f00\u95e8"), (wave, "\u4f60\u597d")], tmp_path)
    assert "unknown speakers, 5 characters" in data.describe(spec)


def test_speakers_can_be_chosen() -> None:
    everyone = {cut.supervisions[0].speaker for cut in data.load("demo")}
    first, *others = sorted(everyone)
    found = {c.supervisions[0].speaker for c in data.load(f"tsv:{asset('demo')},speakers={first}")}
    assert found == {first}
    both = list(data.load(f"tsv:{asset('demo')},speakers={first}+{others[0]}"))
    assert {c.supervisions[0].speaker for c in both} == {first, others[0]}
    with pytest.raises(CorpusError, match="no speaker"):
        data.load(f"tsv:{asset('demo')},speakers=nobody")


def test_a_folder_that_is_not_librispeech_says_so(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no utterances found"):
        data.load(f"librispeech:{corpus(tmp_path / 'a', ROWS)}")
