"""Objects of one's own: their names, and what tells one from another."""

import copy
import importlib
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from melmoat.defenses import DEFENSES
from melmoat.errors import MelmoatError
from melmoat.objects import OBJECT, UntoldError, called, fingerprint, hand, name_of, untold

BODY = """
from dataclasses import dataclass

@dataclass
class Part:
    bits: int = 8{comment}

    def use(self):
        return self.bits{more}
"""


@dataclass
class Mixed:
    level: float = 0.5
    words: tuple[str, ...] = ("a",)
    text: str = "x"
    numbers: list[int] = field(default_factory=list)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)


def made(folder: Path, name: str, comment: str = "", more: str = "") -> Any:
    (folder / f"{name}.py").write_text(BODY.format(comment=comment, more=more))
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module(name).Part()


def test_a_name_has_the_options_that_are_not_defaults() -> None:
    assert called(Mixed()) == "Mixed"
    assert called(Mixed(0.25, text="open the door")) == "Mixed:level=0.25,text=open the door"
    assert called(Mixed(text="two\nlines", words=("b",))) == "Mixed"
    assert called(Net()) == "Net"


def test_code_and_values_count_and_comments_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    first = fingerprint(made(tmp_path, "part_a"))
    assert fingerprint(made(tmp_path, "part_b", "  # as in the paper")) == first
    assert fingerprint(made(tmp_path, "part_c", more=" + 1")) != first
    other = made(tmp_path, "part_d")
    other.bits = 6
    assert fingerprint(other) != first


def test_whatever_is_held_counts() -> None:
    prints = [
        fingerprint(one)
        for one in (
            Mixed(),
            Mixed(0.25),
            Mixed(words=("a", "b")),
            Mixed(words=("ab",)),
            Mixed(numbers=[1]),
            Mixed(numbers=[True]),
        )
    ]
    assert len(set(prints)) == len(prints)
    assert fingerprint(Mixed()) == prints[0]
    torch.manual_seed(0)
    net, other = Net(), Net()
    assert fingerprint(net) != fingerprint(other)
    other.load_state_dict(net.state_dict())
    assert fingerprint(net) == fingerprint(other.eval())
    with torch.no_grad():
        other.layer.bias[0] += 1e-6
    assert fingerprint(net) != fingerprint(other)


@dataclass
class Holding:
    what: object


def test_what_is_nested_is_told_from_what_is_not() -> None:
    inside, beside = {"a": {"b": 1}, "c": 2}, {"a": {"b": 1, "c": 2}}
    assert fingerprint(Holding(inside)) != fingerprint(Holding(beside))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.int64, torch.bool])
def test_tensors_of_any_type_count(kind: torch.dtype) -> None:
    first, same, other = (torch.tensor(bits).to(kind) for bits in ([0, 1], [0, 1], [1, 1]))
    assert fingerprint(Holding(first)) == fingerprint(Holding(same))
    assert fingerprint(Holding(first)) != fingerprint(Holding(other))
    assert fingerprint(Holding(first[1])) == fingerprint(Holding(first[1].clone()))


class Gain(nn.Module):
    """Scales by what no state dict has."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain


class Quiet(nn.Module):
    def __init__(self, gain: float) -> None:
        super().__init__()
        self._gain = gain


class Unsaved(nn.Module):
    def __init__(self, gain: float) -> None:
        super().__init__()
        self.register_buffer("gain", torch.tensor(gain), persistent=False)


class Named(nn.Module):
    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part


def scaled(gain: float) -> float:
    return gain


def heads(number: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.MultiheadAttention(4, number)


def lstm(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    return nn.LSTM(2, 2, 2, **options)


def hooked(*hooks: Any) -> nn.Module:
    net = Gain(1.0)
    for hook in hooks:
        net.register_forward_hook(hook)
    return net


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Quiet(2.0), Quiet(3.0)),
        (Unsaved(2.0), Unsaved(3.0)),
        (Named(Gain(2.0)), Named(Gain(3.0))),
        (Named(heads(1)), Named(heads(2))),
        (hooked(), hooked(scaled)),
        (Named(nn.Dropout()), Named(nn.Dropout()).eval()),
        (Named(lstm()), Named(lstm(dropout=0.5))),
        (Mixed(text=partial(scaled, gain=2)), Mixed(text=partial(scaled, gain=3))),  # type: ignore[arg-type]
        (Mixed(text=torch.tanh), Mixed(text=torch.relu)),  # type: ignore[arg-type]
    ],
    ids=[
        "private",
        "not saved",
        "of a part",
        "of PyTorch",
        "hook",
        "mode",
        "weak",
        "partial",
        "builtin",
    ],
)
def test_what_a_state_dict_lacks_counts_too(one: object, other: object) -> None:
    assert fingerprint(one) == fingerprint(copy.deepcopy(one)) != fingerprint(other)


def test_a_part_that_holds_itself_is_told() -> None:
    one, two = Mixed(), Mixed()
    one.numbers.append(one)  # type: ignore[arg-type]
    two.numbers.append(two)  # type: ignore[arg-type]
    assert fingerprint(one) == fingerprint(two)


def test_what_cannot_be_compared_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    loose: dict[str, Any] = {}
    exec("class Loose: pass", loose)
    closed = Mixed()
    closed.level = lambda: closed  # type: ignore[assignment]
    for one in (loose["Loose"](), closed, object()):
        with pytest.raises(UntoldError):
            fingerprint(one)
    monkeypatch.setattr(DEFENSES, "table", dict(DEFENSES.table))
    specs = {hand(DEFENSES, loose["Loose"]()) for _ in range(2)}  # type: ignore[arg-type]
    assert len(specs) == 2
    assert all(map(untold, specs))


def test_a_part_is_found_by_its_spec_and_by_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DEFENSES, "table", dict(DEFENSES.table))
    one = Mixed(0.25, text="a b")
    spec = hand(DEFENSES, one)  # type: ignore[arg-type]
    assert DEFENSES.build(spec) is one
    assert str(DEFENSES.parse(spec)) == spec == hand(DEFENSES, Mixed(0.25, text="a b"))  # type: ignore[arg-type]
    assert name_of(spec) == "Mixed:level=0.25,text=a b"
    assert not untold(spec)
    with pytest.raises(MelmoatError, match="Gone is an object that was passed in Python"):
        DEFENSES.build(f"{OBJECT}:Gone,code=12")
