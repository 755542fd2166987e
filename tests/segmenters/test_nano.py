from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch

from fiducial.config import class_value, read_part
from fiducial.contracts import Embedding, Segmenter
from fiducial.engines import TorchEngine
from fiducial.errors import FrameError, InputError
from fiducial.geometry import Frame, Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.segmenters.configs import NanoConfig
from fiducial.segmenters.nano import NanoSegmenter
from fiducial.segmenters.nano_crops import SIZE
from fiducial.segmenters.nano_unet import NanoNetwork, Shape, save_network
from fiducial.training.exporting import export

torch.set_num_threads(1)


class BrightInBox(NanoNetwork):
    """Takes what is brighter than the crop's mean, in the box or near the point; trusts large masks more."""

    def forward(self, inputs):
        self.calls.append(inputs.shape[0])
        near = torch.where(inputs[:, 3].amax((1, 2), keepdim=True) > 0, inputs[:, 3], torch.ones(()))
        logits = torch.where((inputs[:, 0] > 0.5) & (near > 0.5) & (inputs[:, 5] < 0.5), 9.0, -9.0)
        return logits, (logits > 0).float().mean((1, 2)) * 4 - 2 + inputs[:, 6].abs().amax((1, 2))


def bright(**options) -> NanoSegmenter:
    network = BrightInBox(Shape((4, 8), (1, 1), 1))
    network.calls = []
    return NanoSegmenter(TorchEngine(network), NanoConfig(**options))


@pytest.fixture
def image() -> Image:
    pixels = np.full((90, 120, 3), 30, np.uint8)
    pixels[20:50, 40:70] = 220
    pixels[60:70, 90:100] = 220
    return Image(pixels, name="squares.png")


def cut(segmenter, image, *prompts, **options):
    return segmenter.decode(segmenter.encode(image), Prompts(image.frame, prompts), **options)


def test_it_is_a_segmenter():
    assert isinstance(bright(), Segmenter)


def test_boxes_of_all_sizes_are_cut_in_their_places(image):
    masks = cut(bright(), image, Prompt(image.frame, box=(38, 18, 72, 52)), Prompt(image.frame, box=(88, 58, 102, 72)))
    assert masks[0].iou(Mask.from_box((40, 20, 70, 50), 90, 120)) > 0.97
    assert masks[1].iou(Mask.from_box((90, 60, 100, 70), 90, 120)) > 0.97
    assert all(0 <= mask.score <= 1 for mask in masks)


def test_a_box_at_the_edge_of_the_image(image):
    corner = Image(np.ascontiguousarray(image.pixels[20:50, 40:90]), name="corner")
    (mask,) = cut(bright(), corner, Prompt(corner.frame, box=(0, 0, 31, 30)))
    assert mask.iou(Mask.from_box((0, 0, 30, 30), 30, 50)) > 0.96


def test_prompts_do_not_meet(image):
    segmenter = bright(batch_size=2)
    prompts = [
        Prompt(image.frame, box=(38, 18, 72, 52)),
        Prompt(image.frame, points=((55, 35),)),
        Prompt(image.frame, box=(88, 58, 102, 72), points=((95, 65),), point_labels=(0,)),
    ]
    together = cut(segmenter, image, *prompts)
    alone = [cut(bright(), image, prompt)[0] for prompt in prompts]
    for one, other in zip(together, alone, strict=True):
        assert one.iou(other) == 1
        assert one.score == pytest.approx(other.score, abs=1e-5)


def test_a_mask_that_was_cut_is_not_cut_again(image):
    segmenter = bright(passes=1)
    one, other = Prompt(image.frame, box=(38, 18, 72, 52)), Prompt(image.frame, box=(88, 58, 102, 72))
    both = cut(segmenter, image, one, other)
    same = Image(image.pixels.copy(), name="a copy")
    assert cut(segmenter, same, other, one) == both[::-1]
    assert sum(segmenter.engine.network.calls) == 2
    changed = image.pixels.copy()
    changed[0, 0] += 1
    (again,) = cut(segmenter, Image(changed), one)
    assert sum(segmenter.engine.network.calls) == 3
    cut(segmenter, image, one, previous=[again])
    cut(segmenter, image, Prompt(image.frame, box=one.box, points=((55, 35),)))
    assert sum(segmenter.engine.network.calls) == 5


def test_several_crops_are_tried_around_a_point_and_the_trusted_one_is_taken(image):
    segmenter = bright(passes=1)
    (mask,) = cut(segmenter, image, Prompt(image.frame, points=((55, 35),)))
    assert sum(segmenter.engine.network.calls) > 3
    assert mask.contains([(55, 35)]).all()


class AsTold(NanoNetwork):
    """Takes the rows around the middle of each crop, and trusts it, as the test says."""

    def forward(self, inputs):
        count = inputs.shape[0]
        rows = torch.linspace(-1, 1, SIZE)[None, :, None].expand(count, SIZE, SIZE)
        edges = torch.tensor(self.edges[:count])[:, None, None]
        return torch.where(rows.abs() < edges, 9.0, -9.0), torch.logit(torch.tensor(self.trust[:count]))


def test_agreement_of_neighbouring_scales_decides_between_masks_trusted_alike(image):
    network = AsTold(Shape((4, 8), (1, 1), 1))
    segmenter = NanoSegmenter(TorchEngine(network), NanoConfig(passes=1))
    # Crops of 24, 41, 69, 118, 200 pixels: the second and third cut the same rows, the first others.
    network.edges, network.trust = [0.9, 20 / 41, 20 / 69, 0.02, 0.02], [0.62, 0.6, 0.55, 0.1, 0.1]
    (mask,) = cut(segmenter, image, Prompt(image.frame, points=((60, 45),)))
    assert mask.score == pytest.approx(0.6, abs=1e-3)
    network.trust = [0.9, 0.6, 0.55, 0.1, 0.1]
    segmenter = NanoSegmenter(TorchEngine(network), NanoConfig(passes=1))
    (mask,) = cut(segmenter, image, Prompt(image.frame, points=((60, 45),)))
    assert mask.score == pytest.approx(0.9, abs=1e-3)


def test_points_beside_the_target_alone_say_nothing(image):
    (mask,) = cut(bright(), image, Prompt(image.frame, points=((55, 35),), point_labels=(0,)))
    assert not mask
    assert mask.score is None


def test_a_point_beside_the_target_takes_away(image):
    (whole,) = cut(bright(), image, Prompt(image.frame, box=(38, 18, 72, 52)))
    (less,) = cut(bright(), image, Prompt(image.frame, box=(38, 18, 72, 52), points=((55, 35),), point_labels=(0,)))
    assert less.area < whole.area
    assert not less.contains([(55, 35)]).any()


def test_no_prompt_no_mask(image):
    assert cut(bright(), image) == []


def test_an_earlier_mask_is_shown(image):
    segmenter, box = bright(passes=1), Prompt(image.frame, box=(38, 18, 72, 52))
    (first,) = cut(segmenter, image, box)
    (again,) = cut(segmenter, image, box, previous=[first])
    assert again.score > first.score
    assert again.iou(first) > 0.97
    assert cut(segmenter, image, box, previous=[None]) == [first]


def test_a_further_pass_is_kept_when_it_is_trusted_more(image):
    box = Prompt(image.frame, box=(38, 18, 72, 52))
    (once,), (twice,) = cut(bright(passes=1), image, box), cut(bright(passes=2, enough=1), image, box)
    assert twice.score > once.score


def test_only_masks_that_are_expected_to_be_poor_are_cut_again(image):
    boxes = [Prompt(image.frame, box=(38, 18, 72, 52)), Prompt(image.frame, box=(86, 56, 104, 74))]
    once = cut(bright(passes=1), image, *boxes)
    better, worse = sorted(mask.score for mask in once)[::-1]
    assert better > worse
    segmenter = bright(enough=(better + worse) / 2)
    found = cut(segmenter, image, *boxes)
    assert segmenter.engine.network.calls == [2, 1]
    assert better in [mask.score for mask in found]


def test_wrong_input_is_named(image):
    segmenter = bright()
    with pytest.raises(InputError, match="2 prompts"):
        cut(segmenter, image, *[Prompt(image.frame, box=(1, 1, 9, 9))] * 2, previous=[None])
    with pytest.raises(InputError, match="does not fit"):
        cut(segmenter, image, Prompt(image.frame, box=(1, 1, 9, 9)), previous=[Mask.from_box((0, 0, 2, 2), 5, 5)])
    with pytest.raises(FrameError):
        segmenter.decode(segmenter.encode(image), Prompts(Frame.unit(), (Prompt(Frame.unit(), box=(0, 0, 1, 1)),)))
    with pytest.raises(InputError, match="holds no image"):
        segmenter.decode(Embedding("k", 120, 90, {}), Prompts(image.frame))


def test_keys_name_weights_and_picture(image, tmp_path):
    torch.manual_seed(0)
    one, other = NanoNetwork(Shape((4, 8), (1, 1), 1)), NanoNetwork(Shape((4, 8), (1, 1), 1))
    keys = [NanoSegmenter(TorchEngine(network)).encode(image).key for network in (one, other)]
    assert keys[0] != keys[1]
    path = tmp_path / "w.safetensors"
    path.write_bytes(save_network(one))
    export(path)
    loaded = NanoSegmenter.from_pretrained(path, device="cpu")
    assert loaded.encode(image).key == NanoSegmenter.from_pretrained(path, device="cpu").encode(image).key
    assert loaded.engine(np.zeros((1, 7, SIZE, SIZE), np.float32))[0].shape == (1, SIZE, SIZE)


@pytest.fixture(scope="module")
def segmenter():
    return NanoSegmenter.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def coins():
    return Image.from_array(skimage.data.coins(), name="coins.png")


def test_a_coin_in_its_box(segmenter, coins):
    (mask,) = cut(segmenter, coins, Prompt(coins.frame, box=(20, 20, 75, 75)))
    rows, columns = np.mgrid[: coins.height, : coins.width]
    disc = Mask.from_dense((rows - 51) ** 2 + (columns - 45) ** 2 < 22**2)
    assert mask.iou(disc) > 0.75
    assert mask.score > 0.6


def test_a_drawn_square_is_cut_well(segmenter):
    pixels = np.full((200, 300, 3), (60, 90, 50), np.uint8)
    pixels += np.random.default_rng(0).integers(0, 20, pixels.shape, dtype=np.uint8)
    pixels[60:120, 100:180] = (200, 60, 40)
    image = Image(pixels)
    truth = Mask.from_box((100, 60, 180, 120), 200, 300)
    boxes = [Prompt(image.frame, box=box) for box in ((100, 60, 180, 120), (92, 66, 186, 114))]
    exact, rough = cut(segmenter, image, *boxes)
    assert exact.iou(truth) > 0.93
    assert rough.iou(truth) > 0.8


def test_it_is_a_part_that_needs_no_extra():
    part = read_part("segmenter", "nano?device=cpu")
    assert class_value(type(part), "extra") == ""
    assert isinstance(part.build(), NanoSegmenter)
