from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from melmoat import files, weights
from melmoat.weights import WeightsError

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 151061672\n"


def saved(path: Path, **options: bool) -> bytes:
    torch.save({"a": torch.zeros(100)}, path, **options)
    return path.read_bytes()


def tensors(path: Path) -> bytes:
    safetensors.torch.save_file({"a": torch.zeros(100)}, path)
    return path.read_bytes()


def zipped(path: Path) -> bytes:
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.pth", "x")
    return path.read_bytes()


@pytest.mark.parametrize("read", [weights.read_pickle, weights.read_header])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda path: b"", "it is empty; fetch it again"),
        (lambda path: POINTER, r"git-lfs pointer.*`git lfs pull`"),
        (
            lambda path: b"\n <!DOCTYPE html><title>404</title>",
            r"a web page.*download the file itself",
        ),
        (lambda path: b"\xef\xbb\xbf<HTML><body>Log in", "a web page"),
        (lambda path: b"<?xml version='1.0'?><Error><Code>AccessDenied", "a web page"),
        (lambda path: b"\x1f\x8b\x08\x00" + bytes(99), "a gzip archive; unpack it"),
        (lambda path: b"GGUF" + bytes(99), r"a GGML file of whisper\.cpp"),
        (lambda path: saved(path)[:-100], r"cut short: a zip.*after [\d,]+ bytes; fetch it again"),
        (lambda path: saved(path)[:200], "cut short: a zip"),
        (zipped, "a zip archive but no PyTorch checkpoint; unpack it"),
        (lambda path: tensors(path)[:-20], r"safetensors of 472 bytes, of which 452 are there"),
        (lambda path: tensors(path)[:20], r"cut short: safetensors"),
    ],
)
def test_what_a_file_is_instead(
    tmp_path: Path,
    read: Callable[[Path], object],
    content: Callable[[Path], bytes],
    message: str,
) -> None:
    path = tmp_path / "model.pth"
    path.write_bytes(content(path))
    with pytest.raises(WeightsError, match=message):
        read(path)


def test_whole_files_have_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for write in (saved, tensors):
        write(path)
        assert files.obstacle(path) is None
        assert (files.is_torch(path), files.is_safetensors(path)) == (
            write is saved,
            write is tensors,
        )
    saved(path, _use_new_zipfile_serialization=False)
    assert files.obstacle(path) is None
    assert files.is_torch(path)
