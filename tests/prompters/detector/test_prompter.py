"""The detector prompter: what it picks, what it says, how it measures."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector_fakes import KnowingDetector
from fakes import BoxSegmenter
from fiducial import Mask, Pipeline
from fiducial.contracts import Prompter
from fiducial.errors import InputError
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.language.candidates import judge_colours
from fiducial.metrics import policy, score_sample
from fiducial.prompters.classic import ClassicPrompter
from fiducial.prompters.detector import Detection, Detector, DetectorPrompter
from fiducial.prompters.detector.prompter import as_candidate
from fiducial.prompters.detector.reading import ANY_NOUN

RED, BLUE, WHITE, BLACK, BROWN, GREEN = (
    (200, 0, 0), (0, 0, 200), (240, 240, 240), (20, 20, 20), (90, 60, 20), (0, 120, 0),
)  # fmt: skip
THINGS = {  # name, box, score, colour
    "a": ("ship", (10, 10, 40, 30), 0.9, RED),
    "b": ("ship", (100, 20, 160, 50), 0.8, BLUE),
    "c": ("ship", (200, 150, 230, 170), 0.7, WHITE),
    "d": ("ship", (250, 20, 280, 40), 0.35, RED),
    "e": ("ship", (20, 120, 60, 145), 0.6, BLUE),
    "pier": ("pier", (90, 60, 170, 80), 0.95, BROWN),
    "white": ("storage tank", (220, 80, 240, 100), 0.9, WHITE),
    "black": ("storage tank", (250, 80, 270, 100), 0.8, BLACK),
    "court": ("tennis court", (100, 120, 140, 180), 0.9, GREEN),
}
NAMES = ("ship", "pier", "storage tank", "tennis court", "airplane", "black bear", "bear")
SYNONYMS = {
    "boat": ("ship", 1.0),
    "boats": ("ship", 1.0),
    "dinghies": ("ship", 0.9),
    "rusty boat": ("ship", 0.8),
    "paper ship": (None, 0.0),
}
KEYS = {box: key for key, (_, box, _, _) in THINGS.items()}


def harbour(name="harbour", ground=120):
    pixels = np.full((200, 300, 3), ground, np.uint8)
    for _, (left, top, right, bottom), _, colour in THINGS.values():
        pixels[top:bottom, left:right] = colour
    return Image(pixels, name=name)


IMAGE, OTHER = harbour(), harbour("other", 90)


def detector(names=NAMES):
    found = [Detection(tuple(map(float, box)), score, name) for name, box, score, _ in THINGS.values()]
    return KnowingDetector({IMAGE.digest: found, OTHER.digest: found[:1]}, names, SYNONYMS)


def ask(instruction, **options):
    return DetectorPrompter(detector(), **options).ask([IMAGE], [instruction])[0]


def chosen(answer):
    return "".join(sorted(KEYS[prompt.box] for prompt in answer.prompts))


def test_it_is_what_it_says():
    assert isinstance(detector(), Detector)
    assert isinstance(DetectorPrompter(detector()), Prompter)


@pytest.mark.parametrize(
    ("instruction", "keys"),
    [
        ("the two largest ships", "be"),
        ("all boats", "abcde"),
        ("the red ships", "ad"),
        ("the leftmost blue ship", "e"),
        ("the ship closest to the pier", "b"),
        ("ships above the pier", "abd"),
        ("the tank left of the black tank", "white"),
        ("all ships except the red ones", "bce"),
        ("all ships except the largest", "acde"),
        ("the leftmost of the two largest ships", "e"),
        ("the pier and the tennis court", "courtpier"),
        ("the darkest tank", "black"),
        ("the longest ship", "b"),
        ("everything but the ships", "blackcourtpierwhite"),
        ("the green thing below the pier", "court"),
    ],
)
def test_picks(instruction, keys):
    synonyms = {"tank": ("storage tank", 1.0)}
    told = detector()
    told.synonyms = {**SYNONYMS, **synonyms}
    answer = DetectorPrompter(told).ask([IMAGE], [instruction])[0]
    assert (answer.outcome, chosen(answer)) == (Outcome.FOUND, keys)


def test_prompts_are_boxes_with_the_users_noun_and_the_detectors_score():
    answer = ask("the two leftmost boats")
    assert [(one.box, one.points, one.label, one.score) for one in answer.prompts] == [
        ((10.0, 10.0, 40.0, 30.0), (), "boat", 0.9),
        ((20.0, 120.0, 60.0, 145.0), (), "boat", 0.6),
    ]
    assert [one.label for one in ask("the pier and all things at the bottom").prompts][:2] == ["pier", "tennis court"]


def test_known_and_not_there_is_no_target():
    answer = ask("the airplane")
    assert answer.outcome is Outcome.NO_TARGET
    assert answer.text == "Chose nothing; no airplane was found."
    assert ask("all airplanes").text == "Chose nothing; no airplanes were found."
    assert ask("the green ship").outcome is Outcome.NO_TARGET
    assert ask("the ship near the airplane").outcome is Outcome.NO_TARGET


@pytest.mark.parametrize(
    "instruction",
    [
        "the crane",
        "the ship near the crane",
        "the ship and the crane",
        "all ships but the crane",
        "the 2 ships by a crane",
    ],
)
def test_an_unknown_noun_anywhere_refuses_the_whole(instruction):
    answer = ask(instruction)
    assert (answer.outcome, len(answer.prompts)) == (Outcome.FAILED, 0)
    assert answer.text == f"I do not know 'crane', so nothing was looked for. Known are {', '.join(NAMES)}. {ANY_NOUN}"


def test_what_could_be_said_instead():
    assert "Instead of 'tennis racket' try tennis court." in ask("the tennis racket").text
    several = ask("the crane or the derrick")
    assert "I do not know 'crane' or 'derrick', so" in several.text
    assert ask("the paper ship").text.startswith("I do not know 'paper ship'")
    assert "Known" not in DetectorPrompter(detector(None)).ask([IMAGE], ["paper ship"])[0].text


def test_a_kind_of_what_is_known_is_taken_for_any_of_it_and_told():
    answer = ask("all dinghies")
    assert chosen(answer) == "abcde"
    assert answer.text.startswith("'dinghies' was taken for any ship: no closer name is known. Chose all 5 dinghies.")


def test_words_that_are_not_understood_are_refused_unless_the_rest_may_choose():
    refused = ask("the rusty boats")
    assert (refused.outcome, refused.text) == (Outcome.FAILED, "Chose nothing: 'rusty' is not understood.")
    by_rest = ask("the rusty boats", rest=True)
    assert chosen(by_rest) == "abcde"
    assert "Not understood: rusty." in by_rest.text


def test_words_before_a_noun_that_nobody_understands_are_refused_too():
    for instruction in ("the largest crowded ship", "the pier near the crowded ship", "all but the crowded ship"):
        refused = ask(instruction)
        assert (refused.outcome, len(refused.prompts)) == (Outcome.FAILED, 0)
        assert "'crowded' is not understood" in refused.text
    by_rest = ask("the largest crowded ship", rest=True)
    assert chosen(by_rest) == "b"
    assert "Not understood: crowded." in by_rest.text


def test_a_place_told_by_an_unknown_noun_is_refused_unless_the_rest_may_choose():
    refused = ask("the largest ship near the road")
    assert refused.outcome is Outcome.FAILED
    assert "I do not know 'road'" in refused.text
    by_rest = ask("the largest ship near the road", rest=True)
    assert chosen(by_rest) == "b"
    assert by_rest.text.startswith("'near the road' played no part: I do not know 'road'. Chose the largest of 5 ships")
    assert ask("ships except the road", rest=True).outcome is Outcome.FAILED


def test_what_is_not_there_leaves_nothing_out():
    assert chosen(ask("all ships except the airplanes")) == "abcde"
    assert chosen(ask("all ships except the pier")) == "abcde"


def test_a_synonym_of_the_noun_leaves_nothing_out():
    refused = ask("all ships except the boats")
    assert refused.outcome is Outcome.FAILED
    assert "boats are not told apart among ships" in refused.text
    assert chosen(ask("all ships except the leftmost boat")) == "bcde"


def test_an_adjective_is_part_of_a_name_of_its_own():
    told = detector()
    told.things[IMAGE.digest] += [
        Detection((1.0, 1.0, 9.0, 9.0), 0.9, "bear"),
        Detection((1.0, 31.0, 9.0, 39.0), 0.5, "black bear"),
    ]
    answer = DetectorPrompter(told).ask([IMAGE], ["the black bear"])[0]
    assert [one.box for one in answer.prompts] == [(1.0, 31.0, 9.0, 39.0)]
    assert told.calls == [[("harbour", ("black bear",))]]
    DetectorPrompter(told).ask([IMAGE], ["the red bear"])
    assert told.calls[-1] == [("harbour", ("bear",))]


def test_one_rule_where_more_fit_than_were_asked_for():
    answer = ask("the ship")
    assert chosen(answer) == "a"
    assert "Which of the 5 is left open: the most certain one was taken; say the leftmost" in answer.text
    assert "Which of the 5 is left open: the 3 most certain were taken" in ask("the three ships").text
    assert chosen(ask("a ship")) == "a"
    for instruction in ("a ship", "all ships", "the largest ship", "the pier", "every other ship", "half of the ships"):
        assert "left open" not in ask(instruction).text, instruction


def test_no_noun_asks_for_regions_or_for_every_name():
    by_regions = ask("the green thing", regions=ClassicPrompter())
    assert by_regions.text.startswith("No kind of thing was named, so regions that stand out were chosen from. Chose")
    assert chosen(by_regions) == "court"
    assert len(by_regions.prompts[0].points) == 1
    by_names = ask("the green thing")
    assert chosen(by_names) == "court"
    assert by_names.text.startswith("'the green thing' was taken for any of the 7 kinds of things known. Chose")
    assert by_names.prompts[0].label == "tennis court"
    beside = ask("the green thing below the pier", regions=ClassicPrompter())
    assert "'the green thing' was taken for any" in beside.text
    anything = DetectorPrompter(detector(None)).ask([IMAGE], ["the green thing"])[0]
    assert (anything.outcome, anything.text) == (
        Outcome.FAILED,
        "'the green thing' names no kind of thing: say one, such as 'the largest ship'.",
    )


def test_doubt_is_told():
    assert "Not sure: 0.35." in ask("the rightmost ship").text
    assert "Not sure of 1 of the 5: 0.35." in ask("ships").text
    assert "Sizes and shapes are those of boxes." in ask("the largest ship").text
    assert "Sizes" not in ask("the leftmost ship").text
    assert "Sizes" in ask("the ships larger than the white storage tank").text
    assert ask("the six ships").text.endswith("Note: asked for 6 ships, found 5.")


def test_one_call_for_all_pictures_and_none_for_what_is_remembered():
    told = detector()
    prompter = DetectorPrompter(told)
    again = Image(IMAGE.pixels, name="again")
    answers = prompter.ask([IMAGE, OTHER, again, OTHER], ["the largest ship", "ships", "the pier", "the crane"])
    assert told.calls == [[("harbour", ("ship", "pier")), ("other", ("ship",))]]
    assert [chosen(one) for one in answers] == ["b", "a", "pier", ""]
    assert chosen(prompter.ask([again], ["the ship left of the pier"])[0]) == "e"
    assert len(told.calls) == 1
    prompter.ask([OTHER], ["the ship near the pier"])
    assert told.calls[1:] == [[("other", ("pier",))]]
    assert prompter.ask([], []) == []


def test_where_any_noun_may_be_asked_for_sets_of_names_stay_apart():
    told = detector(None)
    prompter = DetectorPrompter(told)
    prompter.ask([IMAGE, IMAGE, IMAGE], ["the ship", "ships", "the ship near the pier"])
    assert told.calls == [[("harbour", ("ship",)), ("harbour", ("pier", "ship"))]]


def test_the_oldest_pictures_are_forgotten(monkeypatch):
    monkeypatch.setattr("fiducial.prompters.detector.prompter.MAX_REMEMBERED", 1)
    told = detector()
    prompter = DetectorPrompter(told)
    for image in (IMAGE, OTHER, IMAGE):
        prompter.ask([image], ["ships"])
    assert len(told.calls) == 3
    two = prompter.ask([IMAGE, OTHER], ["ships", "ships"])
    assert [chosen(one) for one in two] == ["abcde", "a"]


def test_colours_are_measured_when_asked_for_and_once(monkeypatch):
    looks = []
    measure = "fiducial.prompters.detector.prompter.judge_colours"
    monkeypatch.setattr(measure, lambda *given: looks.append(1) or judge_colours(*given))
    prompter = DetectorPrompter(detector())
    for instruction in ("the two largest ships", "all ships left of the pier"):
        assert chosen(prompter.ask([IMAGE], [instruction])[0])
    assert not looks
    for instruction, keys in (("the red ships", "ad"), ("the blue ships", "be"), ("the darkest ship", "b")):
        assert chosen(prompter.ask([IMAGE], [instruction])[0]) == keys
    assert len(looks) == 5


def test_a_remembered_answer_does_not_keep_its_picture():
    prompter = DetectorPrompter(detector())
    image = harbour()
    assert chosen(prompter.ask([image], ["all ships"])[0]) == "abcde"
    pixels = weakref.ref(image.pixels)
    del image
    assert pixels() is None
    assert chosen(prompter.ask([IMAGE], ["the red ships"])[0]) == "ad"


def test_numbers_have_to_fit():
    with pytest.raises(InputError, match=r"2 images need .* got 1"):
        DetectorPrompter(detector()).ask([IMAGE, OTHER], ["ships"])


def test_in_a_batch_an_unknown_noun_costs_only_its_own_answer():
    pipeline = Pipeline(prompter=DetectorPrompter(detector()), segmenter=BoxSegmenter())
    unknown, found = pipeline.segment([IMAGE, IMAGE], ["the crane", "the pier"])
    assert (unknown.outcome, unknown.masks) == (Outcome.FAILED, ())
    assert unknown.text.startswith("I do not know 'crane'")
    assert [mask.box for mask in found.masks] == [(90.0, 60.0, 170.0, 80.0)]
    # where nothing is meant, not knowing is no "there is none"
    empty = Mask.empty(IMAGE.height, IMAGE.width)
    assert score_sample(policy("fiducial"), empty, None, unknown.outcome).iou == 0
    assert score_sample(policy("fiducial"), empty, None, Outcome.NO_TARGET).iou == 1


def canvas(ground=(120, 120, 120)):
    return np.full((60, 80, 3), ground, np.uint8)


def measured(pixels, box):
    return as_candidate(Image(pixels), Detection(tuple(map(float, box)), 0.7, "ship"))


def test_a_thing_that_fills_the_middle_of_its_box():
    pixels = canvas()
    pixels[22:38, 30:50] = (0, 0, 200)
    candidate = measured(pixels, (20, 20, 60, 40))
    assert candidate.colours == {"blue": 1.0}
    assert candidate.brightness == pytest.approx(0.114 * 200 / 255)
    assert (candidate.area, candidate.length) == (None, None)  # those of its box
    assert candidate.roundness == 0.5
    assert candidate.area is None
    assert (candidate.prompt.label, candidate.prompt.score, candidate.prompt.points) == ("ship", 0.7, ())


def test_a_ring_has_the_colour_of_its_rim():
    pixels = canvas()
    pixels[10:50, 20:60] = (220, 0, 0)
    pixels[17:43, 27:53] = (120, 120, 120)
    assert max(measured(pixels, (20, 10, 60, 50)).colours) == "red"


def test_what_looks_like_its_surroundings_is_measured_in_its_middle():
    pixels = canvas((240, 240, 240))
    pixels[28:32, 38:42] = (0, 0, 0)  # too little to be the thing
    assert next(iter(measured(pixels, (20, 10, 60, 50)).colours)) == "white"


def test_a_box_over_the_whole_picture_has_no_surroundings():
    pixels = canvas((0, 120, 0))
    assert measured(pixels, (0, 0, 80, 60)).colours == {"green": 1.0}


@given(st.floats(0, 79.9), st.floats(0, 59.9), st.floats(0.01, 80), st.floats(0.01, 60))
def test_any_box_in_the_picture_can_be_measured(x, y, width, height):
    box = (x, y, min(80.0, x + width), min(60.0, y + height))
    candidate = measured(canvas((200, 0, 0)), box)
    assert candidate.colours == {"red": 1.0}
    assert 0 < candidate.roundness <= 1


def test_what_lies_askew_is_told_from_the_ground_that_shares_its_box():
    pixels = canvas((0, 60, 160))
    for k in range(-18, 19):
        pixels[30 + k : 34 + k, 38 + k : 42 + k] = (240, 240, 240)
    assert measured(pixels, (20, 12, 60, 52)).colours == {"white": 1.0}
