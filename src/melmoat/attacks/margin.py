"""The margin loss of Carlini & Wagner 2018, section III-D, for CTC recognizers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from melmoat.models.base import FromFrames, Recognizer, check_frames, require_ctc
from melmoat.models.wrappers import Wrapper


class Margin(FromFrames, Wrapper):
    """The same recognizer; its loss asks each frame for its label and then for nothing more.

    CTC's loss goes on making a frame surer after its label has won, and spends perturbation on it.
    This one is 0 once every frame of the text's likeliest alignment has the label it needs, ahead
    of all others by ``confidence`` nats. (The source freezes the alignment that a first attack
    found; here it is found anew at each step.) Raising this loss says little: it takes a target.

    Raises:
        MelmoatError: the recognizer has no frame-wise probabilities.
    """

    def __init__(self, model: Recognizer, confidence: float = 0.0) -> None:
        super().__init__(require_ctc(model))
        self.confidence = confidence

    def loss_of(self, log_probs: Tensor, frames: Tensor, texts: Sequence[str]) -> Tensor:
        """Sum over frames of what the best other label is ahead, in nats. Shape: ``[B]``.

        Raises:
            TextError: a text with foreign characters, or longer than its frames can express.
        """
        targets = self.targets(texts)
        check_frames(frames, targets, texts)
        path = alignment(log_probs.detach(), frames, targets)
        wanted = path[..., None]
        own = log_probs.gather(2, wanted)[..., 0]
        other = log_probs.scatter(2, wanted, -torch.inf).amax(2)
        inside = torch.arange(path.shape[1], device=path.device) < frames[:, None]
        return ((other - own + self.confidence).relu() * inside).sum(1)


def alignment(log_probs: Tensor, frames: Tensor, targets: Sequence[Tensor]) -> Tensor:
    """The likeliest label of each frame, given that CTC reads the target from them (Viterbi).

    Labels and the blanks around them alternate in a chain of states; a path stays, goes on by one,
    or leaps over a blank between two labels that differ.

    Args:
        log_probs: ``[B, F, V]``, blank first.
        frames: true number of frames, enough for the target. Shape: ``[B]``.
        targets: label indices of each text.

    Shape: ``[B, F]``; not meaningful beyond ``frames``.
    """
    device, sizes = log_probs.device, torch.tensor([len(target) for target in targets])
    chain = torch.zeros(len(targets), 2 * int(sizes.max()) + 1, dtype=torch.long, device=device)
    for row, target in zip(chain, targets, strict=True):
        row[1 : 2 * len(target) : 2] = target
    states = chain.shape[1]
    earlier = F.pad(chain, (2, 0))[:, :states]
    no_leap = (chain == 0) | (chain == earlier)
    emitted = log_probs.gather(2, chain[:, None].expand(-1, log_probs.shape[1], -1))
    score = emitted[:, 0].clone()
    score[:, 2:] = -torch.inf
    moves = torch.zeros(log_probs.shape[1], *chain.shape, dtype=torch.uint8, device=device)
    for t in range(1, log_probs.shape[1]):
        one = F.pad(score, (1, 0), value=-torch.inf)[:, :states]
        two = F.pad(score, (2, 0), value=-torch.inf)[:, :states].masked_fill(no_leap, -torch.inf)
        best, move = torch.stack([score, one, two]).max(0)
        live = (t < frames)[:, None]
        score = torch.where(live, best + emitted[:, t], score)
        moves[t] = move * live
    end = 2 * sizes.to(device)[:, None]
    label = (end - 1).clamp(min=0)
    state = torch.where(score.gather(1, label) > score.gather(1, end), label, end)
    path = torch.zeros(log_probs.shape[:2], dtype=torch.long, device=device)
    for t in reversed(range(log_probs.shape[1])):
        path[:, t] = chain.gather(1, state)[:, 0]
        state = state - moves[t].gather(1, state).long()
    return path
