"""Curves belong to frequencies, not to band numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from melmoat.defenses.shaping import Curve, centres, load_curve, shaping_file
from melmoat.errors import MelmoatError
from melmoat.spectral import mel_basis
from melmoat.vocoders.mel import LAB_MEL, MelSpec


def test_centres_are_where_the_filters_peak() -> None:
    basis = mel_basis(16_000, 8192, 80, 0.0, 8_000.0)
    bins = torch.linspace(0, 8_000, 4097)
    spec = MelSpec(rate=16_000, n_fft=8192, hop=192, win=768, fmax=8_000)
    assert centres(spec) == pytest.approx(bins[basis.argmax(1)].tolist(), abs=2.0)


def test_at_its_own_bands_a_curve_is_itself() -> None:
    values = tuple(np.linspace(1, 0.1, 80).tolist())
    curve = Curve(tuple(centres(LAB_MEL)), values, {})
    assert curve.at(LAB_MEL) == pytest.approx(values)


def test_other_bands_read_it_by_frequency() -> None:
    curve = Curve((100.0, 300.0), (1.0, 0.0), {})
    other = MelSpec(rate=22_050)
    hz = np.array(centres(other))
    expected = np.clip((300 - hz) / 200, 0, 1)
    assert curve.at(other) == pytest.approx(expected.tolist())


def test_a_curve_without_strength_in_any_band_is_refused() -> None:
    curve = Curve((9_000.0, 10_000.0), (0.0, 1.0), {})
    assert max(curve.at(MelSpec(rate=22_050))) > 0
    with pytest.raises(ValueError, match="the curve is 0 in every band of 0 to 8000 Hz"):
        curve.at(LAB_MEL)


def test_a_curve_survives_its_file(tmp_path: Path) -> None:
    curve = Curve((1.0, 2.0), (0.5, 1.0), {"model": "m"})
    curve.save(tmp_path / "c.json")
    assert load_curve(tmp_path / "c.json") == curve
    assert shaping_file(str(tmp_path / "c.json")) == tmp_path / "c.json"


def test_flat_needs_no_file_and_unknown_names_list_the_known() -> None:
    assert shaping_file("flat") is None
    with pytest.raises(MelmoatError, match="unknown shaping 'steep'; known: flat"):
        shaping_file("steep")


@pytest.mark.parametrize(
    "content",
    [
        "no json",
        "[]",
        json.dumps({"hz": [1, 2], "values": [1]}),
        json.dumps({"hz": [1, 2], "values": [1, -1]}),
        json.dumps({"hz": [1, 2], "values": [0, 0]}),
        json.dumps({"hz": [2, 1], "values": [1, 1]}),
        json.dumps({"hz": [1, 2], "values": [1, None]}),
    ],
)
def test_a_file_that_is_no_curve_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(content)
    with pytest.raises(MelmoatError, match="not a shaping curve"):
        load_curve(path)
