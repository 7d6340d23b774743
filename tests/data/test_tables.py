"""Corpora that are a table."""

from pathlib import Path

import pytest

from melmoat import data
from melmoat.data.corpora import CorpusError
from tests.data.speech import LEVELS, steps, tone

VOICE = "client_id\tpath\tsentence\tup_votes\n"


def test_common_voice(tmp_path: Path) -> None:
    for name in ("common_voice_de_1.mp3", "common_voice_de_2.mp3"):
        tone(tmp_path / "clips" / name, 1.0, 48_000)
    rows = 'abc\tcommon_voice_de_1.mp3\t"Ja", sagte sie.\t2\nx\tcommon_voice_de_2\tNein\t0\n'
    (tmp_path / "test.tsv").write_text(VOICE + rows, encoding="utf-8")
    cuts = list(data.load(f"commonvoice:{tmp_path / 'test.tsv'}"))
    assert [c.id for c in cuts] == ["common_voice_de_1", "common_voice_de_2"]
    assert [data.written(c) for c in cuts] == ['"Ja", sagte sie.', "Nein"]
    assert [c.supervisions[0].speaker for c in cuts] == ["abc", "x"]
    assert [c.duration for c in cuts] == pytest.approx([1, 1], abs=0.1)
    (one,) = data.load(f"commonvoice:{tmp_path / 'test.tsv'},speakers=x")
    assert one.id == "common_voice_de_2"
    for path in (tmp_path, tmp_path / "test"):
        with pytest.raises(CorpusError, match=r"name a part, such as test\.tsv \(.*test\.tsv\)"):
            data.load(f"commonvoice:{path}")


def test_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    for name in ("a", "b", "sub/c"):
        tone(tmp_path / f"{name}.wav")
    table = tmp_path / "list.csv"
    table.write_text(
        'file,what,who\na.wav,"Yes, ""six""",s1\nb.wav,"two\nlines",s2\nsub/c.wav,plain,s1\n'
    )
    spec = f"csv:{table},file=file,text=what,speaker=who"
    cuts = list(data.load(spec))
    assert [c.id for c in cuts] == ["a", "b", "sub/c"]
    assert [data.written(c) for c in cuts] == ['Yes, "six"', "two lines", "plain"]
    assert [c.supervisions[0].speaker for c in cuts] == ["s1", "s2", "s1"]
    table.write_text("id;text;path\nu1;Yes, six;a.wav\n")
    (cut,) = data.load(f"csv:{table}")
    assert (cut.id, data.written(cut)) == ("u1", "Yes, six")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("path,text\na.wav,yes, six\n", "line 2: more fields than the 2 columns"),
        ('path,text\na.wav,"yes\nb.wav,no\n', "not a table"),  # a quote that is never closed
        ("path,text,text\na.wav,yes,no\n", "are there twice"),
        ("path,words\na.wav,yes\n", r"\['text'\] are missing; it has \['path', 'words'\]; .*text="),
        ("path,text\na.wav,yes\na.wav,no\n", "line 3: ids occur twice: 'a' is that of line 2"),
        ("path,text,start_time\na.wav,yes,1\n", "'start_time' looks like a part of a file"),
        ("path,text,start\na.wav,yes,one\n", "line 2: start must be a number"),
        ("path,text,start\na.wav,yes,nan\n", "line 2: start must be a number"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, rows: str, message: str) -> None:
    tone(tmp_path / "a.wav")
    (tmp_path / "list.csv").write_text(rows)
    with pytest.raises(CorpusError, match=message):
        data.load(f"csv:{tmp_path / 'list.csv'}")


@pytest.mark.parametrize("option", ["id", "speaker"])
def test_a_column_that_is_named_has_to_be_there(tmp_path: Path, option: str) -> None:
    tone(tmp_path / "a.wav")
    (tmp_path / "list.csv").write_text("path,text,who\na.wav,yes,s1\n")
    with pytest.raises(CorpusError, match=r"\['whom'\] are missing; it has \['path', 'text', 'who"):
        data.load(f"csv:{tmp_path / 'list.csv'},{option}=whom")


@pytest.mark.parametrize("columns", ["start\tend", "offset\tduration"])
def test_a_part_of_a_file_is_heard_alone(tmp_path: Path, columns: str) -> None:
    steps(tmp_path / "long.wav")
    rows = "".join(
        f"u{i}\tGO\tlong.wav\t{i}.25\t{i + 0.75 if 'end' in columns else 0.5}\n" for i in range(3)
    )
    (tmp_path / "transcripts.tsv").write_text(f"id\ttext\tpath\t{columns}\n{rows}")
    cuts = list(data.load(f"tsv:{tmp_path}"))
    assert [(c.start, c.duration) for c in cuts] == [(0.25, 0.5), (1.25, 0.5), (2.25, 0.5)]
    audio = data.read(cuts)
    assert audio.lengths.tolist() == [8_000] * 3
    assert audio.rms.tolist() == pytest.approx(list(LEVELS), rel=0.02)


def test_a_part_that_is_not_in_its_file_is_named(tmp_path: Path) -> None:
    steps(tmp_path / "long.wav")
    rows = "a\tGO\tlong.wav\t2\t9\nb\tGO\tlong.wav\t2\t1\nc\tGO\tlong.wav\t0\t3.05\n"
    (tmp_path / "transcripts.tsv").write_text(f"id\ttext\tpath\tstart\tend\n{rows}")
    late, none, rounded = data.listed(f"tsv:{tmp_path}")
    assert "its part ends at 9 s, but the file at 3.000 s" in data.fault(late)
    assert "a part from 2 to 1 s is empty" in data.fault(none)
    assert (rounded.start, rounded.duration) == (0, 3)
