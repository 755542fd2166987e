from __future__ import annotations

import numpy as np
import pytest
import torch

from fiducial.checkpoints import network_file
from fiducial.engines import TorchEngine
from fiducial.errors import InputError, ModelError
from fiducial.geometry import Prompt, Prompts
from fiducial.images import Image
from fiducial.segmenters.configs import NanoConfig
from fiducial.segmenters.nano import NanoSegmenter
from fiducial.segmenters.nano_crops import SIZE, Crop
from fiducial.segmenters.nano_sizes import FIGURES, MARGIN, SizeJudge, merits, size_figures
from fiducial.segmenters.nano_unet import NanoNetwork, Shape
from fiducial.training.sizes_model import SizesNetwork

torch.set_num_threads(1)


def figure(figures, name):
    return figures[:, FIGURES.index(name)]


def squares(*parts):
    """Masks that fill such parts of the middle of their crops."""
    offset = np.abs(np.arange(SIZE) + 0.5 - SIZE / 2) / (SIZE / 2)
    return [np.where(np.maximum.outer(offset, offset) < part, 0.9, 0.1).astype(np.float32) for part in parts]


def described(parts=(0.5, 0.25, 1.0), qualities=(0.9, 0.5, 0.1), agreed=(0.7, 0.2), width=200, height=100):
    crops = [Crop.centred((50, 50), side) for side in (40, 80, 160)]
    return size_figures(
        squares(*parts), qualities, agreed, crops, (50.0, 50.0), np.full((height, width, 3), (0, 51, 102), np.uint8)
    )


def judge(seed=0, **options):
    torch.manual_seed(seed)
    network = SizesNetwork(
        torch.randn(len(FIGURES)), torch.rand(len(FIGURES)) + 0.5, members=3, width=5, **options
    ).eval()
    torch.nn.init.normal_(network.verdict.weight)
    return network, SizeJudge({name: one.detach().numpy() for name, one in network.state_dict().items()})


def test_figures_say_what_the_masks_look_like():
    figures = described()
    assert figures.shape == (3, len(FIGURES))
    assert figures.dtype == np.float32
    assert np.isfinite(figures).all()
    assert figure(figures, "trust") == pytest.approx([np.log(9), 0, -np.log(9)], abs=1e-4)
    assert figure(figures, "side") == pytest.approx(np.log2([40 / 128, 80 / 128, 160 / 128]))
    assert figure(figures, "side_of_picture") == pytest.approx(np.log2([0.2, 0.4, 0.8]), abs=1e-6)
    assert figure(figures, "seen") == pytest.approx([1, 1, 100 * 130 / 160**2], abs=0.01)
    assert figure(figures, "root_area")[:2] == pytest.approx([0.5, 0.25])
    assert figure(figures, "extent") == pytest.approx([0.5, 0.25, 1])
    assert figure(figures, "before") == pytest.approx([0, 0.7, 0.2])
    assert figure(figures, "after") == pytest.approx([0.7, 0.2, 0])
    assert figure(figures, "merit") == pytest.approx(merits([0.9, 0.5, 0.1], [0.7, 0.2]))
    assert figure(figures, "first").tolist() == [1, 0, 0]
    assert figure(figures, "last").tolist() == [0, 0, 1]
    assert figure(figures, "colour") == pytest.approx([0.4] * 3)
    assert figure(figures, "dark").tolist() == [0, 0, 0]
    assert figure(figures, "bright") == pytest.approx([0.2] * 3)


def test_a_mask_that_leaves_its_crop_is_told_from_one_that_ends_with_the_picture():
    figures = described()
    # The third crop reaches past the picture above, below and to the left; its mask fills it.
    assert figure(figures, "edge_sides").tolist() == [0, 0, 0.25]
    assert figure(figures, "rim_sides").tolist() == [0, 0, 0.75]
    assert figure(figures, "open").tolist() == [1, 1, 0.25]


def test_an_empty_mask_and_a_crop_of_one_pixel_are_described():
    assert np.isfinite(described(parts=(0, 0, 0), qualities=(0, 1, 0))).all()
    assert np.isfinite(described(width=1, height=1)).all()


def test_the_judge_says_what_the_network_says():
    network, made = judge()
    figures = described()
    with torch.no_grad():
        expected = network(torch.from_numpy(figures)[None], torch.ones(1, 3, dtype=torch.bool)).mean(0)[0]
    assert made.judge(figures) == pytest.approx(expected.numpy(), rel=1e-4, abs=1e-4)
    rule = int(np.argmax(figure(figures, "merit")))
    assert made.choose(figures) == (int(expected.argmax()) if expected.max() - expected[rule] > MARGIN else rule)


def test_sizes_that_are_not_there_change_nothing():
    network, _ = judge()
    figures = torch.from_numpy(described())[None]
    more = torch.cat([figures, torch.randn(1, 2, len(FIGURES))], dim=1)
    there = torch.tensor([[True, True, True, False, False]])
    with torch.no_grad():
        alone, padded = network(figures, there[:, :3]), network(more, there)
    assert padded[..., :3].numpy() == pytest.approx(alone.numpy(), rel=1e-4, abs=1e-4)
    assert (padded[..., 3:] < -1000).all()


def test_an_untrained_judge_follows_the_rule():
    network = SizesNetwork(torch.zeros(len(FIGURES)), torch.ones(len(FIGURES)), members=2, width=4)
    made = SizeJudge({name: one.detach().numpy() for name, one in network.state_dict().items()})
    figures = described()
    assert made.choose(figures) == int(np.argmax(figure(figures, "merit")))


def test_broken_weights_are_named(tmp_path):
    network, _ = judge()
    weights = {name: one.detach() for name, one in network.state_dict().items()}
    path = tmp_path / "sizes.safetensors"
    path.write_bytes(network_file({**weights, "own.weight": torch.zeros(3, 7, 5)}, {}))
    with pytest.raises(InputError, match="takes 7 figures"):
        SizeJudge.from_pretrained(path)
    path.write_bytes(network_file({**weights, "all.bias": torch.zeros(3, 1, 9)}, {}))
    with pytest.raises(InputError, match="do not fit each other"):
        SizeJudge.from_pretrained(path)
    path.write_bytes(network_file({"mean": weights["mean"]}, {}))
    with pytest.raises(InputError, match="holds no weights of the nano sizes"):
        SizeJudge.from_pretrained(path)
    _, made = judge()
    with pytest.raises(ModelError, match="no finite numbers"):
        made.choose(np.full((2, len(FIGURES)), np.nan, np.float32))


class BrightThere(NanoNetwork):
    """Takes what is brighter than the crop's mean."""

    def forward(self, inputs):
        logits = torch.where(inputs[:, 0] > 0.5, 9.0, -9.0)
        return logits, (logits > 0).float().mean((1, 2)) * 4 - 2


class Last:
    """A judge that takes the largest size."""

    def __init__(self):
        self.asked = 0

    def choose(self, figures):
        self.asked += 1
        return len(figures) - 1


def test_the_segmenter_asks_it_around_one_point_alone():
    pixels = np.full((90, 120, 3), 30, np.uint8)
    pixels[20:50, 40:70] = 220
    image, last = Image(pixels), Last()
    segmenter = NanoSegmenter(TorchEngine(BrightThere(Shape((4, 8), (1, 1), 1))), NanoConfig(passes=1), last)
    point = Prompt(image.frame, points=((55, 35),))
    others = [
        Prompt(image.frame, box=(38, 18, 72, 52)),
        Prompt(image.frame, points=((45, 35), (65, 35))),
        Prompt(image.frame, points=((55, 35),), point_labels=(0,)),
    ]
    (mask,) = segmenter.decode(segmenter.encode(image), Prompts(image.frame, (point,)))
    assert last.asked == 1
    sizes = segmenter.sizes_around(image, (55, 35))
    assert mask == sizes.masks[-1]
    assert mask.score == pytest.approx(sizes.qualities[-1])
    segmenter.decode(segmenter.encode(image), Prompts(image.frame, tuple(others)))
    assert last.asked == 1


def test_the_package_brings_one_and_the_rule_can_be_asked_for():
    assert isinstance(NanoSegmenter.from_pretrained(device="cpu").judge, SizeJudge)
    assert NanoSegmenter.from_pretrained(device="cpu", sizes="").judge is None
