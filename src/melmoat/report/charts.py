"""Charts as inline SVG; their colours come from the page's style sheet, so they suit its theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

WIDTH, HEIGHT = 640, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 14, 46
MARKS = 20  # height of the line of marks
SHAPES = ("circle", "square", "triangle", "diamond")
COLORS = 6


@dataclass(frozen=True)
class Point:
    """A point. ``up`` and ``across`` are intervals of ``y`` and ``x``; ``label`` is its tooltip."""

    x: float
    y: float
    up: tuple[float, float] | None = None
    across: tuple[float, float] | None = None
    label: str = ""


@dataclass(frozen=True)
class Series:
    """Points of one name, with or without a line between them."""

    name: str
    points: Sequence[Point]
    joined: bool = True


@dataclass(frozen=True)
class Axis:
    """A linear axis from ``start`` to ``end`` (which may be the smaller one) with its ticks.
    ``marks`` are further places with a name, such as budgets; they stand below the ticks."""

    title: str
    start: float
    end: float
    ticks: Sequence[tuple[float, str]] = field(default_factory=tuple)
    marks: Sequence[tuple[float, str]] = field(default_factory=tuple)

    def at(self, value: float, length: float) -> float:
        """The position of ``value`` on an axis of this ``length``."""
        return (value - self.start) / (self.end - self.start) * length


def rates(title: str, values: Sequence[float]) -> Axis:
    """An axis of percentages from 0, with round ticks."""
    top = max([*values, 10.0])
    step = next(s for s in (5, 10, 20, 25, 50, 100, 200, 500, 10**9) if top / s <= 8)
    end = step * math.ceil(top / step)
    return Axis(title, 0, end, [(t, str(t)) for t in range(0, end + 1, step)])


def chart(title: str, about: str, series: Sequence[Series], x: Axis, y: Axis) -> Markup:
    """Draw ``series``; ``title`` and ``about`` are for screen readers."""
    bottom = BOTTOM + (MARKS if x.marks else 0)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - bottom

    def px(value: float) -> float:
        return round(LEFT + x.at(value, wide), 1)

    def py(value: float) -> float:
        return round(TOP + high - y.at(value, high), 1)

    out = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" class="chart">'
        f"<title>{escape(title)}</title><desc>{escape(about)}</desc>"
    ]
    for value, text in y.ticks:
        out.append(f'<path class="grid" d="M{LEFT} {py(value)}H{WIDTH - RIGHT}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{py(value) + 4}" class="end">{escape(text)}</text>')
    for value, text in x.ticks:
        place = f'x="{px(value)}" y="{HEIGHT - bottom + 18}"'
        out.append(f'<path class="grid" d="M{px(value)} {TOP}V{HEIGHT - bottom}"/>')
        out.append(f'<text {place} class="middle">{escape(text)}</text>')
    for value, text in x.marks:
        foot = HEIGHT - bottom
        out.append(f'<path class="budget" d="M{px(value)} {TOP}V{foot + 24}"/>')
        out.append(f'<text x="{px(value)}" y="{foot + 37}" class="middle">{escape(text)}</text>')
    out.append(
        f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 8}" class="middle">{escape(x.title)}</text>'
    )
    out.append(
        f'<text transform="translate(14 {TOP + high / 2}) rotate(-90)" class="middle">'
        f"{escape(y.title)}</text>"
    )
    for i, line in enumerate(series):
        out.append(f'<g class="series c{i % COLORS}">')
        if line.joined and len(line.points) > 1:
            path = "L".join(f"{px(p.x)} {py(p.y)}" for p in line.points)
            out.append(f'<path class="line d{i // COLORS % 3}" d="M{path}"/>')
        for p in line.points:
            if p.up:
                low, high_end = map(py, p.up)
                out.append(f'<path class="whisker" d="M{px(p.x)} {low}V{high_end}"/>')
            if p.across:
                left, right = map(px, p.across)
                out.append(f'<path class="whisker" d="M{left} {py(p.y)}H{right}"/>')
            tip = f"<title>{escape(f'{line.name}: {p.label}')}</title>"
            out.append(f'<path class="mark" d="{_mark(i, px(p.x), py(p.y))}">{tip}</path>')
        out.append("</g>")
    out.append("</svg>")
    return Markup("".join(out))  # every text in it is escaped above


def key(number: int) -> Markup:
    """The mark of series ``number``, for a legend."""
    return Markup(
        f'<svg viewBox="0 0 14 14" class="key c{number % COLORS}" aria-hidden="true">'
        f'<path class="mark" d="{_mark(number, 7, 7)}"/></svg>'
    )


def _mark(number: int, x: float, y: float) -> str:
    shape = SHAPES[(number // COLORS + number) % len(SHAPES)]
    if shape == "circle":
        return f"M{x - 4.5:.1f} {y:.1f}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0Z"
    if shape == "square":
        return f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8Z"
    if shape == "triangle":
        return f"M{x:.1f} {y - 5.2:.1f}l5 9h-10Z"
    return f"M{x:.1f} {y - 5.6:.1f}l5.6 5.6l-5.6 5.6l-5.6 -5.6Z"
