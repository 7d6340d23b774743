"""Threads of OpenMP that wait sleep soon, unless the user says otherwise."""

import os
import subprocess
import sys

import pytest

from melmoat.threads import SPINS, sleep_soon

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize("own", [{}, {"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7"}])
def test_what_the_user_set_stays(own: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(own))
    sleep_soon()
    assert os.environ == (own or {"GOMP_SPINCOUNT": SPINS})


def test_the_command_line_sets_it_before_torch_is_imported() -> None:
    code = (
        "import sys; from melmoat import cli; assert 'torch' not in sys.modules; "
        "import os; cli.app = lambda: print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules); "
        "cli.main()"
    )
    own = {name: value for name, value in os.environ.items() if name not in NAMES}
    run = subprocess.run(
        [sys.executable, "-c", code], env=own, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [SPINS, "False"]
