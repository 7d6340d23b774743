"""The paper's Table 2 on the lab bench: MelGAN defenses against targeted PGD and CW.

    melmoat bench --suite suites/paper_table2.py --out results/an4

Each utterance's target is another text of the corpus of its length, the same in every cell. The
paper's "20 dB" is given to its toolkit as a power ratio of 20, which is 13 dB, so both readings
are measured; the paper's numbers stand beside the one that it says. Steps are half the radius.
CW's box of 0.01 is a louder attack here, since AN4 is recorded about 10 dB lower than LibriSpeech.
Of a stochastic defense one draw may reach the target by chance, which CW as it was published takes
for a success, so those rows are attacked by one that confirms its successes too.
"""

from collections.abc import Mapping

from lab import DATA, LEVEL, run
from paper_numbers import CW_TARGET, RS, TABLE2, in_columns

from melmoat.bench.suite import Suite, TableRow

PGD = "pgd:norm=snr,{},steps=100,step=0.5,target=matched"
BOUNDS = (20, 30, 40)
CW = "CW 0.01"
CONFIRMED = f"{CW}, confirmed"  # a success must be one under 8 further draws before the box shrinks
BOX = "cw:eps=0.01,steps=400,lr=1e-4,target=matched"
COLUMNS = {
    "benign": "none",
    **{f"{bound} dB": PGD.format(f"db={bound}") for bound in BOUNDS},
    CW: BOX,
    CONFIRMED: f"{BOX},confirm=8",
    **{f"ratio {bound}": PGD.format(f"ratio={bound}") for bound in BOUNDS},
}


def rows_of(systems: Mapping[str, tuple[str, str]]) -> list[TableRow]:
    """The rows of the table: recognizer and defense of each of the paper's four systems."""
    return [
        TableRow(
            label,
            *systems[label],
            stochastic=label in ("RS", "MG-MDNF"),
            paper=in_columns(COLUMNS, TABLE2[label]),
            target={CW: CW_TARGET[label]},
        )
        for label in TABLE2
    ]


ROWS = rows_of(
    {
        "None": ("ds2-an4", "none"),
        "RS": ("ds2-an4", RS),
        "MG": ("ds2-an4-mg", "resynth:vocoder=melgan-lab"),
        "MG-MDNF": ("ds2-an4-mg", f"mdnf:vocoder=melgan-lab,level={LEVEL},shaping=an4"),
    }
)

SUITE = Suite(
    "paper_table2", ROWS, COLUMNS, frozenset({CONFIRMED}), limit=20, data=DATA, choose="spread"
)

if __name__ == "__main__":
    run(__file__)
