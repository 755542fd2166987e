from dataclasses import replace

import numpy as np
import pytest
import torch

from fiducial.errors import InputError
from fiducial.prompters.grounder.network import GrounderNetwork, Shape
from fiducial.prompters.grounder.weights import Grounder, Name, load_grounder, save_grounder

SMALL = Shape(widths=(8, 12), blocks=(1, 1), pyramid=8, embedding=6, words=5)
NAMES = (Name("ship", "aerial", 1.5, -0.25, 0.4), Name("tumour", "brain"))


@pytest.fixture
def grounder():
    torch.manual_seed(0)
    return Grounder(GrounderNetwork(SMALL), NAMES, np.eye(2, 5, dtype=np.float32))


def test_weights_come_back_as_they_were_written(grounder, tmp_path):
    path = tmp_path / "some.safetensors"
    path.write_bytes(save_grounder(grounder, step=3))
    again, digest = load_grounder(path)
    assert again.names == NAMES
    assert again.network.shape == SMALL
    np.testing.assert_array_equal(again.vectors, grounder.vectors)
    one, other = grounder.network.state_dict(), again.network.state_dict()
    for key, tensor in one.items():
        torch.testing.assert_close(other[key], tensor, rtol=1e-3, atol=1e-4)
    assert len(digest) == 64


def test_weights_take_half_the_memory(grounder):
    count = sum(tensor.numel() for tensor in grounder.network.state_dict().values())
    assert len(save_grounder(grounder)) < 2 * count + 8000


def test_a_file_without_weights_is_refused(tmp_path):
    path = tmp_path / "some.safetensors"
    with pytest.raises(InputError, match="cannot be read"):
        load_grounder(path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no weights of the nano grounder"):
        load_grounder(path)


def test_weights_of_something_else_are_refused(tmp_path):
    from safetensors.torch import save

    path = tmp_path / "some.safetensors"
    path.write_bytes(save({"names": torch.zeros(1)}))
    with pytest.raises(InputError, match="holds no weights of the nano grounder"):
        load_grounder(path)


def test_names_have_places(grounder):
    assert grounder.vocabulary == ("ship", "tumour")
    assert grounder.places(("tumour", "ship")) == [1, 0]
    with pytest.raises(InputError, match="does not know 'car': it knows ship, tumour"):
        grounder.places(("car",))


def test_vectors_fit_names_and_network(grounder):
    with pytest.raises(InputError, match=r"2 names need vectors of shape \(2, 5\), got \(1, 5\)"):
        replace(grounder, vectors=grounder.vectors[:1])


@pytest.mark.parametrize("values", [{"slope": 0.0}, {"threshold": 1.5}])
def test_a_name_has_a_rising_score_and_a_threshold(values):
    with pytest.raises(InputError, match="ship"):
        Name("ship", **values)
