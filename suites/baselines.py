"""Transformations of the waveform as defenses: what they stop of attacks on the bare recognizer,
and of attacks on the defended one.

    melmoat bench --suite baselines --out results/an4

The unaware attacker crafts on the bare recognizer. All others attack the defended one: through its
exact gradient where it has one, and straight through (BPDA) a codec and coarser samples, which have
none. MP3's last row is attacked through its own gradient, which is zero.
"""

from lab import COLUMNS, DATA, run

from melmoat.bench.suite import Suite, TableRow

ROWS = [
    TableRow("None", "ds2-an4", "none"),
    TableRow("MP3", "ds2-an4", "codec:kind=mp3,gradient=bpda"),
    TableRow("Opus, quality 0.05", "ds2-an4", "codec:kind=opus,quality=0.05,gradient=bpda"),
    TableRow("8 bits", "ds2-an4", "quantize:step=256,gradient=bpda"),
    TableRow("median of 5", "ds2-an4", "median:width=5"),
    TableRow("8 kHz", "ds2-an4", "downsample:rate=8000"),
    TableRow("MP3, its own gradient", "ds2-an4", "codec:kind=mp3"),
]
SHOWN = ("benign", "noise 20 dB", "l2 20 dB")
PGD = COLUMNS["l2 20 dB"]
UNAWARE = "l2 20 dB, unaware"

SUITE = Suite(
    "baselines",
    ROWS,
    {column: COLUMNS[column] for column in SHOWN}
    | {UNAWARE: f"transfer:model=ds2-an4,attack=({PGD})"},
    limit=40,
    data=DATA,
    choose="spread",
)

if __name__ == "__main__":
    run(__file__)
