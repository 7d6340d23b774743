import io
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console

from melmoat.analysis.results import Comparison
from melmoat.audio import Audio
from melmoat.metrics.intervals import Difference
from melmoat.report.charts import Axis, Point, Series, chart, rates
from melmoat.report.digest import places
from melmoat.report.findings import comparisons
from melmoat.report.listening import png, spectrogram


def test_overlapping_rows_share_their_places() -> None:
    assert places([(1, 4), (3, 6), (5, 9), (20, 30)]) == [(1, 2), (1, 3), (2, 3), (4, 4)]
    assert places([]) == []


def test_a_chart_puts_values_where_its_axes_say_and_escapes_names() -> None:
    x = Axis("<x>", 40, 20, [(40, "40"), (20, "20")])
    picture = chart(
        "t", "d", [Series("<s>", [Point(20, 50, (40, 60), label="&")])], x, rates("y", [60])
    )
    assert "<s>" not in picture
    assert "&lt;s&gt;: &amp;" in picture
    assert "M624.0 " in picture  # the whisker, at the right end of a falling axis


def test_axes_of_rates_start_at_zero_and_cover_the_data() -> None:
    for top in (0, 9, 37, 101, 480):
        axis = rates("", [top])
        assert (axis.start, axis.ticks[0][0]) == (0, 0)
        assert axis.end >= top
        assert 2 <= len(axis.ticks) <= 9


def test_png_comes_back_as_it_was() -> None:
    from PIL import Image

    image = np.arange(6, dtype=np.uint8).reshape(2, 3) * 50
    back = Image.open(io.BytesIO(png(image)))
    assert back.size == (3, 2)
    assert np.array_equal(np.asarray(back), image)  # palette indices
    light = [sum(back.convert("RGB").getpixel((x, y))) for y in range(2) for x in range(3)]  # type: ignore[arg-type]
    assert light == sorted(light)


def test_a_tone_lies_at_its_height() -> None:
    t = torch.arange(16_000) / 16_000
    heights = []
    for hz in (300, 1000, 4000):
        data = spectrogram(Audio.of([0.1 * torch.sin(2 * torch.pi * hz * t)]), top=1.0)
        start = data.index(b"IDAT") + 4
        length = int.from_bytes(data[start - 8 : start - 4], "big")
        columns = int.from_bytes(data[16:20], "big")
        raw = np.frombuffer(zlib.decompress(data[start : start + length]), np.uint8)
        image = raw.reshape(80, columns + 1)[:, 1:].astype(float)
        heights.append(int(image.sum(1).argmax()))
    assert heights[0] > heights[1] > heights[2]  # row 0 is the top


def printed(what: object) -> str:
    console = Console(width=120)
    with console.capture() as text:
        console.print(what)
    return text.get()


@pytest.mark.parametrize(("n", "p", "needed"), [(8, 0.06, 7), (40, 0.051, 30)])
def test_a_comparison_says_one_thing(n: int, p: float, needed: int) -> None:
    made = Comparison("a / none", "b / none", "reference", n, Difference(9.0, 1.0, 17.0, p))
    text = printed(comparisons([replace(made, needed=needed)]))
    line = next(x for x in text.splitlines() if "A - B" in x)
    assert f"> {n}" in line
    assert line.split("│")[-2].strip() == "no"
    assert ("[+1.0, +17.0]" in line) == (n >= 20)
    sure = replace(made, difference=Difference(9.0, 1.0, 17.0, 0.01), needed=needed)
    line = next(x for x in printed(comparisons([sure])).splitlines() if "A - B" in x)
    assert line.split("│")[-2].strip() == "yes"
    assert str(needed) in line
