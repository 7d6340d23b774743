"""HiFi-GAN defenses of Whisper tiny.en, which cost too much for whisper_table.py.

    melmoat bench --suite suites/whisper_hifigan.py --out results/whisper_hifigan --batch 4

Fewer at once than elsewhere, because the graph is large. The undefended row is measured again, on
the same utterances.
"""

from lab import SPEECH, run
from whisper_table import LINE, MDNF, MODEL

from melmoat.bench.suite import Suite, TableRow

VOCODER = "vocoder=hifigan-universal"
COLUMNS = {
    "benign": "none",
    "noise, l2 1.5": "noise:norm=l2,eps=1.5",
    "l2 1.5, 25 it.": LINE.format("l2", 1.5, 25),
}
ROWS = [
    TableRow("None", MODEL, "none"),
    TableRow("HiFi-GAN", MODEL, f"resynth:{VOCODER}"),
    TableRow("HiFi-GAN-MDNF", MODEL, f"{MDNF},{VOCODER}"),
]

SUITE = Suite("whisper_hifigan", ROWS, COLUMNS, limit=8, data=SPEECH, choose="spread")

if __name__ == "__main__":
    run(__file__, "whisper_hifigan")
