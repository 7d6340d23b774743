import pytest
import torch

from melmoat import attacks, defenses, models
from melmoat.attacks import Untargeted
from melmoat.attacks.base import AttackError
from melmoat.attacks.oracle import Crafted
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.wrappers import Monitored
from melmoat.spec import SpecError

INNER = "pgd:norm=linf,eps=0.01,steps=2"
GOAL = Untargeted(["GO ON", "ENTER SIX", "A"])


class Untouched:
    """A judged system that an attacker who does not know it must not hear."""

    rate = 16_000

    def loss(self, *_: object) -> torch.Tensor:
        raise AssertionError("a transfer looked at the judged system")

    transcribe = loss


def test_it_is_the_inner_attack_on_its_own_system(ragged: Audio) -> None:
    own = defenses.build("wgn:snr=20").wrap(models.load("ds2-an4"))
    expected = attacks.build(INNER)(own, ragged, GOAL, Draws([1, 2, 3]))
    made = attacks.build(f"transfer:model=ds2-an4,defense=wgn:snr=20,attack=({INNER})")
    out = made(Untouched(), ragged, GOAL, Draws([1, 2, 3]))  # type: ignore[arg-type]
    assert torch.equal(out.wav, expected.wav)
    assert isinstance(out, Crafted)
    assert out.queries is not None
    assert out.queries.tolist() == [0, 0, 0]  # of the judged system
    assert made.budget == attacks.build(INNER).budget
    assert made.goal(["A"], ["B"]) == Untargeted(["A"])


def test_progress_is_that_of_the_crafting(ragged: Audio) -> None:
    ticks: list[int] = []
    judged = Monitored(Untouched(), lambda: ticks.append(1))  # type: ignore[arg-type]
    made = attacks.build(f"transfer:ds2-an4,attack=({INNER})")
    made(judged, ragged, GOAL, Draws([1, 2, 3]))
    assert len(ticks) == made.evaluations == 2


def test_another_rate_is_an_error(ragged: Audio) -> None:
    audio = Audio(ragged.wav, ragged.lengths, 8_000)
    with pytest.raises(AttackError, match="ds2-an4 hears 16000 Hz and the judged system 8000"):
        attacks.build("transfer:ds2-an4,attack=none")(
            Untouched(),
            audio,
            GOAL,
            Draws([1, 2, 3]),  # type: ignore[arg-type]
        )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("transfer:ds2-an4", "needs attack"),
        ("transfer:ds2-an5,attack=none", "unknown model 'ds2-an5'"),
        ("transfer:ds2-an4,attack=pgf", "unknown attack 'pgf'"),
        ("transfer:ds2-an4,defense=rss,attack=none", "unknown defense 'rss'"),
        ("transfer:ds2-an4,attack=(pgd:norm=l2)", "norm=l2 takes eps"),
    ],
)
def test_what_it_names_is_checked_before_anything_is_loaded(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        attacks.build(spec)


def test_texts_are_spelled_as_the_crafting_system_writes(ragged: Audio) -> None:
    made = attacks.build(f"transfer:ds2-an4,attack=({INNER})")
    small, plain = (
        made(Untouched(), ragged, Untargeted(texts), Draws([1, 2, 3]))  # type: ignore[arg-type]
        for texts in (["Go on.", "Enter 6 six!", "A"], ["GO ON", "ENTER SIX", "A"])
    )
    assert torch.equal(small.wav, plain.wav)


def test_between_words_and_phonemes(ragged: Audio) -> None:
    pytest.importorskip("hama", reason="needs the extra hama")
    words, phonemes = models.load("ds2-an4"), models.load("hama:conformer,decoder=phonemes")
    texts = Untargeted(["GO ON", "ENTER 6 Å", ""])  # and what has no phonemes is left out
    source = "(hama:conformer,decoder=phonemes)"
    made = attacks.build(f"transfer:model={source},attack=({INNER})")
    out = made(words, ragged, texts, Draws([1, 2, 3]))
    assert (out.wav - ragged.wav).abs().amax(1).gt(1e-3).all()
    made = attacks.build(f"transfer:model=ds2-an4,attack=({INNER})")
    with pytest.raises(AttackError, match="writes phonemes"):
        made(phonemes, ragged, texts, Draws([1, 2, 3]))
