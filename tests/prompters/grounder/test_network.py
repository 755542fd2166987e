"""The grounder's network and its weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fiducial.errors import InputError
from fiducial.prompters.grounder.network import (
    GrounderNetwork,
    Shape,
    Taught,
    boxes_of,
    load_taught,
    network_input,
    save_taught,
)
from fiducial.prompters.grounder.weights import STRIDE, Name

SMALL = Shape(widths=(8, 12, 16), blocks=(1, 2, 1), pyramid=8, embedding=6, words=5)


def test_a_picture_gives_an_embedding_and_a_box_per_place():
    network = GrounderNetwork(SMALL).eval()
    places, sides = network(network_input(torch.randint(0, 255, (2, 32, 48, 3), dtype=torch.uint8)))
    assert places.shape == (2, 6, 8, 12)
    assert sides.shape == (2, 4, 8, 12)
    torch.testing.assert_close(places.norm(dim=1), torch.ones(2, 8, 12))
    assert (sides > 0).all()


def test_the_default_has_five_million_parameters_and_fits_twelve_megabytes():
    count = sum(parameter.numel() for parameter in GrounderNetwork().parameters())
    assert 4.5e6 < count < 6e6
    assert Shape().multiple == 32


def test_heat_is_a_scaled_cosine_with_a_bias():
    network = GrounderNetwork(SMALL).eval()
    places = torch.nn.functional.normalize(torch.randn(2, 6, 3, 4), dim=1)
    phrases = torch.randn(7, 5)
    heat = network.heat(places, phrases)
    asked = network.phrase(phrases)
    cosine = torch.cosine_similarity(asked[3], places[1, :, 2, 1], dim=0)
    torch.testing.assert_close(heat[1, 3, 2, 1], 10 * cosine - 4.6)
    own = network.heat(places, torch.stack([phrases, phrases.flip(0)]))
    torch.testing.assert_close(own[0], heat[0])
    torch.testing.assert_close(own[1], heat[1].flip(0))


def test_boxes_lie_about_the_middle_of_their_place():
    sides = torch.tensor([1.0, 2.0, 3.0, 4.0])[None, :, None, None].expand(1, 4, 2, 3)
    boxes = boxes_of(sides)
    x, y = 2.5 * STRIDE, 1.5 * STRIDE
    assert boxes[0, :, 1, 2].tolist() == [x - 1, y - 2, x + 3, y + 4]


def test_sides_cannot_grow_without_end():
    network = GrounderNetwork(SMALL).eval()
    torch.nn.init.constant_(network.sides[1].bias, 1e4)
    _, sides = network(torch.zeros(1, 3, 32, 32))
    assert float(sides.detach().max()) == pytest.approx(16 * 2.718281828**4, rel=1e-4)


def test_input_is_channels_last_and_about_zero():
    inputs = network_input(torch.full((2, 8, 8, 3), 114, dtype=torch.uint8))
    assert inputs.shape == (2, 3, 8, 8)
    assert not inputs.any()
    assert inputs.is_contiguous(memory_format=torch.channels_last)


SMALLEST = Shape(widths=(8, 12), blocks=(1, 1), pyramid=8, embedding=6, words=5)
NAMES = (Name("ship", "aerial", 1.5, -0.25, 0.4), Name("tumour", "brain"))


@pytest.fixture
def taught():
    torch.manual_seed(0)
    return Taught(GrounderNetwork(SMALLEST), NAMES, np.eye(2, 5, dtype=np.float32))


def test_weights_come_back_as_they_were_written(taught, tmp_path):
    path = tmp_path / "some.safetensors"
    path.write_bytes(save_taught(taught, step=3))
    again, digest = load_taught(path)
    assert again.names == NAMES
    assert again.network.shape == SMALLEST
    np.testing.assert_array_equal(again.vectors, taught.vectors)
    one, other = taught.network.state_dict(), again.network.state_dict()
    for key, tensor in one.items():
        torch.testing.assert_close(other[key], tensor, rtol=1e-3, atol=1e-4)
    assert len(digest) == 64


def test_weights_take_half_the_memory(taught):
    count = sum(tensor.numel() for tensor in taught.network.state_dict().values())
    assert len(save_taught(taught)) < 2 * count + 8000


def test_a_file_without_weights_is_refused(tmp_path):
    path = tmp_path / "some.safetensors"
    with pytest.raises(InputError, match="cannot be read"):
        load_taught(path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no weights of the nano grounder"):
        load_taught(path)


def test_weights_of_something_else_are_refused(tmp_path):
    from safetensors.torch import save

    path = tmp_path / "some.safetensors"
    path.write_bytes(save({"names": torch.zeros(1)}))
    with pytest.raises(InputError, match="holds no weights of the nano grounder"):
        load_taught(path)


def test_names_have_places(taught):
    grounder = taught.running()
    assert grounder.vocabulary == ("ship", "tumour")
    assert grounder.places(("tumour", "ship")) == [1, 0]
    with pytest.raises(InputError, match="does not know 'car': it knows ship, tumour"):
        grounder.places(("car",))


def test_vectors_fit_names_and_network(taught):
    with pytest.raises(InputError, match=r"2 names need vectors of shape \(2, 5\), got \(1, 5\)"):
        replace(taught, vectors=taught.vectors[:1])


@pytest.mark.parametrize("values", [{"slope": 0.0}, {"threshold": 1.5}])
def test_a_name_has_a_rising_score_and_a_threshold(values):
    with pytest.raises(InputError, match="ship"):
        Name("ship", **values)
