"""Grapheme-to-phoneme of hama: which phonemes a word has, as its recognizers were taught.

Characters -> embedding, one convolution, two bidirectional GRUs -> a GRU decoder whose attention
also sees where it last looked. It is greedy. Only the weights are hama's; they run here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

LETTERS, WIDTH, HIDDEN, CHANNELS = 80, 192, 96, 16
DRIFT = 0.0999755859375  # nats a character away from where the attention was
LONGEST = 32  # symbols of a word


class Encoder(nn.Module):
    """Letters ``[B, T]`` and lengths ``[B]`` to what the decoder attends to ``[B, T, WIDTH]`` and
    its first state ``[2, B, HIDDEN]``."""

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(letters, LETTERS)
        self.depthwise = nn.Conv1d(LETTERS, LETTERS, 5, padding=2, groups=LETTERS, bias=False)
        self.pointwise = nn.Linear(LETTERS, LETTERS, bias=False)
        self.front_norm = nn.LayerNorm(LETTERS)
        self.gru = nn.GRU(LETTERS, HIDDEN, 2, batch_first=True, bidirectional=True)
        self.around = nn.Linear(LETTERS, WIDTH, bias=False)
        self.norm = nn.LayerNorm(WIDTH)
        self.bridge = nn.Linear(WIDTH, HIDDEN)

    def forward(self, letters: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = self.embedding(letters)
        near = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        x = self.front_norm(x + self.pointwise(near))
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        out, last = self.gru(packed)
        out, _ = pad_packed_sequence(out, batch_first=True, total_length=letters.shape[1])
        ends = last.view(2, 2, len(letters), HIDDEN)  # layer, direction
        state = torch.tanh(self.bridge(torch.cat([ends[:, 0], ends[:, 1]], -1)))
        return self.norm(out + self.around(x)), state


class Decoder(nn.Module):
    """One more symbol of each word."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, LETTERS)
        self.gru = nn.GRU(LETTERS, HIDDEN, 2, batch_first=True)
        self.around = nn.Linear(LETTERS, HIDDEN, bias=False)
        self.state_norm = nn.LayerNorm(HIDDEN)
        self.keys = nn.Linear(WIDTH, HIDDEN, bias=False)
        self.query = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.location = nn.Conv1d(1, CHANNELS, 11, padding=5, bias=False)
        self.location_proj = nn.Linear(CHANNELS, HIDDEN, bias=False)
        self.energy = nn.Linear(HIDDEN, 1, bias=False)
        self.context_norm = nn.LayerNorm(WIDTH)
        self.context_proj = nn.Linear(HIDDEN + WIDTH, HIDDEN)
        self.fusion_norm = nn.LayerNorm(HIDDEN)
        self.narrow = nn.Linear(HIDDEN, LETTERS)
        self.out = nn.Linear(LETTERS, symbols, bias=False)

    def forward(
        self, last: Tensor, state: Tensor, looked: Tensor, heard: Tensor, keys: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the next symbol, the next state, and where the attention was.

        Args:
            last: the symbols before. Shape: ``[B]``.
            state: ``[2, B, HIDDEN]``.
            looked: the attention before. Shape: ``[B, T]``.
            heard: the encoder's output. Shape: ``[B, T, WIDTH]``.
            keys: ``self.keys(heard)``. Shape: ``[B, T, HIDDEN]``.
            mask: which letters are the word's. Shape: ``[B, T]``, bool.
        """
        x = self.embedding(last)
        step, state = self.gru(x[:, None], state)
        now = self.state_norm(step[:, 0] + self.around(x))
        near = self.location_proj(self.location(looked[:, None]).transpose(1, 2))
        energy = self.energy(torch.tanh(self.query(now)[:, None] + keys + near))[..., 0]
        places = torch.arange(mask.shape[1], device=mask.device, dtype=looked.dtype)
        centre = (looked * places).sum(1, keepdim=True)
        energy = energy - DRIFT * (places - centre).abs()
        looked = energy.masked_fill(~mask, -torch.inf).softmax(-1)
        context = self.context_norm((looked[:, None] @ heard)[:, 0])
        joined = torch.tanh(self.context_proj(torch.cat([now, context], -1)))
        return self.out(self.narrow(self.fusion_norm(joined))), state, looked


class GraphemeToPhoneme(nn.Module):
    """The symbols of a word.

    Args:
        letters: characters of words, with ``<pad>`` and ``<unk>``.
        symbols: phonemes, with ``<pad>``, ``<sos>`` and ``<eos>``.
    """

    def __init__(self, letters: Sequence[str], symbols: Sequence[str]) -> None:
        super().__init__()
        self.encoder = Encoder(len(letters))
        self.decoder = Decoder(len(symbols))
        self.letters = {letter: i for i, letter in enumerate(letters)}
        self.start, self.end, self.pad = map(symbols.index, ("<sos>", "<eos>", "<pad>"))

    @torch.no_grad()
    def forward(self, words: Sequence[str]) -> list[list[int]]:
        """Indices of the symbols of each word, by the likeliest next symbol.

        Args:
            words: in small letters; none may be empty.
        """
        unknown, pad = self.letters["<unk>"], self.letters["<pad>"]
        spelled = [[self.letters.get(c, unknown) for c in word] for word in words]
        lengths = torch.tensor([len(word) for word in words])
        longest = int(lengths.max()) + 2  # the convolution reaches two letters of padding
        letters = torch.tensor([row + [pad] * (longest - len(row)) for row in spelled])
        mask = torch.arange(longest) < lengths[:, None]
        heard, state = self.encoder(letters, lengths)
        keys, looked = self.decoder.keys(heard), F.normalize(mask.float(), p=1, dim=1)
        last = torch.full((len(words),), self.start)
        written, going = [], torch.ones(len(words), dtype=torch.bool)
        for _ in range(LONGEST):
            logits, state, looked = self.decoder(last, state, looked, heard, keys, mask)
            last = logits.argmax(-1)
            going &= last != self.end
            if not going.any():
                break
            written.append(torch.where(going, last, self.pad))
        rows = torch.stack(written, 1).tolist() if written else [[] for _ in words]
        return [[i for i in row if i not in (self.pad, self.start)] for row in rows]
