"""Nothing in a foreign pickle runs, however it is put together; its settings are found."""

import argparse
import contextlib
import enum
import pickle
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch

from melmoat import unpickling, weights
from melmoat.weights import WeightsError


class Window(enum.Enum):
    hamming = "hamming"


class Node:
    """Keeps its content as OmegaConf's containers and values do."""

    def __init__(self, parent: Any, **kept: Any) -> None:
        self._parent = parent
        self.__dict__ |= kept


class Reduced:
    """Pickles as a call of ``function``, as an attacker's object would."""

    def __init__(self, function: Callable[..., Any], *args: Any, state: Any = None) -> None:
        self.how = (function, args) if state is None else (function, args, state)

    def __reduce__(self) -> Any:
        return self.how


def mark(path: Path) -> str:
    """Python that leaves a trace."""
    return f"__import__('pathlib').Path({str(path)!r}).touch()"


def attacks(trace: Path) -> dict[str, Any]:
    """Objects that run code when they are unpickled in earnest."""
    import os
    import subprocess

    code = mark(trace)
    return {
        "system": Reduced(os.system, f"touch {trace}"),
        "mkdir": Reduced(os.mkdir, str(trace)),
        "eval": Reduced(eval, code),
        "exec": Reduced(exec, code),
        "subprocess": Reduced(subprocess.check_output, ["touch", str(trace)]),
        "open": Reduced(open, str(trace), "w"),
        "touch": Reduced(Path.touch, trace),
        "getattr": Reduced(getattr, Reduced(__import__, "os"), "system"),
        "called result": Reduced(map, Reduced(getattr, Reduced(eval, code), "x"), [1]),
        "state": Reduced(argparse.Namespace, state={"a": Reduced(eval, code)}),
        "key": {Reduced(eval, code): 1},
        "item": defaultdict(list, {"a": [Reduced(eval, code)]}),
        "rebuilt": Reduced(torch._tensor._rebuild_from_type_v2, eval, object, (code,), {}),  # type: ignore[attr-defined]
        "parameter": Reduced(torch._utils._rebuild_parameter_with_state, Reduced(eval, code), 1, 2),
        "pickle": Reduced(pickle.loads, pickle.dumps(Reduced(eval, code))),
    }


def test_these_are_live(tmp_path: Path) -> None:
    for name in ("eval", "exec", "subprocess", "pickle", "touch", "called result"):
        trace = tmp_path / name
        with contextlib.suppress(AttributeError):
            pickle.loads(pickle.dumps(attacks(trace)[name]))
        assert trace.exists()


@pytest.mark.parametrize("name", attacks(Path("x")))
@pytest.mark.parametrize("old", [False, True])
def test_nothing_is_run(tmp_path: Path, name: str, old: bool) -> None:
    trace, path = tmp_path / "trace", tmp_path / "model.pth"
    bomb = attacks(trace)[name]
    for package in ({"hyper_parameters": bomb, "state_dict": {}}, {"state_dict": bomb}, bomb):
        torch.save(package, path, _use_new_zipfile_serialization=not old)
        with contextlib.suppress(WeightsError):
            unpickling.plain(weights.read_pickle(path))
        assert not trace.exists()


def archive(path: Path, pickled: bytes) -> None:
    """A checkpoint whose pickle is written by hand."""
    torch.save({"a": torch.zeros(1)}, path)
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, pickled if name.endswith("data.pkl") else content)


@pytest.mark.parametrize(
    "made",
    [
        b"cbuiltins\neval\n(V{code}\ntR.",  # a call
        b"cbuiltins\neval\nU{size}{code}\x85R.",
        b"cbuiltins\neval\nU{size}{code}\x85\x81.",  # a new object
        b"cbuiltins\neval\n)\x81U{size}{code}\x85R.",  # an instance of a stand-in, called
        b"cbuiltins\neval\n}U\x01xU{size}{code}s\x86b.",  # a stand-in's class, with a state
        b"cbuiltins\neval\n)\x81}U\x08__call__cbuiltins\neval\nsbU{size}{code}\x85R.",
        b"ctorch._utils\n_rebuild_tensor_v2\n}U\x01xK\x01sb.",  # a function, with a state
        b"ctorch\nTensor\nN}U\x07__add__cbuiltins\neval\ns\x86b.",  # a class, with slots
        b"U{size}{code}Q.",  # a persistent id
        b"(cbuiltins\neval\nU{size}{code}tQ.",
        b"(U\x06modulecbuiltins\neval\nU\x01xU{size}{code}N tQ.",
        b"(ibuiltins\neval\n.",  # INST
        b"(cbuiltins\neval\nU{size}{code}o.",  # OBJ
        b"\x82\x01.",  # an extension
        b"\x8c\x08builtins\x8c\x04eval\x93U{size}{code}\x85R.",  # STACK_GLOBAL
        b"cbuiltins\neval\x00\nU{size}{code}\x85R.",
        b"cos\nsystem\nU{size}{code}\x85R.",
        b"cnt\nsystem\nU{size}{code}\x85R.",
        b"c__builtin__\napply\n(cposix\nsystem\n(U{size}{code}ttR.",
    ],
)
def test_nothing_is_run_by_pickles_made_by_hand(tmp_path: Path, made: bytes) -> None:
    trace, path = tmp_path / "trace", tmp_path / "model.pth"
    code = mark(trace).encode()
    pickled = b"\x80\x02" + made.replace(b"{code}", code).replace(b"{size}", bytes([len(code)]))
    for written in (lambda: archive(path, pickled), lambda: path.write_bytes(pickled)):
        written()
        before = torch.Tensor.__add__
        with pytest.raises(WeightsError):
            weights.read_pickle(path)
        assert not trace.exists()
        assert torch.Tensor.__add__ is before
        assert not hasattr(torch._utils._rebuild_tensor_v2, "x")


def test_names_are_not_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text("raise AssertionError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "model.pth"
    archive(path, b"\x80\x02}U\x01actrap\nThing\n)\x81}U\x01bK\x07sbs.")
    found = weights.read_pickle(path)
    assert unpickling.name_of(found["a"]) == "trap.Thing"
    assert unpickling.plain(found) == {"a": {"b": 7}}


def test_what_pytorch_knows_is_as_it_was(tmp_path: Path) -> None:
    """A stand-in ends with the file, and what somebody allowed elsewhere is not run here."""
    path = tmp_path / "model.pth"
    torch.save({"a": Window.hamming}, path)
    torch.serialization.add_safe_globals([Window])
    known = torch.serialization.get_safe_globals()
    try:
        found = weights.read_pickle(path)["a"]
        assert isinstance(found, unpickling.Inert)
        assert set(torch.serialization.get_safe_globals()) == set(known)
        path.write_bytes(b"text")
        with pytest.raises(WeightsError):
            weights.read_pickle(path)
        assert set(torch.serialization.get_safe_globals()) == set(known)
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals([name for name in known if name is not Window])


@pytest.mark.parametrize("old", [False, True])
def test_settings_are_found_whatever_holds_them(tmp_path: Path, old: bool) -> None:
    node = Node(None)
    node._content = {"a": Node(node, _content=[Node(node, _val=Window.hamming)])}  # type: ignore[attr-defined]
    settings = {
        "node": node,
        "namespace": argparse.Namespace(rate=8_000, inner=argparse.Namespace(a=[1, (2, 3)])),
        "member": Window.hamming,
        "ordered": OrderedDict(b=1),
        "counted": defaultdict(int, c=2),
        "kind": Window,
        "when": datetime(2020, 1, 2),
        "path": PurePosixPath("/a/b"),
        "number": np.float64(0.5),
        "array": np.arange(3),
        "plain": [1, 2.5, "x", None, True],
    }
    path = tmp_path / "model.pth"
    torch.save(settings, path, _use_new_zipfile_serialization=not old)
    found = unpickling.plain(weights.read_pickle(path))
    assert found["namespace"] == {"rate": 8_000, "inner": {"a": [1, [2, 3]]}}
    assert found["node"] == {"a": ["hamming"]}
    assert found["member"] == "hamming"
    assert (found["ordered"], found["counted"]) == ({"b": 1}, {"c": 2})
    assert found["kind"] == f"{__name__}.Window"
    assert found["plain"] == settings["plain"]


def test_omegaconf_settings(tmp_path: Path) -> None:
    omegaconf = pytest.importorskip("omegaconf", reason="only writes what is read here")
    plain = {
        "rate": 8_000,
        "names": ["a", "b"],
        "inner": {"x": None, "share": 0.5},
        "w": Window.hamming,
    }
    path = tmp_path / "model.pth"
    torch.save({"cfg": omegaconf.OmegaConf.create(plain)}, path)
    assert unpickling.plain(weights.read_pickle(path)) == {"cfg": {**plain, "w": "hamming"}}


def test_a_circle_ends(tmp_path: Path) -> None:
    node = argparse.Namespace()
    node.a = node
    torch.save({"a": node}, tmp_path / "a")
    with pytest.raises(RecursionError):
        unpickling.plain(weights.read_pickle(tmp_path / "a"))


def test_a_whole_model_says_so(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(torch.nn.Linear(2, 3), path)
    with pytest.raises(
        WeightsError, match=r"a whole torch\.nn\.modules\.linear\.Linear.*state_dict"
    ):
        weights.read_pickle(path)


def test_other_protocols_say_so(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"name": "x" * 300}, path, pickle_protocol=4)
    with pytest.raises(WeightsError, match=r"protocol above 2.*save"):
        weights.read_pickle(path)
