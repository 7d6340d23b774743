"""Ids that are refused, utterances that cannot be heard and are named."""

from pathlib import Path

import pytest

from melmoat import data
from melmoat.bench.worker import choose, plan
from melmoat.data.corpora import CorpusError
from melmoat.spec import SpecError
from tests.data.speech import tone


def corpus(folder: Path, *rows: str) -> str:
    tone(folder / "a.wav")
    tone(folder / "b.wav", 2.0)
    (folder / "empty.mp3").touch()
    table = "id\ttext\tpath\n" + "".join(f"{row}\n" for row in rows)
    (folder / "transcripts.tsv").write_text(table, encoding="utf-8")
    return f"tsv:{folder}"


def test_all_utterances_that_cannot_be_heard_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.wav").mkdir()
    spec = corpus(
        tmp_path, "u1\tGO\ta.wav", "u2\tON\tempty.mp3", "u3\tX\tgone.wav", "u4\tY\tfolder.wav"
    )
    with pytest.raises(CorpusError, match="3 of 4 utterances cannot be used") as said:
        data.load(spec)
    for name in ("u2: line 3: .*empty.mp3", "u3: line 4: .*gone.wav: no such", "u4: line 5: "):
        assert said.match(name)
    cuts = list(data.listed(spec))
    assert [bool(data.fault(cut)) for cut in cuts] == [False, True, True, True]
    assert [data.written(cut) for cut in cuts] == ["GO", "ON", "X", "Y"]
    with pytest.raises(data.waveforms.AudioError, match="u3: line 4: missing"):
        data.read(cuts[2:3])
    with pytest.raises(CorpusError, match="2 of 2 utterances cannot be used"):
        data.listed(corpus(tmp_path, "u1\tGO\tgone.wav", "u2\tON\tempty.mp3"))


def test_what_is_broken_changes_no_choice_and_no_batch_of_others(tmp_path: Path) -> None:
    rows = [f"u{i}\tGO\t{'ab'[i % 2]}.wav" for i in range(8)]
    sound = list(data.listed(corpus(tmp_path, *rows)))
    rows[3] = "u3\tGO\tempty.mp3"
    torn = list(data.listed(corpus(tmp_path, *rows)))
    assert [c.id for c in choose(torn, 4)] == [c.id for c in choose(sound, 4)]
    batches = [[c.id for c in batch] for batch in plan(torn, 4)]
    assert batches == [["u1", "u5", "u7", "u0"], ["u2", "u4", "u6"], ["u3"]]


@pytest.mark.parametrize(
    ("rows", "messages"),
    [
        (["\tGO\ta.wav"], ["line 2: an utterance without an id"]),
        (["u\tGO\ta.wav", " \tGO\ta.wav"], ["line 3: an utterance without an id"]),
        (["u\x1b[2J\tGO\ta.wav"], [r"line 2: control characters in the id 'u\x1b[2J'"]),
        (["u\u2028v\tGO\ta.wav"], ["line 2: control characters"]),
        (
            ["u\tGO\ta.wav", "v\tON\ta.wav", "u\tON\tb.wav", "u\tX\tb.wav"],
            ["line 4: ids occur twice: 'u' is that of line 2", "line 5: ids occur twice: 'u'"],
        ),
    ],
)
def test_ids_that_are_refused(tmp_path: Path, rows: list[str], messages: list[str]) -> None:
    with pytest.raises(CorpusError) as said:
        data.listed(corpus(tmp_path, *rows))
    assert all(message in str(said.value) for message in messages)


def test_a_channel_is_chosen_and_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    spec = corpus(tmp_path, "one\tGO\ta.wav", "two\tGO\tstereo.wav")
    tone(tmp_path / "stereo.wav", levels=(0.1, 0.3))
    levels = {}
    for channel in ("mix", "0"):
        levels[channel] = data.read(list(data.load(f"{spec},channel={channel}"))[1:]).rms.item()
    (one, two) = data.listed(f"{spec},channel=1")
    assert "no channel 1" in data.fault(one)
    levels["1"] = data.read([two]).rms.item()
    assert levels["1"] / levels["0"] == pytest.approx(3, rel=1e-3)
    assert levels["mix"] / levels["0"] == pytest.approx(2, rel=1e-3)
    assert str(data.CORPORA.parse(f"{spec},channel=mix")) == spec  # its cells keep their keys
    with pytest.raises(SpecError, match="channel"):
        data.load(f"{spec},channel=left")


def test_a_path_in_place_of_a_name_is_answered_with_specs(tmp_path: Path) -> None:
    tone(tmp_path / "mine" / "a.wav")
    with pytest.raises(SpecError, match=rf"is it folder:{tmp_path}/mine or tsv:{tmp_path}/mine"):
        data.load(f"{tmp_path}/mine")
    (tmp_path / "list.csv").touch()
    with pytest.raises(SpecError, match=rf"is it csv:{tmp_path}/list.csv"):
        data.load(f"{tmp_path}/list.csv")
    with pytest.raises(SpecError, match="known: altered, an4"):
        data.load(f"{tmp_path}/nothing")
