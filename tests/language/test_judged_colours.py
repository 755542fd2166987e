"""Colours of things as people name them: against what is around, without shadows, beside the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fiducial.geometry import Frame, Prompt
from fiducial.images import Image
from fiducial.language.candidates import Candidate, Look, judge_colours, measure_colours
from fiducial.language.phrases import resolve
from fiducial.prompters.detector.prompter import as_candidate
from fiducial.prompters.detector.reading import Detection

SEA, ASPHALT, CLOUD = (45, 65, 75), (110, 110, 108), (205, 205, 205)


def pixels(*parts: tuple[int, tuple[int, int, int]]) -> np.ndarray:
    return np.concatenate([np.full((many, 3), colour, np.uint8) for many, colour in parts])


@pytest.mark.parametrize(
    ("thing", "ground", "named"),
    [
        (pixels((100, (187, 203, 203))), SEA, "white"),  # CIELAB lightness 80
        (pixels((100, (187, 203, 203))), CLOUD, "grey"),
        (pixels((100, (150, 95, 81))), SEA, "red"),
        (pixels((100, (183, 134, 109))), SEA, "orange"),
        (pixels((100, (110, 72, 40))), ASPHALT, "brown"),
        (pixels((60, (20, 20, 22)), (40, (200, 200, 198))), ASPHALT, "white"),  # its windows and its shadow
        (pixels((70, (20, 20, 22)), (30, (60, 60, 62))), ASPHALT, "black"),
        (pixels((95, (20, 20, 22)), (5, (230, 230, 230))), ASPHALT, "black"),  # a glint
        (pixels((60, (150, 150, 150)), (40, (70, 110, 190))), ASPHALT, "blue"),
        (pixels((100, (70, 85, 92))), (110, 130, 140), "grey"),  # as blue as the haze
    ],
)
def test_is_named_as_by_eye(thing, ground, named):
    _, shares = judge_colours(thing, ground)
    assert next(iter(shares)) == named
    assert sum(shares.values()) == pytest.approx(1)


def test_brightness_is_that_of_what_counts():
    brightness, shares = judge_colours(pixels((50, (0, 0, 0)), (50, (204, 204, 204))), ASPHALT)
    assert (brightness, shares) == (pytest.approx(0.8, abs=0.01), {"white": 1.0})


@pytest.mark.parametrize(("colour", "named"), [((200, 160, 110), "brown"), ((240, 190, 140), "orange")])
def test_warm_colours_are_brown_where_they_are_dull_and_not_light(colour, named):
    assert next(iter(measure_colours(np.full((3, 3, 3), colour, np.uint8))[1])) == named


def test_many_pixels_are_looked_at_in_steps():
    few, many = (judge_colours(pixels((n, (187, 203, 203))), SEA) for n in (3, 300_000))
    assert few[1] == many[1]


def test_a_detection_is_judged_against_what_is_around_it():
    picture = np.full((100, 200, 3), SEA, np.uint8)
    picture[40:60, 20:80] = (187, 203, 203)
    picture[40:60, 120:180] = (150, 95, 81)
    image = Image(picture)
    ships = [as_candidate(image, Detection((x, 40.0, x + 60, 60.0), 0.9, "ship")) for x in (20.0, 120.0)]
    assert resolve("the white ships", ships, image.frame).chosen == (0,)
    assert resolve("the red ships", ships, image.frame).chosen == (1,)
    assert resolve("brown ships", ships, image.frame).chosen == ()


def test_a_look_is_taken_once_and_is_as_good_as_what_it_sees():
    looks = []
    prompt = Prompt(Frame.pixels(9, 9), box=(0, 0, 5, 9))
    later = Candidate(prompt, look=Look(lambda: looks.append(1) or (0.5, {"red": 1.0})))
    told = Candidate(prompt, brightness=0.5, colours={"red": 1.0})
    assert (repr(later.look), looks) == ("Look(not measured yet)", [])
    assert (later.brightness, later.colours) == (0.5, {"red": 1.0})
    assert looks == [1]
    assert later == told != replace(told, look=Look(lambda: (0.4, {"red": 1.0})))
    assert (Candidate(prompt).brightness, Candidate(prompt).colours) == (None, {})


class TestBesideOthers:
    """White and grey are told among things of one name."""

    FRAME = Frame.pixels(100, 100)

    def ship(self, x: float, brightness: float, name: str = "ship") -> Candidate:
        return Candidate(
            Prompt(self.FRAME, box=(x, 0, x + 5, 9), label=name), brightness=brightness, colours={"white": 1}
        )

    def test_the_dimmer_of_two_is_grey(self):
        ships = [self.ship(0, 0.95), self.ship(20, 0.62)]
        assert resolve("the white ships", ships, self.FRAME).chosen == (0,)
        assert resolve("the grey ships", ships, self.FRAME).chosen == (1,)

    def test_nearly_as_bright_is_white(self):
        ships = [self.ship(0, 0.85), self.ship(20, 0.62)]
        assert resolve("the white ships", ships, self.FRAME).chosen == (0, 1)

    def test_things_of_other_names_do_not_count(self):
        things = [self.ship(0, 0.95, "tank"), self.ship(20, 0.62)]
        assert resolve("the white ships", things, self.FRAME).chosen == (1,)
