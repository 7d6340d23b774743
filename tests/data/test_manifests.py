"""Lists of other toolkits."""

import json
from pathlib import Path

import pytest
from lhotse import CutSet, Recording, SupervisionSegment
from lhotse.cut import MonoCut

from melmoat import data
from melmoat.data.corpora import CorpusError
from tests.data.speech import steps, tone


def manifest(path: Path, *objects: object) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in objects))
    return f"manifest:{path}"


def test_a_manifest_with_parts(tmp_path: Path) -> None:
    steps(tmp_path / "x" / "long.wav")
    tone(tmp_path / "x" / "sub" / "a.wav")
    spec = manifest(
        tmp_path / "x" / "list.jsonl",
        {"audio_filepath": "sub/a.wav", "text": "Yes", "duration": 1.004, "speaker": 7},
        {"audio_filepath": str(tmp_path / "x/long.wav"), "text": "no", "offset": 1, "duration": 1},
        {"audio_filepath": "long.wav", "text": "first", "duration": 0.5, "id": "mine"},
    )
    cuts = list(data.load(spec))
    assert [c.id for c in cuts] == ["sub/a", "long@1.000+1.000", "mine"]
    assert [(c.start, c.duration) for c in cuts] == [(0, 1), (1, 1), (0, 0.5)]
    assert cuts[0].supervisions[0].speaker == "7"
    audio = data.read(cuts)
    assert audio.lengths.tolist() == [16_000, 16_000, 8_000]
    assert audio.rms[1:].tolist() == pytest.approx([0.2, 0.1], rel=0.02)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"audio_filepath": "a.wav", "text": "x"}\n{"audio', "line 2: not JSON"),
        ("[1]", "line 1: not a JSON object"),
        ('\n{"audio_filepath": "a.wav"}', r"line 2: no text under \['text'\]; it has"),
        ('{"audio_filepath": "a.wav", "text": "x", "duration": "long"}', "line 1: duration must"),
        ('{"audio_filepath": "a.wav", "text": "x", "id": ""}', "line 1: an utterance without"),
        ('{"audio_filepath": "a.wav", "text": "x", "id": "\\ud800"}', "line 1: control char"),
    ],
)
def test_manifests_that_are_refused(tmp_path: Path, lines: str, message: str) -> None:
    tone(tmp_path / "a.wav")
    (tmp_path / "list.jsonl").write_text(lines)
    with pytest.raises(CorpusError, match=message):
        data.load(f"manifest:{tmp_path / 'list.jsonl'}")


def cut(path: Path, name: str, start: float, seconds: float, channel: int = 0) -> MonoCut:
    recording = Recording.from_file(path, recording_id=name)
    said = SupervisionSegment(name, name, 0, seconds, channel, text=f"{name} said", speaker="s")
    return MonoCut(name, start, seconds, channel, [said], recording=recording)


def test_cuts_of_lhotse_are_the_parts_and_channels_that_they_say(tmp_path: Path) -> None:
    long = steps(tmp_path / "long.wav")
    wide = tone(tmp_path / "wide.wav", levels=(0.1, 0.3))
    bare = cut(long, "bare", 0, 1).drop_supervisions()
    fast = cut(long, "fast", 0, 1).perturb_speed(1.1)
    mixed = cut(long, "m", 0, 1).append(cut(long, "n", 1, 1)).with_id("mixed")
    parts = [cut(long, "late", 2.25, 0.5), cut(wide, "left", 0, 1), cut(wide, "right", 0, 1, 1)]
    CutSet.from_cuts([*parts, bare, fast, mixed]).to_file(tmp_path / "cuts.jsonl.gz")
    spec = f"lhotse:{tmp_path / 'cuts.jsonl.gz'}"
    late, left, right, *others = data.listed(spec)
    audio = data.read([late, left, right])
    assert audio.lengths.tolist() == [8_000, 16_000, 16_000]
    assert audio.rms[0].item() == pytest.approx(0.3, rel=0.02)
    assert (audio.rms[2] / audio.rms[1]).item() == pytest.approx(3, rel=1e-3)
    assert data.written(late) == "late said"
    reasons = [data.fault(one) for one in others]
    assert "cut 4: 0 supervisions" in reasons[0]
    assert "cut 5: its recording has transforms" in reasons[1]
    assert "cut 6: a MixedCut" in reasons[2]
    with pytest.raises(CorpusError, match="3 of 6"):
        data.load(spec)


def test_what_is_no_list_of_cuts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cuts.jsonl").write_text("no json\n")
    with pytest.raises(CorpusError, match="not cuts of Lhotse"):
        data.load(f"lhotse:{tmp_path / 'cuts.jsonl'}")


def test_a_part_by_another_name_is_refused_and_null_is_nothing(tmp_path: Path) -> None:
    tone(tmp_path / "a.wav")
    one = {"audio_filepath": "a.wav", "text": "x", "speaker": None, "id": None}
    (cut,) = data.load(manifest(tmp_path / "list.jsonl", one))
    assert (cut.id, cut.supervisions[0].speaker) == ("a", "")
    for odd in ({"start": 0.5, "end": 1.0}, {"segment_start": 0.5}):
        with pytest.raises(CorpusError, match="looks like a part of a file; name it offset"):
            data.load(manifest(tmp_path / "list.jsonl", one | odd))
