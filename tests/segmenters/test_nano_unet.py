from __future__ import annotations

import json

import pytest
import torch

from fiducial.checkpoints import safetensors_metadata
from fiducial.errors import InputError
from fiducial.segmenters.nano_unet import NanoNetwork, Shape, load_network, save_network

TINY = Shape(widths=(4, 8), encoder=(1, 1), decoder=1)


def tiny() -> NanoNetwork:
    torch.manual_seed(0)
    return NanoNetwork(TINY).eval()


def test_the_output_has_the_size_of_the_input():
    for size in (8, 16, 64):
        logits, quality = tiny()(torch.zeros(3, 7, size, size))
        assert logits.shape == (3, size, size)
        assert quality.shape == (3,)


def test_samples_of_a_batch_do_not_meet():
    network = tiny()
    batch = torch.randn(3, 7, 16, 16)
    together = network(batch)
    for number in range(3):
        alone = network(batch[number : number + 1])
        torch.testing.assert_close(together[0][number : number + 1], alone[0])
        torch.testing.assert_close(together[1][number : number + 1], alone[1])


def test_the_quality_does_not_pull_at_the_mask():
    network = tiny()
    _, quality = network(torch.randn(2, 7, 16, 16))
    quality.sum().backward()
    assert network.head.weight.grad is None
    assert network.quality[0].weight.grad is not None


def test_weights_keep_their_make_up_and_notes(tmp_path):
    data = save_network(tiny(), step=7)
    (tmp_path / "w.safetensors").write_bytes(data)
    loaded, digest = load_network(tmp_path / "w.safetensors")
    assert loaded.shape == TINY
    assert len(digest) == 64
    assert json.loads(safetensors_metadata(data)["notes"]) == {"step": 7}
    given = torch.randn(1, 7, 16, 16)
    torch.testing.assert_close(loaded.eval()(given)[0], tiny()(given)[0], atol=0.02, rtol=0.02)


@pytest.mark.parametrize("content", [b"", b"12345678", b"\xff" * 40, b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no weights of the nano segmenter"):
        load_network(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.safetensors"):
        load_network(tmp_path / "gone.safetensors")
