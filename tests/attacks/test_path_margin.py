import pytest
import torch

from melmoat import attacks
from melmoat.attacks.base import Untargeted
from melmoat.attacks.path_margin import LOST, path_margin, ratio
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import CTC
from tests.attacks.toys import Frames


def test_the_ratio_has_no_scale_and_its_sign_says_who_wins() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0, -4.0]])
    for label, expected in ((0, -2 / 3), (1, 2 / 3), (2, 1.0), (3, 1.0)):
        wanted = torch.tensor([label])
        assert ratio(logits, wanted).item() == pytest.approx(expected)
        assert torch.allclose(ratio(1000 * logits, wanted), ratio(logits, wanted))
        assert ratio(logits, wanted, LOST).item() == pytest.approx(min(expected, LOST))


class Sure(CTC):
    """Hears four symbols in every four samples; its probabilities are 0 and 1 in float32."""

    rate = 16_000
    labels = "_AB "

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        logits = 1000 * audio.wav.view(len(audio), -1, len(self.labels))
        return logits.log_softmax(-1), audio.lengths // len(self.labels)


def test_its_gradient_lives_where_the_sequence_loss_saturates() -> None:
    said = 0.5 * torch.eye(4)[[0, 1, 0, 3, 2, 2]] + 0.01 * torch.arange(4)
    sizes = []
    for model in (Sure(), path_margin(Sure())):
        wav = said.flatten()[None].clone().requires_grad_(True)
        audio = Audio(wav, torch.tensor([24]))
        model.loss(audio, ["A B"], Draws([0])).sum().backward()
        assert wav.grad is not None
        sizes.append(float(wav.grad.norm()))
    assert sizes[0] == 0
    assert sizes[1] > 0.1


def test_an_attack_keeps_the_point_with_most_errors(ragged: Audio) -> None:
    model = Frames()
    goal = Untargeted(model.transcribe(ragged, Draws([0, 1, 2])))
    heard = {}
    for keep in ("loss", "errors"):
        attack = attacks.build(f"pgd:db=0,steps=12,best=true,keep={keep}")
        out = attack(model, ragged, goal, Draws([0, 1, 2]))
        heard[keep] = goal.scores(model.transcribe(out, Draws([3, 4, 5])))
    assert all(a <= b for a, b in zip(heard["errors"], heard["loss"], strict=True))
    assert heard["errors"] != heard["loss"]
