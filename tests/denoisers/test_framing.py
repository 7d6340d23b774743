"""Frames overlap as they should, and their sum is in step with the samples."""

import pytest
import torch

from melmoat.denoisers.framing import framed, summed


@pytest.mark.parametrize("length", [1, 2, 127, 128, 129, 511, 512, 513, 2000])
@pytest.mark.parametrize(("size", "hop"), [(512, 128), (512, 256)])
def test_every_sample_lies_in_the_same_number_of_frames(size: int, hop: int, length: int) -> None:
    wav = torch.randn(2, length)
    frames = framed(wav, size, hop)
    assert frames.shape == (2, -(-(length + size - hop) // hop), size)
    assert torch.allclose(summed(frames, hop, length), size // hop * wav, atol=1e-6)


def test_frames_end_a_hop_apart_and_longer_audio_begins_with_the_same() -> None:
    wav = torch.arange(1.0, 1001.0)[None]
    frames, more = framed(wav, 512, 128), framed(torch.nn.functional.pad(wav, (0, 700)), 512, 128)
    assert frames[0, 3].tolist() == wav[0, :512].tolist()
    assert frames[0, 0, :384].eq(0).all()
    assert torch.equal(more[:, : frames.shape[1]], frames)
