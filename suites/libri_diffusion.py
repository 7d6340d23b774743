"""Diffusion purification on LibriSpeech, beside no defense, smoothing, and the same noise alone.

    melmoat bench --suite suites/libri_diffusion.py --out results/libri

Attacks go through the noise that was drawn and through every reverse step, with the exact gradient;
the EOT column averages the loss over 5 draws. Dual averaging averages over its steps. Cells that
stand in Table 1, too, are measured once. Needs the extra hama.
"""

from lab import run
from libri import DATA, FOLDER, MODEL, UTTERANCES
from paper_numbers import EOT, L2, MORE_DRAWS, NOISE, RS, SAME_SIZE, UNTARGETED, WEAK

from melmoat.bench.suite import Suite, TableRow

SNR = 15  # dB, of all three; chosen in docs/defenses.md

ROWS = [
    TableRow("None", MODEL, "none"),
    TableRow("RS", MODEL, RS),
    TableRow("White noise", MODEL, f"wgn:snr={SNR}", stochastic=True),
    TableRow("Diffusion, 1 step", MODEL, f"diffusion:snr={SNR}", stochastic=True),
    TableRow("Diffusion, 2 steps", MODEL, f"diffusion:snr={SNR},steps=2", stochastic=True),
]
COLUMNS = {
    "benign": "none",
    NOISE: SAME_SIZE,
    WEAK: UNTARGETED[WEAK],
    L2: UNTARGETED[L2],
    f"{WEAK}, dual averaging": UNTARGETED[WEAK].replace("pgd", "dual-averaging"),
    EOT: MORE_DRAWS,
}

SUITE = Suite("libri_diffusion", ROWS, COLUMNS, frozenset({EOT}), limit=UTTERANCES, data=DATA)

if __name__ == "__main__":
    run(__file__, FOLDER)
