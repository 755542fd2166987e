from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from fiducial.errors import InputError
from fiducial.geometry import Mask, Prompt
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.overlays import PALETTE
from fiducial.overlays import page as pages
from fiducial.overlays.page import MAX_PIXELS, MAX_SIDE, MIN_SIDE, Display
from fiducial.results import png


def grey(height, width, name="grey.png"):
    return Image(np.full((height, width, 3), 100, np.uint8), name=name)


def drawn_legend(result):
    found = zip(result.prompts, result.masks, result.scores, strict=True)
    return pages.draw_legend(png.caption(result), [pages.Target(*one) for one in found], 640, 16)


def target(picture, box, **values):
    return Prompt(picture.frame, box=box, **values), Mask.from_box(box, picture.height, picture.width)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((40, 30), (640, 480)),
        ((64, 64), (640, 640)),
        ((640, 480), (640, 480)),
        ((1000, 2000), (1000, 2000)),
        ((4000, 3000), (2309, 1732)),
        ((300, 5000), (245, 4096)),
        ((1, 1), (640, 640)),
        ((1, 50000), (1, 4096)),
    ],
)
def test_shown_sizes(size, shown):
    display = Display.fit(*size)
    assert (display.shown_width, display.shown_height) == shown
    assert max(shown) <= MAX_SIDE
    assert shown[0] * shown[1] <= MAX_PIXELS
    assert max(shown) >= min(MIN_SIDE, max(size))


def test_coverage_is_exact_at_whole_factors():
    mask = Mask.from_box((3, 4, 6, 5), 30, 40)
    coverage, x, y = Display.fit(40, 30).coverage(mask)
    assert (x, y, coverage.shape) == (48, 64, (16, 48))
    assert (coverage == 255).all()
    assert Display.fit(40, 30).coverage(Mask.empty(30, 40))[0].size == 0


def test_a_speck_survives_being_made_smaller():
    display = Display.fit(8000, 6000)
    for box in ((10, 10, 11, 11), (7999, 5999, 8000, 6000)):
        coverage, x, y = display.coverage(Mask.from_box(box, 6000, 8000))
        assert coverage.max() == 255
        assert x + coverage.shape[1] <= display.shown_width
        assert y + coverage.shape[0] <= display.shown_height


def test_scattered_pixels_survive_being_made_smaller():
    dense = np.zeros((6000, 8000), bool)
    dense[100, 100] = dense[160, 160] = True
    coverage, _, _ = Display.fit(8000, 6000).coverage(Mask.from_dense(dense))
    assert coverage.max() == 255


def test_coverage_keeps_the_area_when_made_smaller():
    mask = Mask.from_box((1000, 500, 3000, 2500), 3000, 4000)
    display = Display.fit(4000, 3000)
    coverage, x, y = display.coverage(mask)
    share = display.shown_width / 4000
    assert coverage.astype(float).sum() / 255 == pytest.approx(mask.area * share**2, rel=0.002)
    assert (x, y) == (int(1000 * share), int(500 * share))


def test_the_picture_shows_targets_and_leaves_the_rest_alone(make):
    picture = grey(480, 640)
    prompt, mask = target(picture, (100, 100, 300, 300), label="ship")
    page = png.draw(make([prompt], [mask], on=picture))
    assert page.shape[1] == 640
    assert page.shape[0] > 480
    blue = PALETTE[0]
    tinted = [round(100 + 0.38 * (value - 100)) for value in blue]
    assert page[200, 200].tolist() == tinted
    assert tuple(page[200, 100]) == blue, "the box's edge"
    assert (page[:480, 400:] == 100).all()
    assert (page[-3:] == 255).all(), "the legend's paper"


def test_small_targets_inside_large_ones_stay_in_sight(make):
    picture = grey(480, 640)
    small, large = target(picture, (200, 200, 260, 260)), target(picture, (10, 10, 600, 470))
    page = png.draw(make([small[0], large[0]], [small[1], large[1]], on=picture))
    under = [round(100 + 0.38 * (value - 100)) for value in PALETTE[1]]
    assert page[230, 230].tolist() == [round(v + 0.38 * (c - v)) for v, c in zip(under, PALETTE[0], strict=True)]


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome.NO_TARGET, "no target"),
        (Outcome.MALFORMED, "reply not readable"),
        (Outcome.TRUNCATED, "reply broke off, 0 targets"),
        (Outcome.FAILED, "not answered"),
    ],
)
def test_without_a_target_the_picture_says_so(make, outcome, words):
    picture = grey(480, 640)
    result = make(on=picture, outcome=outcome)
    assert png.caption(result).status == words
    page = png.draw(result)
    assert (page[:40, :200] != 100).any(), "a tag in the corner"
    assert (page[60:480] == 100).all()


def test_headline_counts(make, image):
    prompt, mask = target(image, (1, 1, 9, 9))
    assert png.caption(make([prompt], [mask])).status == "1 target"
    assert png.caption(make([prompt] * 2, [mask] * 2)).status == "2 targets"
    assert png.caption(make([prompt], [mask], outcome=Outcome.TRUNCATED)).status == "reply broke off, 1 target"


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (700, 2), (30, 40), (64, 64), (200, 3000), (3000, 200)])
def test_any_size_is_readable(make, tmp_path, size):
    picture = grey(*size)
    height, width = size
    prompt = Prompt(
        picture.frame, box=(0, 0, width, height), points=((0, 0), (width, height)), point_labels=(1, 0), label="x" * 99
    )
    mask = Mask.from_box((0, 0, width / 2, height), height, width)
    result = make([prompt] * 3, [mask] * 3, on=picture, text="word " * 500, instruction="long " * 200, recipe="r" * 200)
    path = result.save(tmp_path, ["png"])["png"]
    with PIL.Image.open(path) as page:
        assert page.mode == "RGB"
        assert pages.MIN_PAGE <= page.width <= MAX_SIDE
        assert page.height < MAX_SIDE + 2000


def test_tags_keep_apart():
    taken = []
    for _ in range(5):
        text, area = pages._free_tag(["1 ship", "1"], (100, 100, 200, 200), 14, taken, (400, 400))
        assert text == "1 ship"
        assert not any(pages._meet(area, other) for other in taken)
        taken.append(area)
    everywhere = [(0, 0, 400, 400)]
    text, area = pages._free_tag(["1 ship", "1"], (100, 100, 200, 200), 14, everywhere, (400, 400))
    assert text == "1", "the short form when nothing is free"


def test_many_targets_are_counted_and_listed_in_part(make, image):
    prompt, mask = target(image, (1, 1, 9, 9), label="thing")
    many = make([prompt] * (pages.MAX_ROWS + 5), [mask] * (pages.MAX_ROWS + 5))
    few = make([prompt] * pages.MAX_ROWS, [mask] * pages.MAX_ROWS)
    assert drawn_legend(many).shape[0] > drawn_legend(few).shape[0]


def test_the_legend_grows_with_what_it_says(make, image):
    prompt, mask = target(image, (1, 1, 9, 9))
    pointed = Prompt(image.frame, points=((3, 3), (5, 5)), point_labels=(1, 0))
    heights = [
        drawn_legend(result).shape[0]
        for result in (
            make(),
            make([prompt], [mask]),
            make([pointed], [mask]),
            make([pointed], [Mask.empty(40, 60)], text="Some words."),
        )
    ]
    assert heights == sorted(set(heights))


def test_areas_in_words():
    assert pages._area(0, 100) == "empty mask"
    assert pages._area(12345, 100000) == "12,345 px (12.3 %)"
    assert pages._area(1, 100000) == "1 px (< 0.1 %)"


def test_the_same_result_gives_the_same_bytes(two, tmp_path):
    first, second = (png.write_overlay(two, tmp_path) for _ in range(2))
    assert first == second


def test_twelve_megapixels_are_drawn_at_four(make):
    picture = grey(3000, 4000)
    targets = [target(picture, (x, 100, x + 900, 2900), label="part") for x in (50, 1000, 2000, 3000)]
    page = png.draw(make([prompt for prompt, _ in targets], [mask for _, mask in targets], on=picture))
    assert page.shape[1] == 2309
    assert 1732 < page.shape[0] < 2400


# -- masks --------------------------------------------------------------------------------------


def test_masks_as_png(two, tmp_path):
    paths = two.save(tmp_path, ["mask"])
    with PIL.Image.open(paths["mask"]) as picture:
        assert (picture.mode, picture.size) == ("L", (60, 40))
        assert np.array_equal(np.array(picture), two.mask.to_dense() * 255)
    with PIL.Image.open(paths["instances"]) as picture:
        assert picture.mode == "I;16"
        numbers = np.array(picture)
    assert [np.array_equal(numbers == n + 1, mask.to_dense()) for n, mask in enumerate(two.masks)] == [True, True]


def test_later_instances_lie_on_top(make, image, tmp_path):
    masks = [Mask.from_box((0, 0, 10, 10), 40, 60), Mask.empty(40, 60), Mask.from_box((5, 5, 15, 15), 40, 60)]
    paths = make([Prompt(image.frame, box=(0, 0, 9, 9))] * 3, masks).save(tmp_path, ["mask"])
    numbers = np.array(PIL.Image.open(paths["instances"]))
    assert (numbers[7, 7], numbers[0, 0], numbers[20, 20]) == (3, 1, 0)
    assert set(np.unique(numbers)) == {0, 1, 3}


def test_more_instances_than_16_bits_number(two, tmp_path, monkeypatch):
    monkeypatch.setattr(png, "_MAX_INSTANCES", 1)
    with pytest.raises(InputError, match="2 targets are more than a 16-bit PNG can number"):
        two.save(tmp_path, ["mask"])
