"""Figures, by matplotlib (extra ``plots``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from melmoat.audio import Audio, load
from melmoat.defenses.shaping import Curve
from melmoat.errors import MelmoatError, extra
from melmoat.vocoders.mel import LAB_MEL, MelSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLORS = ("#0b6e99", "#c4421a", "#4b8b3b", "#7a5195", "#8a6d00", "#555555")


@contextmanager
def figure(path: Path, width: float, height: float, columns: int = 1) -> Iterator[Sequence[Axes]]:
    """Axes in a row to draw on. At the end they are written to ``path``; its suffix is the format.

    Raises:
        MelmoatError: matplotlib is not installed.
    """
    with extra("plots", "a figure"):
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    axes = made.subplots(1, columns, squeeze=False)[0]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    yield list(axes)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with rc_context({"svg.hashsalt": "melmoat"}):  # the same figure is the same file
            made.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)
    except (OSError, ValueError) as error:
        raise MelmoatError(f"cannot write {path}: {error}") from error


def spectrograms(path: Path, audio_by_title: Mapping[str, Audio], mel: MelSpec = LAB_MEL) -> None:
    """Log-mel spectrograms of the first utterance of each, side by side on one scale.

    Args:
        path: where to write.
        audio_by_title: audio by title, at ``mel.rate``.
    """
    images = {}
    for name, audio in audio_by_title.items():
        spectrogram, frames = mel(audio)
        images[name] = spectrogram[0, :, : int(frames[0])].numpy()
    top = max(image.max() for image in images.values())
    with figure(path, 3.2 * len(images) + 0.6, 2.6, len(images)) as axes:
        for ax, (name, image) in zip(axes, images.items(), strict=True):
            seconds = image.shape[1] * mel.hop / mel.rate
            drawn = ax.imshow(
                image,
                origin="lower",
                aspect="auto",
                extent=(0, seconds, 0, mel.bands),
                vmin=top - 4,
                vmax=top,
                cmap="magma",
            )
            ax.set_title(name, fontsize=9)
            ax.set_xlabel("seconds")
        axes[0].set_ylabel("mel band")
        assert axes[-1].figure is not None
        axes[-1].figure.colorbar(drawn, ax=list(axes), label="log10 magnitude", pad=0.01)


def saved_spectrograms(path: Path, folder: Path) -> None:
    """Spectrograms of the first utterance with saved clean, adversarial and defended audio.

    Args:
        path: where to write.
        folder: the cell's folder of audio.

    Raises:
        MelmoatError: there is no such utterance, or matplotlib is not installed.
    """
    files = sorted(folder.glob("*.clean.flac"))
    if not files:
        raise MelmoatError(f"{folder}: the run has no audio")
    name = files[0].name.removesuffix(".clean.flac")
    kinds = ("clean", "adversarial", "defended")
    spectrograms(path, {kind: load(folder / f"{name}.{kind}.flac") for kind in kinds})


def curves(path: Path, curves_by_title: Mapping[str, Curve]) -> None:
    """Shaping curves over frequency (the paper's Figure 2)."""
    with figure(path, 6.0, 3.2) as (ax,):
        for (dash, color), (name, curve) in zip(_styles(), curves_by_title.items(), strict=False):
            ax.plot(curve.hz, curve.values, dash, label=name, color=color)
        ax.set_xlabel("Hz")
        ax.set_ylabel("mean absolute mel difference,\nstrongest band = 1")
        ax.set_ylim(bottom=0)
        ax.legend(frameon=False)


def trade_off(path: Path, series: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Benign against adversarial WER with their intervals, one line per series.

    Args:
        path: where to write.
        series: points by name, each with ``level`` and the summaries ``benign`` and ``attacked``.
    """
    with figure(path, 6.0, 4.0) as (ax,):
        for (dash, color), (name, points) in zip(_styles(), series.items(), strict=False):
            x = [p["benign"]["wer"] for p in points]
            y = [p["attacked"]["wer"] for p in points]
            errors = [_whiskers(points, key) for key in ("benign", "attacked")]
            fmt = f"o{dash}"
            ax.errorbar(x, y, errors[1], errors[0], fmt, color=color, label=name, elinewidth=0.6)
            for point, at in zip(points, zip(x, y, strict=True), strict=True):
                ax.annotate(f"{point['level']:g}", at, (4, 4), textcoords="offset points")
        ax.set_xlabel("benign WER %")
        ax.set_ylabel("adversarial WER %")
        ax.legend(frameon=False)


def _styles() -> Iterator[tuple[str, str]]:
    """A dash and a color for each line, without end: more lines than colors are drawn, too."""
    return cycle(product(("-", "--", ":"), COLORS))


def _whiskers(points: Sequence[Mapping[str, Any]], key: str) -> list[list[float]]:
    cells = [point[key] for point in points]
    low = [c["wer"] - c["wer_low"] if c["wer_low"] is not None else 0.0 for c in cells]
    high = [c["wer_high"] - c["wer"] if c["wer_high"] is not None else 0.0 for c in cells]
    return [low, high]
