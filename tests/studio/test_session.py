"""A run of the page, without the page."""

from __future__ import annotations

import contextlib
import io
import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from melmoat import audio, data, models
from melmoat.audio import Audio, AudioError, Recording
from melmoat.cli.app import app
from melmoat.errors import MelmoatError
from melmoat.metrics.distortion import snr_db
from melmoat.studio import recipe, showing
from melmoat.studio.choices import Offer
from melmoat.studio.session import Asked, Finished, Session, Stopped, Texts, Ticket

ATTACK = "pgd:db=15,steps=2,step=1"
OFFER = Offer(["ds2-an4"], ["pgd"], ["none", "wgn:snr=15", "rs:snr=15,votes=2"])


@pytest.fixture(scope="module", autouse=True)
def loaded_once() -> Iterator[None]:
    """Every command would load it again, which takes longer than what it does here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load", lru_cache(models.load))
        yield


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(OFFER)


@pytest.fixture(scope="module")
def speech(session: Session) -> Audio:
    return session.speech(Recording(data.read([list(data.load("demo"))[1]])), "demo")


@pytest.fixture(scope="module", params=[True, False], ids=["adaptive", "unaware"])
def finished(session: Session, speech: Audio, request: pytest.FixtureRequest) -> Finished:
    asked = Asked("ds2-an4", "wgn:snr=15", ATTACK, request.param, seed=3)
    return session.with_noise(session.run(speech, asked, session.ticket()), session.ticket())


def test_the_pasted_commands_do_the_same(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    audio.save("speech.wav", finished.clean)
    said = []
    for line in recipe.commands(finished).splitlines():
        program, *words = shlex.split(line)
        assert program == "melmoat"
        said.append(CliRunner().invoke(app, words, catch_exceptions=False).stdout)
    attacked, clean, adversarial, _, noise, noisy = said
    adaptive = finished.asked.adaptive

    def order(texts: Texts | None) -> tuple[str | None, ...]:
        """By the system that is attacked, and by the other."""
        assert texts
        both = texts.plain, texts.defended
        return both[::-1] if adaptive else both

    (before, other_before), (after, other_after) = order(finished.before), order(finished.after)
    assert attacked.splitlines()[:2] == [f"before: {before}", f"after:  {after}"]
    assert f"SNR {finished.snr_db:.1f} dB" in attacked
    assert (clean.strip(), adversarial.strip()) == (other_before, other_after)
    assert noise.splitlines()[1] == f"after:  {order(finished.noisy)[0]}"
    assert noisy.strip() == order(finished.noisy)[1]
    assert finished.after.plain != finished.before.plain  # the comparison says something
    for name, one in {
        "adversarial": finished.adversarial,
        "defended": finished.defended,
        "noise": finished.noise,
    }.items():
        assert one
        assert torch.equal(audio.load(f"{name}.wav").wav, one.wav), name


def test_the_pasted_script_does_the_same(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    audio.save("speech.wav", finished.clean)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(recipe.python(finished), "pasted", "exec"), {})
    heard = out.getvalue().splitlines()
    assert heard[2].endswith(f"SNR {finished.snr_db:.1f} dB")
    assert [heard[i] for i in (0, 1, 3, 4)] == [
        text
        for defended in (finished.asked.adaptive, not finished.asked.adaptive)
        for texts in (finished.before, finished.after)
        for text in [texts.defended if defended else texts.plain]
    ]


def test_without_a_defense_there_is_one_command_and_one_column(
    session: Session, speech: Audio
) -> None:
    done = session.run(speech, Asked("ds2-an4", "none", ATTACK), session.ticket())
    assert done.before.defended is None
    assert done.defended is None
    assert len(recipe.commands(done).splitlines()) == 1
    assert "defense" not in recipe.python(done)
    assert done.passes == 2
    assert done.gradients


def test_the_control_is_as_loud_as_the_perturbation(finished: Finished) -> None:
    assert finished.noise
    assert finished.snr_db is not None
    loud = [float(snr_db(finished.clean, o)) for o in (finished.adversarial, finished.noise)]
    assert loud[1] == pytest.approx(loud[0], abs=0.02)
    assert finished.noisy


def test_nothing_changed_has_no_control(session: Session, speech: Audio) -> None:
    done = session.run(speech, Asked("ds2-an4", "none", "none"), session.ticket())
    assert done.snr_db is None
    assert "changed nothing" in showing.outcome(done)
    with pytest.raises(MelmoatError, match="no loudness to compare"):
        session.with_noise(done, session.ticket())


class StopsAfter(Ticket):
    """Somebody presses the button while the first steps are done."""

    def tick(self, amount: float) -> None:
        if self.done >= 3:
            self.stop()
        super().tick(amount)


def test_a_run_ends_at_the_step_after_it_is_stopped(session: Session, speech: Audio) -> None:
    ticket = StopsAfter(60)
    with pytest.raises(Stopped):
        session.run(speech, Asked("ds2-an4", "none", "pgd:db=20,steps=200"), ticket)
    assert ticket.done == 4
    assert ticket.total == 200


def test_a_run_has_a_deadline() -> None:
    now = [0.0]
    ticket = Ticket(5, clock=lambda: now[0])
    ticket.begin("attacking", 10)
    now[0] = 4.9
    ticket.tick(1)
    now[0] = 5.1
    with pytest.raises(MelmoatError, match="longer than 5 s"):
        ticket.tick(1)


@pytest.mark.parametrize(
    ("wave", "why"),
    [
        (torch.zeros(16_000), "no sound in it"),
        (torch.full((16_000,), 0.3), "no sound in it"),  # an offset is none
        (torch.randn(16_000) * 1e-4, "no sound in it"),
        (torch.randn(17 * 16_000) * 0.1, "17.0 s of audio, of which 15 s are taken"),
        (torch.randn(1_000) * 0.1, "say a few words"),
    ],
)
def test_a_recording_that_is_none_is_refused(
    session: Session, wave: torch.Tensor, why: str
) -> None:
    with pytest.raises(AudioError, match=f"mine.wav: .*{why}"):
        session.speech(Recording(Audio.of([wave])), "mine.wav")


@pytest.mark.parametrize("change", [{"model": "python:os:getcwd"}, {"defense": "median"}])
def test_what_is_not_offered_is_not_run(
    session: Session, speech: Audio, change: dict[str, str]
) -> None:
    asked = replace(Asked("ds2-an4", "none", "none"), **change)  # type: ignore[arg-type]
    with pytest.raises(MelmoatError, match="not offered"):
        session.run(speech, asked, session.ticket())


def test_a_wrong_spec_is_known_before_the_first_visitor() -> None:
    for wrong in (
        Offer(["no-such"]),
        Offer(["ds2-an4"], attacks=["pgd:stepz=1"]),
        Offer(["ds2-an4"], defenses=["wgn:loud=1"]),
    ):
        with pytest.raises(MelmoatError, match="unknown"):
            Session(wrong).load()


def test_a_long_target_is_refused_with_the_reason(session: Session, speech: Audio) -> None:
    asked = Asked("ds2-an4", "none", f"pgd:db=20,steps=2,target={'STOP ' * 18}STOP")
    with pytest.raises(MelmoatError, match="shorter text or longer audio"):
        session.run(speech, asked, session.ticket())


def test_the_result_marks_what_differs_and_escapes_it(finished: Finished) -> None:
    strange = replace(
        finished,
        before=Texts("GO <b>", "GO <b>"),
        after=Texts("STOP <b>", "GO"),
        notes=("<script>alert(1)</script>",),
        same=lambda text: text,
    )
    page = " ".join(showing.result(strange).split())
    assert "<del>GO</del> <ins>STOP</ins> &lt;b&gt;" in page
    assert "GO <del>&lt;b&gt;</del>" in page
    assert "<script" not in page
    assert "<b>" not in page.replace("<figcaption><b>", "").replace("GO <b>", "")
    titles = [sound.title for sound in showing.sounds(strange)]
    assert titles == ["clean", "adversarial", "defended", "perturbation alone", "random noise"]


@pytest.mark.parametrize(
    ("wanted", "reached", "start"),
    [
        ("STOP", True, "Target reached"),
        ("STOP", False, "Target not reached"),
        (None, True, "Attack succeeded"),
        (None, False, "Attack failed"),
    ],
)
def test_the_outcome_is_a_sentence(
    finished: Finished, wanted: str | None, reached: bool, start: str
) -> None:
    said = showing.outcome(replace(finished, wanted=wanted, reached=reached))
    assert said.startswith(start)
    assert ("behind wgn:snr=15" in said) == finished.asked.adaptive
