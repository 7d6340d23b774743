"""A folder of entries: both files, one corpus list, nothing that contradicts."""

from dataclasses import replace
from pathlib import Path

import pytest

from melmoat.errors import MelmoatError
from melmoat.standard.entries import CORPORA, TEMPLATE, read_entries, read_statement
from tests.standard.made_results import DATA, made, with_normaliser, write_entry

HOME = Path(__file__).parents[2] / "results" / "standard"


def test_an_entry_is_what_was_measured_and_what_is_said(tmp_path: Path) -> None:
    speed = "real_time_factor: 0.5\nmachine: one core\n"
    write_entry(tmp_path, "noise-5", made([4] * 20), "Noise", True, speed)
    (entry,) = read_entries(tmp_path)
    assert (entry.name, entry.corpus) == ("noise-5", "AN4 test")
    assert (entry.statement.label, entry.statement.training) == ("Noise", True)
    assert (entry.statement.real_time_factor, entry.statement.machine) == (0.5, "one core")
    assert entry.result == made([4] * 20)


def test_both_files_belong_to_an_entry(tmp_path: Path) -> None:
    write_entry(tmp_path, "one", made([4] * 20))
    (tmp_path / "one.yaml").unlink()
    with pytest.raises(MelmoatError, match=r"one\.yaml is missing"):
        read_entries(tmp_path)
    (tmp_path / "one.json").rename(tmp_path / "two.json")
    write_entry(tmp_path, "one", made([4] * 20))
    (tmp_path / "two.json").unlink()
    (tmp_path / "one.json").unlink()
    with pytest.raises(MelmoatError, match=r"one\.json is missing"):
        read_entries(tmp_path)


def test_other_data_and_few_utterances_are_refused(tmp_path: Path) -> None:
    write_entry(tmp_path, "few", made([4] * 19))
    with pytest.raises(MelmoatError, match="19 utterances; an entry has at least 20"):
        read_entries(tmp_path)
    write_entry(tmp_path, "few", made([4] * 20, data="an4:an4/tset"))
    with pytest.raises(MelmoatError, match="did you mean 'an4:an4/test'"):
        read_entries(tmp_path)


def test_a_name_is_also_an_address(tmp_path: Path) -> None:
    write_entry(tmp_path, "A b", made([4] * 20))
    with pytest.raises(MelmoatError, match="small letters, digits and hyphens"):
        read_entries(tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("link: http://example.org", "begins with https"),
        ("link: javascript:alert(1)", "begins with https"),
        ("label: ''", "label: expected one line"),
        ("label: [x]", "label: expected"),
        (f"sentence: {'x' * 241}", "1 to 240 characters"),
        ("training: maybe", "training: expected"),
        ("real_time_factor: 0.5", "belong together"),
        ("real_time_factor: -1\nmachine: x", "a number above 0"),
        ("speed: 3", r"unknown \['speed'\]"),
        ("x", "not readable"),
    ],
)
def test_what_is_said_is_checked(line: str, said: str, tmp_path: Path) -> None:
    fine = {"label": "X", "sentence": "It is.", "link": "https://x.org", "training": "false"}
    key = line.partition(":")[0]
    text = "".join(f"{k}: {v}\n" for k, v in fine.items() if k != key) + line + "\n"
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(MelmoatError, match=said):
        read_statement(path)


def test_one_system_has_one_entry(tmp_path: Path) -> None:
    write_entry(tmp_path, "one", made([4] * 20))
    write_entry(tmp_path, "two", made([3] * 24))
    with pytest.raises(MelmoatError, match="two and one are the same system"):
        read_entries(tmp_path)


def test_a_smaller_entry_has_utterances_of_the_larger(tmp_path: Path) -> None:
    write_entry(tmp_path, "large", made([4] * 24))
    small = made([4] * 20, defense="rs")
    write_entry(tmp_path, "small", small)
    assert len(read_entries(tmp_path)) == 2
    ids = ("v00", *small.utterances.ids[1:])
    other = replace(
        small,
        utterances=replace(small.utterances, ids=ids),
        cost=dict.fromkeys(ids, small.cost["u01"]),
    )
    write_entry(tmp_path, "small", other)
    with pytest.raises(MelmoatError, match="1 utterances that large has not, such as v00"):
        read_entries(tmp_path)


def test_one_utterance_has_one_text(tmp_path: Path) -> None:
    write_entry(tmp_path, "one", made([2] * 20))
    other = made([2] * 20, defense="rs")
    longer = replace(other.utterances, lengths=(8,) * 20)
    halved = replace(
        other,
        utterances=longer,
        clean=replace(other.clean, capped=0.0),
        levels=tuple(replace(f, capped=(f.capped or 0) / 2) for f in other.levels),
        half=replace(other.half, db=None) if other.half else None,
    )
    write_entry(tmp_path, "two", halved)
    with pytest.raises(MelmoatError, match="u00 has 8 words in two, and 4 in one"):
        read_entries(tmp_path)
    write_entry(tmp_path, "two", with_normaliser(halved, "whisper-english"))
    assert len(read_entries(tmp_path)) == 2  # they count in another way, and are not compared


def test_the_template_and_the_corpora_of_this_repository_can_be_read(tmp_path: Path) -> None:
    assert read_statement(HOME / TEMPLATE).training is False
    (tmp_path / CORPORA).write_bytes((HOME / CORPORA).read_bytes())
    assert read_entries(tmp_path) == []
    assert DATA in (HOME / CORPORA).read_text()
