"""What is believed of a text: numbers made by hand, and a small Whisper in batches."""

import math
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from melmoat import defenses, models
from melmoat.audio import RATE, Audio
from melmoat.bench.cell import Cell
from melmoat.draws import Draws
from melmoat.models.guards import Guards, compression_ratio, first_round, mean_log_prob
from melmoat.models.seq2seq import Vocabulary
from melmoat.spec import SpecError

END, SILENCE = 0, 5
WORDS = Vocabulary(
    lambda text: [int(word) for word in text.split()],
    lambda tokens: " ".join(map(str, tokens)),
    end=END,
    longest=50,
    room=60,
    never=(SILENCE,),
    not_first=(1,),
)
TABLE = torch.tensor([[0.1, 0.2, 0.1, 0.1, 0.1, 0.4]]).log()  # of the next token, always


@dataclass
class Toy:
    """Says after anything what :data:`TABLE` says; silence is as likely as ``silence``."""

    silence: list[float]

    def read(self, tokens: Tensor) -> Tensor:
        return TABLE.expand(len(tokens), tokens.shape[1] + 1, -1)

    def pick(self, rows: list[int]) -> "Toy":
        return Toy([self.silence[row] for row in rows])

    def opening(self, token: int) -> Tensor:
        assert token == SILENCE
        return torch.tensor(self.silence)


def test_the_mean_is_among_what_may_be_chosen() -> None:
    cpu = torch.device("cpu")
    # At first 0.4 may be chosen of (without 1 and 5), then 0.6; the end counts as a token.
    expected = (math.log(0.1 / 0.4) + math.log(0.2 / 0.6) + math.log(0.1 / 0.6)) / 3
    assert mean_log_prob(Toy([0]), [2, 1], WORDS, cpu) == pytest.approx(expected)
    assert mean_log_prob(Toy([0]), [], WORDS, cpu) == pytest.approx(math.log(0.1 / 0.4))
    short = replace(WORDS, longest=2)  # broken off, so no end was chosen
    expected = (math.log(0.1 / 0.4) + math.log(0.2 / 0.6)) / 3
    assert mean_log_prob(Toy([0]), [2, 1], short, cpu) == pytest.approx(expected)


def test_silence_is_what_the_reference_takes_for_it() -> None:
    written = [[2, 3], [2, 3], [2, 3]]
    heard = Toy([0.7, 0.6, 0.2])
    alone = Guards(SILENCE, no_speech_threshold=0.6)
    assert alone.apply(heard, written, WORDS) == [[], [2, 3], [2, 3]]
    mean = mean_log_prob(heard, [2, 3], WORDS, torch.device("cpu"))
    for logprob, empty in ((mean - 0.01, False), (mean + 0.01, True)):
        both = Guards(SILENCE, 0.6, logprob)
        assert (both.apply(heard, written, WORDS)[0] == []) == empty
    assert Guards(SILENCE).apply(heard, written, WORDS) == written


def test_a_loop_is_cut_behind_its_first_round() -> None:
    assert first_round([3, 4] * 20 + [3]) == [3, 4]
    assert first_round([9, 8, *([3] * 30)]) == [9, 8, 3]
    assert first_round([1, 2, 3, 4]) == [1, 2, 3, 4]
    assert first_round([]) == []
    guards = Guards(SILENCE, compression_ratio_threshold=2.4)
    speech, loop, never_ending = [1, 2, 3], [4, 2, *([3, 1] * 20)], [1, 2, 3, 4] * 12 + [2]
    heard = Toy([0.9] * 3)
    assert guards.apply(heard, [speech, loop], WORDS) == [speech, [4, 2, 3, 1]]
    assert compression_ratio(WORDS.decode(never_ending)) > 2.4
    assert guards.apply(heard, [never_ending], WORDS) == [[]]  # no part to cut at


def test_the_ratio_is_of_bytes() -> None:
    for text in ("é" * 40, "abc", "you"):
        data = text.encode()
        assert compression_ratio(f" {text} ") == len(data) / len(zlib.compress(data))
    assert compression_ratio("") == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("no_speech_threshold=1.5", "a probability, 0 to 1; got 1.5"),
        ("logprob_threshold=-1", "only goes with a no_speech_threshold"),
        ("no_speech_threshold=0.5,logprob_threshold=1", "at most 0"),
        ("compression_ratio_threshold=0", "must be above 0"),
        ("no_speech_threshold=nan", "a probability"),
    ],
)
def test_thresholds_out_of_range(options: str, message: str, folder: Path) -> None:
    with pytest.raises(SpecError, match=message):
        models.load(f"whisper:{folder},{options}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pytest.importorskip("transformers", reason="needs the extra hf")
    tiny = pytest.importorskip("tests.models.tiny_whisper")
    made: Path = tiny.save(tmp_path / "tiny", tiny.network())
    file = made / "tokenizer.json"  # of English alone, so nothing asks for this token
    file.write_text(file.read_text().replace("<|translate|>", "<|nospeech|>"))
    return made


@pytest.mark.parametrize("beam", [0, 2])
@pytest.mark.parametrize("defense", ["none", "wgn:snr=5", "rs:snr=5,votes=2"])
def test_a_batch_equals_its_singles(folder: Path, ragged: Audio, beam: int, defense: str) -> None:
    """Some are silenced and some are not, alone as in the batch, and each as without guards."""
    draws = Draws(range(4))
    longer = torch.randn(2 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    audio = Audio.of([*ragged, longer])
    spec = f"whisper:{folder},beam={beam}"
    plain = defenses.build(defense).wrap(models.load(spec))
    likely = models.load(spec).encode(ragged, Draws(range(3))).opening(261)  # type: ignore[attr-defined]
    bar = float(likely.sort().values[1:].mean())  # between the likeliest and the others
    model = models.load(f"{spec},no_speech_threshold={bar},compression_ratio_threshold=1e9")
    guarded = defenses.build(defense).wrap(model)
    free, heard = (system.transcribe(audio, draws) for system in (plain, guarded))
    if defense == "none":
        assert [text == "" for text in heard[:3]] == (likely > bar).tolist()
        assert heard[:3] == ["" if p > bar else t for p, t in zip(likely, free[:3], strict=True)]
    for i in range(4):
        assert guarded.transcribe(audio.pick([i]), draws.pick([i])) == [heard[i]]


def test_a_silent_window_of_long_audio_is_left_out(folder: Path) -> None:
    model = models.load(f"whisper:{folder},no_speech_threshold=0")
    wave = torch.randn(31 * RATE, generator=torch.Generator().manual_seed(0)) * 0.1
    assert model.transcribe(Audio.of([wave]), Draws([0])) == [""]
    smooth = defenses.build("rs:snr=5,votes=2").wrap(model)
    assert smooth.transcribe(Audio.of([wave[:9_000]]), Draws([0])) == [""]


def test_the_rows_name_the_thresholds(folder: Path) -> None:
    def cell(options: str) -> Cell:
        return Cell(str(models.MODELS.parse(f"whisper:{folder}{options}")), "none", "none", "demo")

    options = ",no_speech_threshold=0.6,compression_ratio_threshold=2.4"
    assert cell(options).model.endswith(options)
    assert cell(options).key != cell("").key
    assert cell(",no_speech_threshold=none").key == cell("").key
