"""An exact gradient that shows nothing: Griffin-Lim before Whisper tiny.en.

    melmoat bench --suite suites/whisper_gradients.py --out results/whisper

Three attackers of the same two defenses: one with the exact gradient through all 32 iterations,
one whose gradient runs through the last two (the forward pass is the same), and one who does not
know of any defense. The judge is the same for all.
"""

from lab import SPEECH, run
from whisper_table import GRIFFIN_LIM, LINE, MDNF, MODEL

from melmoat.bench.suite import Suite, TableRow

PGD = LINE.format("l2", 0.5, 50)
BLIND = "l2 0.5, knowing no defense"
COLUMNS = {
    "benign": "none",
    "l2 0.5": PGD,
    BLIND: f"transfer:model={MODEL},attack=({PGD})",
}
ROWS = [
    TableRow(f"{name}, {kind}", MODEL, defense.format(vocoder))
    for name, defense in {
        "Griffin-Lim": "resynth:vocoder={}",
        "Griffin-Lim-MDNF": f"{MDNF},vocoder={{}}",
    }.items()
    for kind, vocoder in {"exact": "griffin-lim", "the last two": GRIFFIN_LIM}.items()
]

SUITE = Suite("whisper_gradients", ROWS, COLUMNS, limit=40, data=SPEECH, choose="spread")

if __name__ == "__main__":
    run(__file__, "whisper")
