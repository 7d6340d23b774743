"""What the suites of the lab bench have in common: its columns, levels and folder.

The suites share one folder, so a cell that stands in two tables is measured once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from melmoat.bench.cell import Cell
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store
from melmoat.errors import MelmoatError
from melmoat.evaluation import measure
from melmoat.progress import Lines

HOME = Path(__file__).parents[1]
DATA = "an4:an4/test"
SPEECH = "tsv:librispeech/dev-clean-mp3,shortest=3,longest=8"  # for recognizers of any words

# Levels of the flooding that level_sweep.py chose on held-out training speakers.
LEVEL = 0.1
STFT_LEVEL = 0.1

EOT = "l2 20 dB, EOT 5"
COLUMNS = {  # with the paper's names of what they stand for
    "benign": "none",
    "l2 20 dB": "pgd:norm=snr,db=20,steps=100",  # l2 1.5
    "l2 23.5 dB": "pgd:norm=snr,db=23.5,steps=100",  # l2 1.0
    "l2 29.5 dB": "pgd:norm=snr,db=29.5,steps=100",  # l2 0.5
    "linf 20 dB": "pgd:norm=linf,db=20,steps=100",  # linf 0.01
    "linf 26 dB": "pgd:norm=linf,db=26,steps=100",  # linf 0.005
    "l2 20 dB, 250 it.": "pgd:norm=snr,db=20,steps=250",
    EOT: "pgd:norm=snr,db=20,steps=100,eot=5",  # only where the row says that it is stochastic
    "noise 20 dB": "noise:norm=snr,db=20",  # no attack: what such a perturbation does by its size
}


def run(file: str, folder: str = "an4") -> None:
    """``python suites/X.py ...`` is ``melmoat bench --suite suites/X.py --out results/an4 ...``."""
    out = str(HOME / "results" / folder)
    command = [sys.executable, "-m", "melmoat", "bench", "--suite", file, "--out", out]
    os.execv(sys.executable, [*command, *sys.argv[1:]])


def plainly(main: Callable[[], None]) -> None:
    """Call ``main``; an error of the user's is one line and exit code 1, Ctrl-C one and 130."""
    try:
        main()
    except MelmoatError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def complete(
    store: Store, cells: Sequence[Cell], limit: int, batch: int = 8
) -> dict[str, dict[str, Any]]:
    """Run what is missing of ``cells``, ``limit`` utterances spread over the corpus; their
    summaries by key.

    Raises:
        StoreError: utterances failed.
    """
    runner = Runner(store, batch, limit, choose="spread")
    lines = Lines(lambda line: print(line, file=sys.stderr, flush=True))
    found = {str(one["key"]): one for one in measure(runner, cells, progress=lines).summary}
    runner.require_whole(cells)
    return found
