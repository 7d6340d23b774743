"""Why the paper's numbers may differ: the attacker's gradient, its sample rate, its noise.

    melmoat bench --suite suites/libri_gradients.py --out results/libri

The defense is MG-MDNF, and the judge hears it in every row. The backward pass goes through the
noise that was drawn (exact), or through noise drawn anew (resampled, as the paper's toolkit
probably did). The authors' older code divides the noise by its norm over the whole utterance
(norm=utterance), which makes it weaker in long ones.
"""

from lab import run
from libri import COLUMNS, DATA, FOLDER, SHAPED, TUNED
from paper_numbers import L2, WEAK

from melmoat.bench.suite import Suite, TableRow

ROWS = [
    TableRow("exact", TUNED, SHAPED),
    TableRow("resampled", TUNED, f"{SHAPED},gradient=resampled"),
    TableRow("norm=utterance, exact", TUNED, f"{SHAPED},norm=utterance"),
    TableRow("norm=utterance, resampled", TUNED, f"{SHAPED},norm=utterance,gradient=resampled"),
]

SUITE = Suite(
    "libri_gradients",
    ROWS,
    {name: COLUMNS[name] for name in ("benign", L2, WEAK)},
    limit=20,
    data=DATA,
)

if __name__ == "__main__":
    run(__file__, FOLDER)
