"""Attacks on the decoder of a token recognizer: one prefix that mutes it, and texts without end.

    melmoat train universal --model moonshine:ort:moonshine-voice --where prefix --pattern 0.64 \\
        --data "padded:(tsv:librispeech/train-clean-5,shortest=2,longest=6),before=0.64" \\
        --budget "norm=linf,eps=0.02,target=" --epochs 50 --out results/decoder/mute.safetensors
    melmoat bench --suite suites/decoder.py --out results/decoder

To be run from the repository's root. The prefix was trained without a defense. Needs the extra
moonshine.
"""

from lab import LEVEL, run

from melmoat.bench.suite import Suite, TableRow

MODEL = "moonshine:ort:moonshine-voice"
DATA = "padded:(tsv:librispeech/dev-clean-mp3,shortest=2,longest=6),before=0.64"

ROWS = [
    TableRow("None", MODEL, "none"),
    TableRow("RS", MODEL, "rs:snr=15,votes=5", stochastic=True),
    TableRow("MDNF", MODEL, f"mdnf:vocoder=melgan-lab,level={LEVEL},shaping=flat", stochastic=True),
]
COLUMNS = {
    "silence before": "none",
    "muting prefix, linf 0.02": "universal:results/decoder/mute.safetensors",
    "endless, l2 30 dB": "pgd:norm=snr,db=30,steps=50,target=endless,stop=true",
}

SUITE = Suite("decoder", ROWS, COLUMNS, frozenset(), limit=40, data=DATA)

if __name__ == "__main__":
    run(__file__, "decoder")
