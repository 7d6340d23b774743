import subprocess
import sys

import numpy as np
import pytest
import torch

from melmoat import defenses
from melmoat.attacks import Untargeted
from melmoat.attacks.gradient import PGD
from melmoat.audio import Audio
from melmoat.channels.room import Room, convolve
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2
from melmoat.spec import SpecError

NUMBERS = np.array([0.5, 0.2, 0.4, 0.3, 0.1, 0.9, 0.5, 0.8, 0.3, 0.6])


def test_it_can_be_the_first_thing_that_is_imported() -> None:
    line = "from melmoat.channels.room import Room; print(Room())"
    run = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=False)
    assert run.stdout == "Room(rt60=0.3, size=5.0)\n", run.stderr


def test_a_convolution_is_numpys() -> None:
    torch.manual_seed(0)
    wav = torch.randn(2, 300, dtype=torch.float64)
    responses = [(torch.randn(40).double(), 7), (torch.randn(90).double(), 0)]
    found = convolve(wav, responses)
    for row, wave, (response, delay) in zip(found, wav, responses, strict=True):
        whole = np.convolve(wave.numpy(), response.numpy())
        assert np.allclose(row.numpy(), whole[delay : delay + 300])


def test_the_direct_sound_is_first_and_comes_without_delay() -> None:
    response, delay = Room(rt60=0.01).response(NUMBERS, 16_000)  # all but anechoic
    assert response.norm().item() == pytest.approx(1)
    assert abs(int(response.abs().argmax()) - delay) <= 1
    click = torch.zeros(1, 2_000, dtype=torch.float64)
    click[0, 500] = 1
    heard = convolve(click, [(response, delay)])
    assert abs(int(heard.abs().argmax()) - 500) <= 1


@pytest.mark.parametrize("rt60", [0.15, 0.3])
def test_reverberation_takes_the_time_it_says(rt60: float) -> None:
    room = Room(rt60=rt60)
    times = []
    for seed in range(6):
        numbers = np.random.default_rng(seed).random(10)
        numbers[3] = 0.5  # exactly the mean
        response, _ = room.response(numbers, 16_000)
        left = response.square().flip(0).cumsum(0).flip(0)  # Schroeder's integral
        level = 10 * torch.log10(left / left[0])
        # From -5 to -25 dB, times three: T20 of ISO 3382.
        start, end = (int((level < db).double().argmax()) for db in (-5, -25))
        times.append(3 * (end - start) / 16_000)
    assert float(np.median(times)) == pytest.approx(rt60, rel=0.35)


def test_the_attack_over_the_air_is_eot_over_rooms(tiny: DeepSpeech2, ragged: Audio) -> None:
    goal = Untargeted(["GO ON", "ENTER SIX", "A"])
    system = defenses.build("room:rt60=0.2").wrap(tiny)
    out = PGD(norm="snr", db=10, steps=4, eot=3)(system, ragged, goal, Draws([1, 2, 3]))

    def loss(audio: Audio) -> torch.Tensor:
        draws = [Draws([seed, seed + 1, seed + 2]) for seed in (10, 20, 30)]  # other rooms
        return torch.stack([goal.loss(system, audio, d) for d in draws]).mean(0)

    assert (loss(out) < loss(ragged)).all()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("room:rt60=0", "rt60 must be positive"),
        ("room:rt60=nan", "rt60 must be positive"),
        ("room:size=1", "between 2 and 50"),
    ],
)
def test_impossible_rooms_are_refused(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        defenses.build(spec)


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    with pytest.raises(MelmoatError, match=r'pip install "melmoat\[rooms\]"'):
        defenses.build("room")
