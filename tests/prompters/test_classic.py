"""The classic prompter on drawn scenes and on pictures that scikit-image brings along."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageDraw

from fiducial.contracts import Prompter
from fiducial.errors import InputError
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.prompters.classic import ClassicPrompter
from fiducial.prompters.classic.outlines import WORKING_PIXELS, WORKING_SIDE, make_canvas, working_size
from fiducial.prompters.classic.regions import MAX_REGIONS, find_regions

# centre x, y, radius, colour
DISCS = [
    (60, 60, 20, (220, 20, 20)),
    (180, 70, 35, (20, 40, 220)),
    (300, 60, 12, (240, 220, 30)),
    (90, 180, 28, (30, 160, 40)),
    (260, 190, 22, (20, 20, 20)),
]
COIN_BOXES = [  # left, top, right, bottom, read off the picture by hand
    (22, 33, 66, 76), (80, 38, 118, 75), (131, 27, 178, 73), (191, 27, 239, 73), (254, 31, 297, 71),
    (304, 16, 364, 70), (23, 104, 68, 147), (82, 107, 121, 145), (134, 110, 173, 147), (186, 105, 227, 146),
    (245, 93, 298, 144), (316, 105, 356, 144), (24, 177, 62, 215), (80, 174, 123, 218), (135, 178, 175, 216),
    (188, 169, 237, 217), (251, 170, 297, 214), (315, 155, 379, 217), (17, 231, 74, 289), (92, 243, 136, 287),
    (143, 234, 200, 287), (218, 237, 268, 287), (274, 237, 327, 287), (334, 243, 379, 287),
]  # fmt: skip


@pytest.fixture(scope="module")
def prompter() -> ClassicPrompter:
    return ClassicPrompter()


def scene(ground: tuple[int, int, int] = (200, 195, 190), noise: int = 0, discs: list = DISCS) -> Image:
    picture = PillowImage.new("RGB", (360, 240), ground)
    draw = ImageDraw.Draw(picture)
    for x, y, radius, colour in discs:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    pixels = np.asarray(picture).astype(int)
    if noise:
        pixels = pixels + np.random.default_rng(3).integers(-noise, noise + 1, pixels.shape)
    return Image(np.clip(pixels, 0, 255).astype(np.uint8), name="scene")


def ask(prompter: ClassicPrompter, image: Image, instruction: str) -> list:
    return list(prompter.ask([image], [instruction])[0].prompts)


def centre(prompt) -> tuple[float, float]:
    x1, y1, x2, y2 = prompt.box
    return (x1 + x2) / 2, (y1 + y2) / 2


def is_disc(prompt, disc) -> bool:
    x, y, radius, _ = disc
    expected = np.array([x - radius, y - radius, x + radius + 1, y + radius + 1])
    return bool(np.abs(np.array(prompt.box) - expected).max() <= 1)


def box_iou(a, b) -> float:
    (l1, t1, r1, b1), (l2, t2, r2, b2) = a, b
    shared = max(0, min(r1, r2) - max(l1, l2)) * max(0, min(b1, b2) - max(t1, t2))
    return shared / ((r1 - l1) * (b1 - t1) + (r2 - l2) * (b2 - t2) - shared)


class TestDrawnScenes:
    @pytest.mark.parametrize(
        "image", [scene(), scene(noise=12), scene(ground=(90, 110, 80))], ids=["plain", "noisy", "dull"]
    )
    def test_all_things_are_exactly_the_discs(self, prompter, image):
        found = ask(prompter, image, "all things")
        assert len(found) == len(DISCS)
        for disc in DISCS:
            assert any(is_disc(prompt, disc) for prompt in found), disc

    @pytest.mark.parametrize(
        ("instruction", "expected"),
        [
            ("the largest disc", [1]),
            ("the smallest disc", [2]),
            ("the leftmost thing", [0]),
            ("the rightmost circle", [2]),
            ("the red region", [0]),
            ("the blue circle", [1]),
            ("the yellow ball", [2]),
            ("the green thing", [3]),
            ("the black thing", [4]),
            ("the two largest balls", [1, 3]),
            ("the things at the bottom", [3, 4]),
            ("the darkest thing", [4]),
            ("the second largest thing", [3]),
        ],
    )
    def test_picks(self, prompter, instruction, expected):
        found = ask(prompter, scene(), instruction)
        assert len(found) == len(expected)
        assert all(any(is_disc(prompt, DISCS[k]) for prompt in found) for k in expected), [p.box for p in found]

    def test_attributes_are_those_of_the_drawing(self, prompter):
        image = scene()
        findings = prompter.find(image)
        names = ["red", "blue", "yellow", "green", "black"]
        for (x, y, radius, colour), name in zip(DISCS, names, strict=True):
            candidate = next(
                findings.candidates[k]
                for k in findings.things
                if is_disc(findings.candidates[k].prompt, (x, y, radius, colour))
            )
            assert candidate.area == pytest.approx(np.pi * (radius + 0.5) ** 2, rel=0.06)
            assert candidate.length == pytest.approx(2 * radius + 1, abs=2)
            assert candidate.roundness > 0.9
            assert candidate.brightness == pytest.approx(np.dot(colour, (0.299, 0.587, 0.114)) / 255, abs=0.02)
            assert candidate.colours[name] > 0.9
            assert np.hypot(*(np.array(candidate.prompt.points[0]) - (x + 0.5, y + 0.5))) <= 4

    def test_a_bar_is_long_and_not_round(self, prompter):
        pixels = np.full((120, 200, 3), 30, np.uint8)
        pixels[50:60, 20:180] = 220
        (bar,) = (prompter.find(Image(pixels)).candidates[k] for k in prompter.find(Image(pixels)).things)
        assert bar.prompt.box == (20, 50, 180, 60)
        assert bar.area == 1600
        assert bar.length == pytest.approx(np.hypot(159, 9) + 1)
        assert bar.roundness == pytest.approx(1600 / (np.pi / 4 * bar.length**2))

    def test_a_large_picture_gives_the_same_things_in_its_own_pixels(self, prompter):
        small = scene()
        large = Image(np.repeat(np.repeat(small.pixels, 6, axis=0), 6, axis=1))
        found = ask(prompter, large, "all things")
        assert len(found) == len(DISCS)
        for x, y, radius, _ in DISCS:
            expected = np.array([x - radius, y - radius, x + radius + 1, y + radius + 1]) * 6
            assert min(np.abs(np.array(prompt.box) - expected).max() for prompt in found) <= 10

    def test_mirrored_pictures_give_mirrored_things(self, prompter):
        image = scene(noise=10)
        mirrored = Image(np.ascontiguousarray(image.pixels[:, ::-1]))
        plain = sorted(p.box for p in ask(prompter, image, "all things"))
        turned = sorted(
            (360 - x2, y1, 360 - x1, y2) for x1, y1, x2, y2 in (p.box for p in ask(prompter, mirrored, "all things"))
        )
        assert np.abs(np.array(plain) - np.array(turned)).max() <= 2

    def test_the_ground_is_no_thing(self, prompter):
        findings = prompter.find(scene())
        assert all((c.area or 0) < 0.5 * 360 * 240 for c in findings.candidates)


class TestAnswers:
    def test_it_is_a_prompter(self, prompter):
        assert isinstance(prompter, Prompter)

    def test_it_says_what_it_cannot_do(self, prompter):
        answer = prompter.ask([scene()], ["all coins"])[0]
        assert answer.outcome is Outcome.FOUND
        assert answer.text.startswith("I cannot recognise 'coins': I looked for regions that stand out")
        assert {prompt.label for prompt in answer.prompts} == {"coins"}

    def test_shapes_and_things_need_no_excuse(self, prompter):
        for instruction in ("the largest disc", "all things"):
            assert "cannot" not in prompter.ask([scene()], [instruction])[0].text

    def test_circle_means_round(self, prompter):
        pixels = scene(discs=DISCS[:2]).pixels.copy()
        pixels[200:210, 100:250] = 0
        image = Image(pixels)
        assert len(ask(prompter, image, "all things")) == 3
        assert len(ask(prompter, image, "all circles")) == 2

    def test_what_is_not_there_is_no_target(self, prompter):
        answer = prompter.ask([scene()], ["the purple thing"])[0]
        assert answer.outcome is Outcome.NO_TARGET
        assert len(answer.prompts) == 0
        assert "no purple region" in answer.text

    def test_fainter_regions_are_tried_and_named(self, prompter):
        pixels = scene().pixels.copy()
        pixels[60:80, 175:195] = (150, 40, 200)
        answer = prompter.ask([Image(pixels)], ["all purple things"])[0]
        assert [p.box for p in answer.prompts] == [(175, 60, 195, 80)]
        assert "fainter and nested" in answer.text

    def test_colours_asked_for_decide_between_what_has_them(self, prompter):
        pixels = scene(discs=[]).pixels.copy()
        pixels[40:140, 40:140] = (20, 20, 20)
        pixels[40:75, 40:140] = (30, 160, 40)
        pixels[180:210, 200:230] = (30, 160, 40)
        (found,) = ask(prompter, Image(pixels), "the green thing at the bottom")
        assert found.box == (200, 180, 230, 210)
        (found,) = ask(prompter, Image(pixels), "the green thing")
        assert found.box != (40, 40, 140, 140)

    def test_several_nouns_leave_no_label(self, prompter):
        found = ask(prompter, scene(), "the red ball and the blue coin")
        assert len(found) == 2
        assert {prompt.label for prompt in found} == {None}

    def test_what_was_not_understood_and_not_met_is_told(self, prompter):
        answer = prompter.ask([scene()], ["the nine largest things"])[0]
        assert len(answer.prompts) == 5
        assert "Note: asked for 9" in answer.text

    def test_words_that_mean_nothing_here_are_named(self, prompter):
        refused = prompter.ask([scene()], ["the largest thing with a beautiful soul"])[0]
        assert (refused.outcome, len(refused.prompts)) == (Outcome.FAILED, 0)
        assert "'beautiful' is not understood" in refused.text
        by_rest = ClassicPrompter(rest=True).ask([scene()], ["the largest thing with a beautiful soul"])[0]
        assert by_rest.prompts
        assert "Not understood: beautiful." in by_rest.text

    def test_batches_keep_their_order(self, prompter):
        answers = prompter.ask(
            [scene(), scene(noise=25), scene()], ["the red thing", "the blue thing", "the black thing"]
        )
        assert [is_disc(a.prompts[0], DISCS[k]) for a, k in zip(answers, (0, 1, 4), strict=True)] == [True] * 3

    def test_numbers_must_agree(self, prompter):
        with pytest.raises(InputError, match=r"2 images need .* got 1"):
            prompter.ask([scene(), scene()], ["the ship"])

    def test_an_empty_instruction_is_wrong_input(self, prompter):
        with pytest.raises(InputError):
            prompter.ask([scene()], ["  "])

    def test_pictures_are_remembered_up_to_a_limit(self):
        fresh = ClassicPrompter()
        images = [Image(np.full((9, 9, 3), value, np.uint8)) for value in range(12)]
        fresh.ask(images, ["all things"] * 12)
        assert len(fresh._remembered) == 8
        assert fresh._remembered.get(images[-1].digest)
        assert fresh.find(images[-1]) is fresh.find(images[-1])


class TestPhotographs:
    def test_all_coins(self, prompter):
        found = ask(prompter, Image.from_array(skimage.data.coins()), "all coins")
        best = [max(box_iou(prompt.box, box) for prompt in found) for box in COIN_BOXES]
        assert len(found) <= 26
        assert sum(value > 0.5 for value in best) >= 22
        assert np.mean(best) > 0.8

    def test_the_largest_coin(self, prompter):
        (coin,) = ask(prompter, Image.from_array(skimage.data.coins()), "the largest coin")
        assert box_iou(coin.box, COIN_BOXES[17]) > 0.8

    def test_the_two_coins_in_the_top_right(self, prompter):
        found = ask(prompter, Image.from_array(skimage.data.coins()), "the two coins in the top right")
        assert len(found) == 2
        for box in (COIN_BOXES[4], COIN_BOXES[5]):
            assert max(box_iou(prompt.box, box) for prompt in found) > 0.7

    def test_the_cup(self, prompter):
        image = Image.from_array(skimage.data.coffee())
        for instruction in ("the largest round thing", "the cup"):
            (cup,) = ask(prompter, image, instruction)
            assert box_iou(cup.box, (172, 18, 412, 204)) > 0.8

    def test_the_cat(self, prompter):
        (cat,) = ask(prompter, Image.from_array(skimage.data.chelsea()), "the largest region in the centre")
        assert box_iou(cat.box, (0, 0, 370, 300)) > 0.8

    def test_the_only_cell(self, prompter):
        (cell,) = ask(prompter, Image.from_array(skimage.data.cell()), "all cells")
        assert 0.6 < cell.score <= 1
        x, y = centre(cell)
        assert (abs(x - 427), abs(y - 371)) < (15, 15)


class TestAnyPicture:
    @settings(max_examples=25)
    @given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32 - 1), st.sampled_from([1, 4, 9]))
    def test_noise_of_any_size_gives_candidates_inside_the_picture(self, width, height, seed, grain):
        noise = np.random.default_rng(seed).integers(
            0, 256, (-(-height // grain), -(-width // grain), 3), dtype=np.uint8
        )
        pixels = np.repeat(np.repeat(noise, grain, axis=0), grain, axis=1)[:height, :width]
        candidates = ClassicPrompter().find(Image(np.ascontiguousarray(pixels))).candidates
        assert len(candidates) <= MAX_REGIONS
        for candidate in candidates:
            left, top, right, bottom = candidate.prompt.box
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
            x, y = candidate.prompt.points[0]
            assert left <= x <= right
            assert top <= y <= bottom
            assert 0 <= candidate.prompt.score <= 1
            assert 0 < candidate.area <= (right - left) * (bottom - top)
            assert 0 < candidate.roundness <= 1
            assert sum(candidate.colours.values()) == pytest.approx(1)

    @pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (3, 40), (300, 200)])
    @pytest.mark.parametrize("value", [0, 128, 255])
    def test_one_colour_has_no_regions(self, prompter, size, value):
        answer = prompter.ask([Image(np.full((*size, 3), value, np.uint8))], ["all things"])[0]
        assert answer.outcome is Outcome.NO_TARGET

    def test_the_same_picture_gives_the_same_candidates(self):
        image = Image.from_array(skimage.data.astronaut()[::2, ::2])
        assert ClassicPrompter().find(image) == ClassicPrompter().find(image)

    def test_texture_gives_no_more_than_the_limit(self):
        pixels = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
        _, regions = find_regions(Image(pixels))
        assert len(regions) <= MAX_REGIONS
        assert all(a.prominence >= b.prominence for a, b in pairwise(regions))

    def test_things_do_not_overlap(self):
        canvas, regions = find_regions(Image.from_array(skimage.data.coffee()))
        covered = np.zeros((canvas.height, canvas.width), int)
        total = 0
        for region in (region for region in regions if region.apart):
            left, top, right, bottom = region.box
            covered[top:bottom, left:right] += region.mask()
            total += int(region.mask().sum())
        assert (covered > 0).sum() > 0.85 * total


class TestCanvas:
    @given(st.integers(1, 60_000), st.integers(1, 60_000))
    def test_the_working_size_is_bounded(self, width, height):
        w, h = working_size(width, height)
        assert 1 <= w <= min(width, WORKING_SIDE)
        assert 1 <= h <= min(height, WORKING_SIDE)
        assert w * h <= max(WORKING_PIXELS * 1.01, WORKING_SIDE)

    def test_small_pictures_keep_their_size(self):
        canvas = make_canvas(scene())
        assert (canvas.width, canvas.height, canvas.scale_x, canvas.scale_y) == (360, 240, 1.0, 1.0)

    def test_a_long_thin_picture_is_shrunk(self):
        canvas = make_canvas(Image(np.zeros((1, 40_000, 3), np.uint8)))
        assert (canvas.width, canvas.height) == (WORKING_SIDE, 1)
        assert canvas.scale_x == 40_000 / WORKING_SIDE
