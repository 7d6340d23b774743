import pytest
import torch
from torch import Tensor

from melmoat import attacks, defenses
from melmoat.attacks import Targeted, Untargeted
from melmoat.attacks.base import AttackError
from melmoat.attacks.cw import on_grid
from melmoat.attacks.oracle import NEVER, Crafted
from melmoat.audio import PCM16, Audio
from melmoat.draws import Draws
from melmoat.metrics.distortion import snr_db
from melmoat.models.base import Recognizer
from melmoat.spec import SpecError
from tests.attacks.test_gradient import Bowl
from tests.attacks.toys import Frames

SEEDS = (1, 2, 3)
TARGETS = Targeted(["NO", "HELP ME", "STOP"])
FORMS = {
    "cw": "cw:eps=0.2,steps=60,lr=5e-3,decrease=0.8",
    "cw2018": "cw2018:eps=0.2,steps=150,lr=5e-3",
    "margin": "cw2018:eps=0.2,steps=150,lr=5e-3,loss=margin",
}


def craft(spec: str, audio: Audio, goal: Targeted | Untargeted = TARGETS) -> Crafted:
    model = Frames(audio.wav.dtype)
    out = attacks.build(spec)(model, audio, goal, Draws(SEEDS[: len(audio)]))
    assert isinstance(out, Crafted)
    return out


@pytest.mark.parametrize("form", FORMS)
def test_it_succeeds_and_then_shrinks(form: str, ragged: Audio) -> None:
    clean = ragged.quantized()
    out = craft(FORMS[form], clean)
    assert torch.equal(out.wav, out.quantized().wav)
    assert TARGETS.reached(Frames().transcribe(out, Draws(SEEDS))) == [True] * 3
    assert out.first is not None
    assert (out.first > 0).all()
    # Adam moves a sample by at most about its rate a step, so the box at the first success is:
    widest = (5e-3 * 1.5 * out.first).clamp(max=0.2)
    assert ((out.wav - clean.wav).abs().amax(1) < widest).all()
    pgd = attacks.build("pgd:norm=linf,eps=0.2,steps=60,step=0.05,stop=true")
    loud = pgd(Frames(), clean, TARGETS, Draws(SEEDS))
    assert (snr_db(clean, out) > snr_db(clean, loud)).all()


@pytest.mark.parametrize("form", FORMS)
def test_shrinking_and_keeping_do_not_depend_on_the_batch(form: str, ragged: Audio) -> None:
    clean = Audio(ragged.wav.double(), ragged.lengths).quantized()
    spec = FORMS[form].replace("steps=150", "steps=60")
    out = craft(spec, clean)
    assert out.first is not None
    assert (out.first < 55).all()  # so that shrinking begins
    for i, wave in enumerate(clean):
        model = Frames(torch.double)
        alone = attacks.build(spec)(model, Audio.of([wave]), TARGETS.pick([i]), Draws([SEEDS[i]]))
        assert torch.allclose(alone.wav[0], out.wav[i, : len(wave)], atol=1e-9)


def test_untargeted_finds_less_than_the_box(ragged: Audio) -> None:
    clean = ragged.quantized()
    goal = Untargeted(Frames().transcribe(clean, Draws(SEEDS)))
    out = craft("cw:eps=0.1,steps=40,lr=1e-3", clean, goal)
    assert goal.reached(Frames().transcribe(out, Draws(SEEDS))) == [True] * 3
    assert ((out.wav - clean.wav).abs().amax(1) < 0.01).all()


class Far(Bowl):
    """Its goal is never reached."""

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        return ["MISS"] * len(audio)


def test_steps_are_adams_on_the_sign_and_the_last_one_is_kept_without_success() -> None:
    audio = Audio.of([torch.tensor([0.5, 0.0]), torch.tensor([0.25, 0.0, 0.0])])
    attack = attacks.build("cw:eps=0.125,steps=4,lr=0.0078125")
    out = attack(Far(), audio, Targeted(["HIT", "HIT"]), Draws([0, 1]))
    moved = torch.tensor([[0.5 - 4 / 128, 0, 0], [0.25 - 4 / 128, 0, 0]])
    assert torch.allclose(out.wav, moved)  # equal signs: each step is the rate
    far = attacks.build("cw:eps=0.125,steps=40,lr=0.0078125")
    out = far(Far(), audio, Targeted(["HIT", "HIT"]), Draws([0, 1]))
    assert torch.allclose(out.wav[:, 0], torch.tensor([0.375, 0.125]))  # the box
    assert isinstance(out, Crafted)
    assert out.first is not None
    assert out.first.tolist() == [NEVER, NEVER]


class Step(Bowl):
    """Reached below 0.4 in the first sample."""

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        return ["HIT" if wave[0] < 0.4 else "MISS" for wave in audio]


def test_a_success_cuts_the_box_to_what_was_used_and_then_shrinks_it() -> None:
    heard: list[float] = []

    class Spy(Step):
        def loss(self, audio: Audio, texts: object, draws: Draws) -> Tensor:
            heard.append(float(audio.wav.detach()[0, 0]))
            return super().loss(audio, texts, draws)

    audio = Audio.of([torch.tensor([0.5, 0.0])])
    rate = 1 / 16
    attack = attacks.build("cw:eps=0.25,steps=5,lr=0.0625,decrease=0.5")
    out = attack(Spy(), audio, Targeted(["HIT"]), Draws([0]))
    # Reached after two steps of 1/16; the box is then half of their sum over eps, 1/4, and the
    # third step is heard as a quarter of 3/16.
    expected = [0.5, 0.5 - rate, 0.5 - 2 * rate, 0.5 - 3 * rate / 4, 0.5 - rate, 0.5 - rate]
    assert heard == pytest.approx(expected, abs=1 / PCM16)
    assert out.wav[0, 0] == 0.5 - 2 * rate  # the last success


def test_a_lucky_draw_at_the_clean_audio_does_not_end_the_attack() -> None:
    class Lucky(Step):
        """Its first transcript is wrong by chance."""

        calls = 0

        def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
            self.calls += 1
            return ["HIT"] if self.calls == 1 else super().transcribe(audio, draws)

    audio = Audio.of([torch.tensor([0.5, 0.0])])
    for form in ("cw", "cw2018"):
        attack = attacks.build(f"{form}:eps=0.25,steps=9,lr=0.0625")
        assert attack(Lucky(), audio, Targeted(["HIT"]), Draws([0])).wav[0, 0] < 0.4
        done = Audio.of([torch.tensor([0.25, 0.0])])  # there is nothing to do here
        assert torch.equal(attack(Step(), done, Targeted(["HIT"]), Draws([0])).wav, done.wav)


def test_c_weighs_the_norm_once_the_goal_was_reached() -> None:
    audio = Audio.of([torch.tensor([0.5, 0.0])])
    goal = Targeted(["HIT"])
    found = []
    for c in (0.3, 0.4):
        attack = attacks.build(f"cw2018:eps=0.5,steps=400,lr=2e-3,every=1000,c={c}")
        found.append(float(attack(Step(), audio, goal, Draws([0])).wav[0, 0]))
    # d^2 + c * (0.5 - d) is least at d = c / 2.
    assert found == pytest.approx([0.35, 0.3], abs=2e-3)
    # Until then the norm holds nothing back: it alone would stop at 0.05.
    attack = attacks.build("cw2018:eps=0.125,steps=400,lr=2e-3,c=0.1")
    assert float(attack(Far(), audio, goal, Draws([0])).wav[0, 0]) == 0.375


def test_rounding_keeps_to_the_box_and_to_full_scale() -> None:
    clean = Audio.of([torch.tensor([0.0, 0.0, 1 - 1 / PCM16])])
    delta = torch.tensor([[0.01, 0.6 / PCM16, 0.01]])
    found = on_grid(delta, torch.tensor([[0.01]]), clean) * PCM16
    assert found.tolist() == [[327, 1, 1]]  # 0.01 is 327.68 steps
    assert on_grid(delta, torch.tensor([[3 / PCM16]]), clean).tolist()[0][0] * PCM16 == 3


def test_evaluations_are_counted(ragged: Audio) -> None:
    calls: list[int] = []

    class Counting(Frames):
        def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
            calls.append(len(audio))
            return super().log_probs(audio, draws)

    for spec in ("cw:steps=3", "cw2018:steps=2,eot=3,chunk=2,loss=margin"):
        calls.clear()
        attack = attacks.build(spec)
        out = attack(Counting(), ragged, TARGETS, Draws(SEEDS))
        assert len(calls) == attack.evaluations
        assert isinstance(out, Crafted)
        assert out.queries is not None
        assert out.queries.tolist() == [sum(calls) // 3] * 3


def test_the_margin_takes_a_target(ragged: Audio) -> None:
    with pytest.raises(AttackError, match="loss=margin takes a target"):
        craft("cw2018:steps=1,loss=margin", ragged, Untargeted(["A", "B", "C"]))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("cw:eps=-1", "eps must be finite and not negative"),
        ("cw2018:confidence=2", "confidence has an effect only with loss=margin"),
        ("cw:decrease=0", r"decrease must be in \(0, 1\]"),
        ("cw:lr=0", "lr must be positive"),
        ("cw2018:every=0", "every must be positive"),
        ("cw2018:c=nan", "c must be positive"),
        ("cw2018:loss=l2", "one of ctc, margin"),
    ],
)
def test_unusable_options_say_why(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        attacks.build(spec)


def share_reached(model: Recognizer, audio: Audio, goal: Targeted, draws: int = 40) -> float:
    heard = [model.transcribe(audio, Draws([1000 + k] * len(audio))) for k in range(draws)]
    return sum(sum(goal.reached(texts)) for texts in heard) / (draws * len(audio))


def test_confirmed_successes_hold_under_fresh_draws(ragged: Audio) -> None:
    clean = ragged.quantized()
    noisy = defenses.build("wgn:snr=30").wrap(Frames())
    lucky, sure = (
        attacks.build(FORMS["cw"] + more)(noisy, clean, TARGETS, Draws(SEEDS))
        for more in ("", ",confirm=8")
    )
    assert share_reached(noisy, lucky, TARGETS) < 0.6  # each chance success shrank the box
    assert share_reached(noisy, sure, TARGETS) > 0.8
    assert isinstance(sure, Crafted)
    assert sure.queries is not None
    assert (sure.queries > 61).all()
    assert (sure.queries < 61 + 60 * 8).all()  # only successes are heard again
    certain = attacks.build(FORMS["cw"] + ",confirm=8")(Frames(), clean, TARGETS, Draws(SEEDS))
    assert torch.equal(certain.wav, craft(FORMS["cw"], clean).wav)  # no draw, nothing to confirm


class Fickle(Frames):
    """Hears another text now and then, whatever it is given."""

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        log_probs, frames = super().log_probs(audio, draws)
        lapse = draws.uniform(log_probs[:, 0, :1]) < 0.4
        other = log_probs.roll(1, -1)
        return torch.where(lapse[..., None], other, log_probs), frames


def test_clean_audio_that_a_lapse_made_a_success_is_no_end(ragged: Audio) -> None:
    clean = ragged.quantized()
    goal = Untargeted(Frames().transcribe(clean, Draws(SEEDS)))
    for seeds in ((1, 2, 3), (4, 5, 6), (7, 8, 9)):
        attack = attacks.build("cw:eps=0.2,steps=60,lr=5e-3,confirm=12")
        out = attack(Fickle(), clean, goal, Draws(seeds))
        assert (out.wav != clean.wav).any(1).all()
        assert goal.reached(Frames().transcribe(out, Draws(SEEDS))) == [True] * 3


@pytest.mark.parametrize("eps", [3.05e-5, 9.154e-5, 3 / PCM16, 0.01])
def test_the_grid_stays_in_the_tiniest_box(eps: float, ragged: Audio) -> None:
    clean = ragged.quantized()
    heard = on_grid(torch.ones_like(clean.wav), torch.full_like(clean.wav[:, :1], eps), clean)
    assert heard.abs().max() <= eps * 1.0001
    assert heard.abs().max() >= eps - 1 / PCM16
