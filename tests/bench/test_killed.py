import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from melmoat.bench.cell import Cell
from melmoat.bench.store import Store, StoreError

CELL = Cell("ds2-an4", "none", "none", "demo")
OTHER = Cell("ds2-an4", "none", "noise:db=20", "demo")
A, B = ({"id": name, "counts": {"benign": None}} for name in "ab")
CLAIM = """
import sys
from pathlib import Path
from melmoat.bench.cell import Cell
from melmoat.bench.store import Store
with Store(Path(sys.argv[1])).claimed(Cell("ds2-an4", "none", "none", "demo")):
    print("claimed", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("kills", [6, 20])
def test_kills_at_random_moments_change_no_row(tmp_path: Path, kills: int) -> None:
    script = Path(__file__).with_name("killing.py")
    command = [sys.executable, str(script), str(tmp_path), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.endswith(f"same rows after {kills} kills\n"), done.stderr


def test_a_cell_is_measured_by_one_process_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    store = Store(tmp_path)
    command = [sys.executable, "-c", CLAIM, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"claimed\n"
        with pytest.raises(StoreError, match="another process is measuring"), store.claimed(CELL):
            pass
        with store.claimed(OTHER):
            store.append(OTHER, [A])
        other.kill()
    with store.claimed(CELL):
        store.append(CELL, [A])
    assert store.rows(CELL) == store.rows(OTHER) == [A]


def test_a_disk_that_fills_in_the_middle_of_a_row_keeps_the_rows_before(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(CELL, [A])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"File too large. Finished rows are kept"):
            store.append(CELL, [{**B, "reference": "A LONG ONE" * 9}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.rows(CELL) == [A]
    store.append(CELL, [B])
    assert store.rows(CELL) == [A, B]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_keeps_the_rows(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(CELL, [A])
    store.path(CELL).chmod(0o400)
    with pytest.raises(StoreError, match="Permission denied"), store.claimed(CELL):
        pass
    assert store.rows(CELL) == [A]
