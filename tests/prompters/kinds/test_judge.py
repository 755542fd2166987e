"""The judge of kinds: what it says, what it remembers, and its weights."""

import numpy as np
import pytest
import torch

from fiducial.errors import InputError, ModelError
from fiducial.images import Image
from fiducial.prompters.kinds.judge import SIDE, Judgement, Kind, KindJudge, network_input
from fiducial.prompters.kinds.network import KindNetwork, Shape, load_kinds, save_kinds
from fiducial.training.exporting import export

KINDS = (Kind("reddish", 0.5), Kind("bluish", -0.5))


class Colours:
    """Gives the redness and the blueness of each picture as logits."""

    fingerprint = "colours"

    def __init__(self, wrong=0.0):
        self.counts, self.wrong = [], wrong

    def __call__(self, pictures):
        self.counts.append(len(pictures))
        red, green, blue = pictures.mean(axis=(2, 3)).T
        return (np.stack([red - green, blue - green], axis=1) + np.float32(self.wrong),)


def plain(*colour, name="one", size=(50, 70)):
    return Image(np.full((*size, 3), colour, np.uint8), name=name)


RED, BLUE, GREEN = plain(250, 60, 60), plain(60, 60, 250), plain(60, 250, 60)


def test_a_picture_may_be_of_each_kind_whose_threshold_it_reaches():
    red, blue, green = KindJudge(Colours(), KINDS).judge([RED, BLUE, GREEN])
    assert [one.may_be("reddish") for one in (red, blue, green)] == [True, False, False]
    assert [one.may_be("bluish") for one in (red, blue, green)] == [True, True, False]
    assert [one.seems for one in (red, blue, green)] == ["reddish", "bluish", ""]


def test_of_a_kind_that_was_not_taught_nothing_is_known():
    assert Judgement(KINDS, np.float32([-9, -9])).may_be("greenish")


def test_a_picture_seems_to_be_of_the_likeliest_kind():
    assert Judgement(KINDS, np.float32([0.3, 0.2])).seems == "reddish"
    assert Judgement(KINDS, np.float32([-0.1, -0.2])).seems == ""


def test_each_picture_is_looked_at_once_and_new_ones_together():
    engine = Colours()
    judge = KindJudge(engine, KINDS)
    judge.judge([RED])
    found = judge.judge([RED, BLUE, plain(60, 60, 250, name="again"), GREEN])
    assert engine.counts == [1, 2]
    assert [one.seems for one in found] == ["reddish", "bluish", "bluish", ""]
    np.testing.assert_array_equal(found[0].logits, KindJudge(Colours(), KINDS).judge([RED])[0].logits)


def test_numbers_that_are_not_finite_are_no_judgement():
    with pytest.raises(ModelError, match="no finite numbers"):
        KindJudge(Colours(wrong=np.nan), KINDS).judge([RED])


def test_pictures_of_any_size_are_stretched():
    seen = network_input([plain(114, 114, 114, size=size).pixels for size in ((3, 900), (500, 300), (128, 128))])
    assert seen.shape == (3, 3, SIDE, SIDE)
    assert seen.dtype == np.float32
    assert not seen.any()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network = KindNetwork(Shape((8, 16), 2)).eval()
    path = tmp_path_factory.mktemp("kinds") / "mine.safetensors"
    path.write_bytes(save_kinds(network, KINDS, seed=0))
    export(path)
    return path


def test_weights_run_by_onnxruntime_as_by_torch(weights):
    network, kinds = load_kinds(weights)
    judge = KindJudge.from_pretrained(weights, "cpu")
    noise = np.random.default_rng(0).integers(0, 255, (3, 90, 60, 3), dtype=np.uint8)
    found = judge.judge([Image(one) for one in noise])
    with torch.no_grad():
        (expected,) = network.eval()(torch.from_numpy(network_input(list(noise))))
    assert judge.kinds == kinds == KINDS
    np.testing.assert_allclose([one.logits for one in found], expected.numpy(), atol=1e-4)


def test_weights_that_name_other_kinds_than_they_know_are_refused(tmp_path):
    path = tmp_path / "few.safetensors"
    path.write_bytes(save_kinds(KindNetwork(Shape((8, 16), 2)), KINDS[:1]))
    with pytest.raises(InputError, match="1 kinds are named, the network knows 2"):
        KindJudge.from_pretrained(path, "cpu")
