"""Weights of networks of our own: what a file may make the reader do."""

import json
import os
import resource
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from fiducial import checkpoints
from fiducial.checkpoints import check_finite, check_process, read_network, safetensors_metadata
from fiducial.engines import TorchEngine
from fiducial.errors import InputError, ModelError
from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.pipeline import Pipeline
from fiducial.prompters.grounder.detecting import NanoDetector
from fiducial.prompters.grounder.weights import load_grounder
from fiducial.reasoner.text2centroid import CentroidHead, head_file, load_head
from fiducial.segmenters.nano import NanoSegmenter
from fiducial.segmenters.nano_unet import NanoNetwork, Shape, load_network, save_network

WIDTHS = (4, 8)
SHAPE = {"widths": [4, 8], "encoder": [1, 1], "decoder": 1}
LARGE = "its header describes more than it holds"


@pytest.fixture(scope="module")
def content():
    torch.manual_seed(0)
    return save_network(NanoNetwork(Shape(WIDTHS, (1, 1), 1)))


def written(path, content, change=None, **header):
    """Write a weights file with some tensors and some of its header changed."""
    tensors, kept = load(content), safetensors_metadata(content)
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in header.items()}
    path.write_bytes(save({**tensors, **(change or {})}, {**kept, **texts}))
    return path


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"decoder": 1_000_000}, LARGE),
        ({"decoder": 30}, LARGE),
        ({"encoder": [10**12, 1]}, LARGE),
        ({"encoder": [20, 20]}, LARGE),
        ({"widths": [100_000, 100_000]}, LARGE),
        ({"widths": [70, 70]}, LARGE),
        ({"widths": [4] * 50, "encoder": [1] * 50}, LARGE),
        ({"encoder": [-1, 1]}, LARGE),
        ({"decoder": float("inf")}, LARGE),
        ({"decoder": float("nan")}, LARGE),
        ({"widths": []}, ""),
        ({"widths": [4]}, ""),
        ({"widths": "abc"}, ""),
        ({"widths": [4.5, 8]}, ""),
        ({"widths": [[4], 8]}, ""),
        ({"widths": None}, ""),
        ({"widths": {"a": 1}}, ""),
        ({"decoder": None}, ""),
        ({"decoder": "many"}, ""),
        ({"encoder": 3}, ""),
    ],
    ids=str,
)
def test_a_header_is_bounded_before_anything_is_built(tmp_path, content, shape, said):
    path = written(tmp_path / "a.safetensors", content, shape={**SHAPE, **shape})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=rf"a\.safetensors: holds no weights of the nano segmenter \(.*{said}"):
        load_network(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # kB


@pytest.mark.parametrize("text", ["[" * 5000, "9" * 5000, "", "null", "7", '"x"', "[1]", "{}", '{"a"'])
def test_a_shape_that_is_none(tmp_path, content, text):
    with pytest.raises(InputError, match="holds no weights of the nano segmenter"):
        load_network(written(tmp_path / "a.safetensors", content, shape=text))


def test_a_large_tensor_does_not_open_the_way(tmp_path, content):
    change = {"extra": torch.zeros(1_000_000, dtype=torch.uint8)}
    path = written(tmp_path / "a.safetensors", content, change, shape={**SHAPE, "widths": [900_000, 900_000]})
    with pytest.raises(InputError, match=LARGE):
        load_network(path)


@pytest.mark.parametrize(
    "broken",
    [
        torch.full((4, 28, 3, 3), float("nan")),
        torch.full((4, 28, 3, 3), float("inf"), dtype=torch.float16),
        torch.full((4, 28, 3, 3), 1e300, dtype=torch.float64),
    ],
)
def test_weights_are_finite(tmp_path, content, broken):
    path = written(tmp_path / "a.safetensors", content, {"stem.weight": broken})
    with pytest.raises(InputError, match=r"stem\.weight holds numbers that are not finite"):
        load_network(path)
    with pytest.raises(ValueError, match="a holds numbers"):
        check_finite({"a": broken.numpy()})
    check_finite({"a": np.ones(3, np.float16), "b": np.ones(3, np.int64), "c": torch.ones(2, dtype=torch.int8)})


@pytest.mark.parametrize(
    "change",
    [
        {"stem.weight": torch.zeros(4, 28, 3, 3, dtype=torch.int32)},
        {"stem.weight": torch.zeros(1)},
        {"more": torch.zeros(1)},
    ],
)
def test_weights_of_another_kind_are_refused(tmp_path, content, change):
    with pytest.raises(InputError, match="holds no weights of the nano segmenter"):
        load_network(written(tmp_path / "a.safetensors", content, change))


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


BROKEN = {
    "empty": b"",
    "short": b"\x01\0\0",
    "no header": struct.pack("<Q", 0),
    "a header past the end": struct.pack("<Q", 2**63) + b"{}",
    "a header of text": safetensors(b"what"),
    "a list": safetensors([1]),
    "deep": safetensors(b"[" * 5000),
    "deep objects": safetensors(b'{"a":' * 5000),
    "digits": safetensors(b'{"a": ' + b"9" * 5000 + b"}"),
    "metadata of numbers": safetensors({"__metadata__": {"shape": 1}}),
    "metadata of lists": safetensors({"__metadata__": {"shape": [1]}}),
    "metadata that is text": safetensors({"__metadata__": "x"}),
    "a tensor without offsets": safetensors({"a": {"dtype": "F32", "shape": [1]}}),
    "a tensor past the end": safetensors({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
    "negative offsets": safetensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}, b"1234"),
    "an unknown type": safetensors({"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
    "a huge shape": safetensors({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, b"1234"),
    "a shape of nothing": safetensors({"a": {"dtype": "F32", "shape": [2**60, 0], "data_offsets": [0, 0]}}),
    "a pickle": b"\x80\x04\x95" + b"x" * 40,
    "a picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("read", [load_network, load_grounder, load_head])
def test_files_that_are_no_weights(tmp_path, data, read):
    (tmp_path / "a.safetensors").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.safetensors: holds no weights of the"):
        read(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("place", "said"),
    [("/dev/zero", "is a device"), ("/", "Is a directory"), ("a\0b", "null"), ("a" * 300, "too long"), ("no", "such")],
)
def test_places_that_hold_no_weights(place, said):
    with pytest.raises(InputError, match=said):
        load_network(place)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with open(tmp_path / "a.safetensors", "wb") as file:
        file.truncate(2**30)
    with pytest.raises(InputError, match="holds more than 512 MiB"):
        load_network(tmp_path / "a.safetensors")


def test_a_head_is_bounded_too(tmp_path):
    content = head_file(CentroidHead(8), np.ones(384, np.float32))
    assert load_head(written(tmp_path / "a.safetensors", content)).hidden_size == 8
    for size in (10**12, 9, 384, 0, -1, "x", [8], None, 8.5):
        with pytest.raises(InputError, match=r"a\.safetensors: holds no weights of the text2centroid"):
            load_head(written(tmp_path / "a.safetensors", content, hidden_size=size))


def test_weights_that_were_not_assigned_are_noticed(tmp_path, content):
    path = written(tmp_path / "a.safetensors", content)
    with pytest.raises(InputError, match="the weights were not assigned"):
        read_network(path, "nano-segmenter", lambda tensors, header: NanoNetwork(Shape(WIDTHS, (1, 1), 1)))
    assert torch.nn.Linear(2, 2).weight.device.type == "cpu"  # nothing of it is left


def test_what_is_not_finite_comes_out_as_a_failure(tmp_path, content):
    huge = {name: one.float() * 1e30 for name, one in load(content).items() if one.is_floating_point()}
    network, _ = load_network(written(tmp_path / "a.safetensors", content, huge))
    segmenter = NanoSegmenter(TorchEngine(network))
    image = Image(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8))
    prompts = Prompts.from_boxes(image.frame, [(5, 5, 30, 30)])
    with pytest.raises(ModelError, match="no finite numbers"):
        segmenter.decode(segmenter.encode(image), prompts)
    result = Pipeline(segmenter=segmenter).cut(image, prompts)
    assert (result.outcome.value, len(result.masks)) == ("failed", 0)


def test_a_grounder_that_gives_no_finite_numbers_has_failed():
    class Broken:
        fingerprint = "broken"

        def __call__(self, inputs):
            return tuple(one * np.nan for one in grounder.engine(inputs))

    grounder = load_grounder()
    detector = NanoDetector(replace(grounder, engine=Broken()))
    with pytest.raises(ModelError, match="no finite numbers"):
        detector.detect([Image(np.zeros((64, 64, 3), np.uint8))], [detector.vocabulary()[:1]])


def test_a_forked_process_is_told_what_to_do(monkeypatch, content, tmp_path):
    monkeypatch.setattr(checkpoints, "_computed", [])
    check_process()
    assert checkpoints._computed == [os.getpid(), torch.get_num_threads()]
    monkeypatch.setattr(checkpoints, "_computed", [os.getpid() + 1, 1])
    check_process()
    monkeypatch.setattr(checkpoints, "_computed", [os.getpid() + 1, 2])
    segmenter = NanoSegmenter(TorchEngine(load_network(written(tmp_path / "a.safetensors", content))[0]))
    image = Image(np.zeros((40, 40, 3), np.uint8))
    with pytest.raises(InputError, match=r"forked.*get_context\('spawn'\)"):
        Pipeline(segmenter=segmenter).cut(image, Prompts.from_boxes(image.frame, [(5, 5, 30, 30)]))
