"""Attacks on the decoder of a token recognizer: prefixes that mute it, and texts without end.

    train="melmoat train universal --model moonshine:ort:moonshine-voice --where prefix \\
        --data padded:(tsv:librispeech/train-clean-5,shortest=2,longest=6),before=0.64 \\
        --pattern 0.64 --budget norm=linf,eps=0.02,target= --epochs 50"
    $train --out results/decoder/mute.safetensors
    $train --defense wgn:snr=15 --out results/decoder/mute-noise.safetensors
    melmoat bench --suite suites/decoder.py --out results/decoder

To be run from the repository's root. The second prefix was trained through the noise that RS adds
to each of its passes. Needs the extra moonshine.
"""

from lab import LEVEL, run

from melmoat.bench.suite import Suite, TableRow

MODEL = "moonshine:ort:moonshine-voice"
DATA = "padded:(tsv:librispeech/dev-clean-mp3,shortest=2,longest=6),before=0.64"
MUTE = "universal:results/decoder/mute"

ROWS = [
    TableRow("None", MODEL, "none"),
    TableRow("RS", MODEL, "rs:snr=15,votes=5", stochastic=True),
    TableRow("MDNF", MODEL, f"mdnf:vocoder=melgan-lab,level={LEVEL},shaping=flat", stochastic=True),
]
COLUMNS = {
    "silence before": "none",
    "muting prefix, linf 0.02": f"{MUTE}.safetensors",
    "the same, trained through noise": f"{MUTE}-noise.safetensors",
    "endless, l2 30 dB": "pgd:norm=snr,db=30,steps=50,target=endless,stop=true",
}

SUITE = Suite("decoder", ROWS, COLUMNS, frozenset(), limit=40, data=DATA)

if __name__ == "__main__":
    run(__file__, "decoder")
