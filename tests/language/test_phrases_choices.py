"""What instructions choose in one fixed harbour, and how the choice is explained."""

from __future__ import annotations

import pytest

from fiducial.errors import FrameError, InputError
from fiducial.geometry import Frame, Prompt
from fiducial.language.answers import Outcome
from fiducial.language.candidates import Candidate
from fiducial.language.phrases import parse_instruction, resolve, same_noun
from fiducial.language.phrases.nouns import plural, singular

FRAME = Frame.pixels(900, 600)


def thing(label: str | None, box: tuple[float, float, float, float], **measured) -> Candidate:
    return Candidate(Prompt(FRAME, box=box, label=label, score=measured.pop("score", None)), **measured)


def ship(box, colours, roundness, length, brightness) -> Candidate:
    return thing("ship", box, colours=colours, roundness=roundness, length=length, brightness=brightness)


HARBOUR = [
    ship((20, 20, 120, 60), {"red": 0.9}, 0.4, 100, 0.5),  # 0, top left
    ship((300, 80, 480, 160), {"blue": 0.6, "white": 0.3}, 0.3, 180, 0.3),  # 1, top
    ship((700, 30, 780, 70), {"red": 0.5, "white": 0.4}, 0.8, 80, 0.7),  # 2, top right
    ship((640, 420, 860, 520), {"grey": 0.8}, 0.2, 220, 0.2),  # 3, bottom right, the largest, at the pier
    ship((60, 450, 110, 500), {"white": 0.9}, 0.95, 50, 0.9),  # 4, bottom left, the smallest
    thing("pier", (560, 380, 640, 600), colours={"brown": 0.9}),  # 5
    thing("crane", (420, 270, 480, 360), colours={"yellow": 0.9}),  # 6, centre
    thing("traffic light", (200, 300, 220, 360), colours={"black": 0.2, "green": 0.15}),  # 7
]

CHOICES = [
    ("all ships", [0, 1, 2, 3, 4]),
    ("ship", [3]),
    ("the red ship", [0]),
    ("the red and white ship", [2]),
    ("red and white ships", [0, 1, 2, 4]),
    ("the ships in the top half", [0, 1, 2]),
    ("the ship in the bottom left corner", [4]),
    ("the ship at the top", [1]),
    ("ships in a corner", [0, 2, 3, 4]),
    ("the round ship", [4]),
    ("round ships", [2, 4]),
    ("large ships", [0, 1, 3]),
    ("bright ships", [2, 4]),
    ("dark ships", [1, 3]),
    ("the two brightest ships", [4, 2]),
    ("the darkest ship", [3]),
    ("the least round ship", [3]),
    ("the longest red ship", [0]),
    ("the shortest ship", [4]),
    ("the tallest thing", [5]),
    ("the widest", [3]),
    ("the narrowest", [7]),
    ("second from the left", [4]),
    ("the second ship from the right", [2]),
    ("the last ship on the right", [3]),
    ("the last ship from the right", [0]),
    ("the first two ships from the left", [0, 4]),
    ("the second to last ship from the left", [2]),
    ("the fourth largest ship", [2]),
    ("the last largest ship", [4]),
    ("the second and third largest ships", [1, 0]),
    ("the largest and smallest ships", [3, 4]),
    ("the highest and lowest ships", [0, 4]),
    ("the rightmost two ships", [3, 2]),
    ("the left ship", [0]),
    ("left ships", [0, 4]),
    ("the top left ship", [0]),
    ("the middle ship", [1]),
    ("the northernmost ship", [0]),
    ("ships on the left and right", [0, 2, 3, 4]),
    ("the upper right corner", [2]),
    ("things in the centre", [6]),
    ("the ship at the bottom edge", []),
    ("the pier at the bottom edge", [5]),
    ("the ship closest to the centre", [1]),
    ("the ship furthest from the centre", [0]),
    ("the ship closest to the top right corner", [2]),
    ("the ship closest to a corner", [0]),
    ("the ship closest to the edge", [0]),
    ("the ship furthest from the pier", [0]),
    ("the closest ship to the crane", [1]),
    ("the ships left of the crane", [0, 1, 4]),
    ("ships to the right of the pier", [2, 3]),
    ("ships north east of the crane", [2]),
    ("ships left of the pier and above the crane", [0, 1]),
    ("the ship above the pier", [3]),
    ("the ship below the crane", [3]),
    ("ships between the crane and the pier", []),
    ("the crane between the traffic light and the pier", [6]),
    ("the crane between the two largest ships", [6]),
    ("ships near the pier", [3]),
    ("ships next to the pier", [3]),
    ("ships larger than the pier", [3]),
    ("ships smaller than the crane", [0, 2, 4]),
    ("the ship left of a ship", [4]),
    ("the ship to the left of all other ships", [0]),
    ("ships not near the pier", [0, 1, 2, 4]),
    ("all ships except the leftmost", [1, 2, 3, 4]),
    ("all but the leftmost", [1, 2, 3, 4, 5, 6, 7]),
    ("the two largest ships, except the leftmost", [3, 1]),
    ("the two largest ships but not the grey one", [1, 0]),
    ("everything except the ships", [5, 6, 7]),
    ("everything except the ships and the pier", [6, 7]),
    ("ships other than the red ones", [1, 3, 4]),
    ("the leftmost of the two largest ships", [1]),
    ("two of the red ships", [0, 2]),
    ("the crane and the pier", [5, 6]),
    ("two ships on the left and the crane", [0, 4, 6]),
    ("the traffic light", [7]),
    ("the light", [7]),
    ("the black light", [7]),
    ("the green light", []),
    ("both ships", [3, 1]),
    ("three cranes", [6]),
    ("the third ship", [1]),
    ("the tenth ship from the left", []),
    ("no ships", []),
    ("the lighthouse", []),
    ("the pier and the dog", [5]),
]
IN_ORDER = {"the two brightest ships", "the first two ships from the left", "the rightmost two ships", "both ships"}


@pytest.mark.parametrize(("text", "expected"), CHOICES, ids=[row[0] for row in CHOICES])
def test_choice(text: str, expected: list[int]) -> None:
    resolution = resolve(text, HARBOUR, FRAME)
    chosen = list(resolution.chosen)
    assert (chosen if text in IN_ORDER else sorted(chosen)) == (expected if text in IN_ORDER else sorted(expected))
    assert resolution.outcome is (Outcome.FOUND if expected else Outcome.NO_TARGET)
    assert resolution.text.startswith("Chose ")
    assert resolution.text.endswith(".")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the two largest ships in the top half", "Chose the 2 largest of 3 ships in the top half (the smallest of "
         "them covers 4000 square pixels)."),
        ("the ship", "Chose the one with the largest area of 5 ships."),
        ("the crane", "Chose the only crane."),
        ("red ships", "Chose both red ships."),
        ("the fourth largest ship", "Chose the fourth largest of 5 ships (it covers 3200 square pixels)."),
        ("the leftmost of the two largest ships", "Chose the leftmost of the 2 largest of 5 ships (the smallest of "
         "them covers 14400 square pixels)."),
        ("all ships except the leftmost", "Chose all 4 ships, leaving out 1 (the leftmost)."),
        ("the lighthouse", "Chose nothing; no lighthouse among 8 candidates."),
        ("the pier and the red crane", "Chose the only pier; no red crane among 8 candidates."),
        ("the tenth ship from the left", "Chose nothing; only 5 ships fit."),
        ("no ships", "Chose nothing; none was asked for."),
        ("the seventh largest thing", "Chose the number 7 largest of 8 things (it covers 2500 square pixels)."),
        ("the second to last largest ship", "Chose the second to last largest of 5 ships (it covers 3200 square "
         "pixels)."),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: str) -> None:
    assert resolve(text, HARBOUR, FRAME).text == expected


@pytest.mark.parametrize(
    ("text", "unmet"),
    [
        ("the largest ships", "'the largest ships' says no number: the first 3 of 5 were taken"),
        ("both ships", "asked for both ships, but 5 fit: 2 were taken"),
        ("all three ships", "asked for all 3 ships, but 5 fit: 3 were taken"),
        ("three cranes", "asked for 3 cranes, found 1"),
        ("the third ship", "'the third ship' says no order: counted from the left"),
        ("the tenth largest ship", "'the tenth largest ship' needs at least 10, found 5"),
        ("the dogs", "no candidate is called 'dog'"),
        ("the ship near the dog", "nothing fits 'the dog', which 'near the dog' needs"),
        ("all ships except the crane", "nothing to leave out fits 'the crane'"),
        ("all ships except the ferries", "'the ferries' was not left out: ferries are not told apart among ships"),
        ("the pier on the right", "nothing that fits lies in the third on the right: the half was taken instead"),
        ("the roundest thing", "the roundness of 3 of 8 candidates is not known: left out"),
        ("round things", "the roundness of 3 of 8 candidates is not known: left out"),
        ("ships that are not shiny", "'shiny' was not left out: it was not understood"),
        ("all ships except the shiny ones", "'the shiny ones' was not left out: it was not understood"),
        ("all ships except the shiny ships", "'the shiny ships' was not left out: it was not understood"),
        ("the ship and the grey ship", "two phrases chose the same candidate"),
        ("the crane left of the ship", "5 candidates fit 'the ship' in 'left of the ship': one was taken"),
    ],
)
def test_what_could_not_be_had_is_said(text: str, unmet: str) -> None:
    assert unmet in resolve(text, HARBOUR, FRAME).unmet


@pytest.mark.parametrize(
    ("text", "rest", "unknown"),
    [
        ("the ship holding the largest hull", [3], ("holding the largest hull",)),
        ("the ship in front of the crane", [3], ("in front of the crane",)),
        ("the two shiny cargo ships", [3, 1], ("shiny", "cargo")),
        ("ships that carry coal", [3, 1, 0, 2, 4], ("that carry coal",)),
    ],
)
def test_what_is_not_understood_chooses_nothing_unless_the_rest_may(text, rest, unknown) -> None:
    refused = resolve(text, HARBOUR, FRAME)
    assert (refused.chosen, refused.outcome, refused.unknown) == ((), Outcome.FAILED, unknown)
    assert all(f"'{words}'" in refused.text for words in unknown)
    by_rest = resolve(text, HARBOUR, FRAME, rest=True)
    assert (list(by_rest.chosen), by_rest.outcome, by_rest.unknown) == (rest, Outcome.FOUND, unknown)


def test_a_slip_is_refused_with_the_word_that_was_meant() -> None:
    refused = resolve("the lefmost ship", HARBOUR, FRAME)
    assert refused.text == "Chose nothing: 'lefmost' (did you mean 'leftmost'?) is not understood."
    assert (refused.chosen, refused.unknown) == ((), ("lefmost",))


def test_what_was_met_leaves_nothing_unmet() -> None:
    resolution = resolve("the two largest ships in the top half", HARBOUR, FRAME)
    assert (resolution.unmet, resolution.unknown) == ((), ())


class TestNouns:
    def test_odd_plurals(self) -> None:
        assert [plural(word) for word in ("person", "leaf", "sheep", "boy", "dish")] == [
            *("people", "leaves", "sheep", "boys", "dishes"),
        ]
        assert [
            singular(word) for word in ("dishes", "foxes", "cactus", "us", "ties", "iris", "lenses", "viruses")
        ] == [
            *("dish", "fox", "cactus", "us", "tie", "iris", "lens", "virus"),
        ]

    def test_words_that_fit_no_label_are_dropped_and_named(self) -> None:
        resolution = resolve("the two shiny cargo ships", HARBOUR, FRAME, rest=True)
        assert resolution.chosen == (3, 1)
        assert resolution.unknown == ("shiny", "cargo")
        assert resolution.text == "Chose the 2 with the largest area of 5 ships."

    def test_the_head_of_an_of_phrase_is_enough(self) -> None:
        bottles = [thing("bottle", (0, 0, 10, 10)), thing("glass of water", (20, 0, 40, 30))]
        by_rest = resolve("the bottle of water", bottles, FRAME, rest=True)
        assert (by_rest.unknown, by_rest.chosen) == (("of water",), (0,))
        assert resolve("the glass", bottles, FRAME).chosen == (1,)

    def test_a_label_decides_whether_an_adjective_is_part_of_the_name(self) -> None:
        hands = [thing("hand", (0, 0, 10, 10)), thing("left hand", (500, 0, 520, 30)), thing("hand", (600, 0, 610, 9))]
        assert resolve("the left hand", hands, FRAME).chosen == (1,)
        assert resolve("the left hand", hands[:1] + hands[2:], FRAME).chosen == (0,)
        bears = [thing("black bear", (0, 0, 10, 10)), thing("brown bear", (50, 0, 90, 30))]
        assert resolve("the black bear", bears, FRAME).chosen == (0,)
        assert resolve("black bears near the brown bear", bears, FRAME).chosen == ()

    def test_orange_is_a_fruit_or_a_colour(self) -> None:
        fruit = [
            thing("orange", (0, 0, 10, 10), colours={"green": 0.9}),
            thing("cup", (50, 0, 90, 30), colours={"orange": 0.9}),
            thing("cup", (150, 0, 190, 30), colours={"red": 0.9}),
        ]
        assert resolve("the orange", fruit, FRAME).chosen == (0,)
        assert resolve("the orange cup", fruit, FRAME).chosen == (1,)
        assert resolve("the orange", fruit, FRAME, recognises_nouns=False).chosen == (1,)

    def test_the_caller_may_match(self) -> None:
        def match(noun: str, label: str | None) -> bool:
            return same_noun(noun, label) or (same_noun(noun, "vessel") and label == "ship")

        assert len(resolve("all vessels", HARBOUR, FRAME, match=match).chosen) == 5
        assert resolve("all vessels", HARBOUR, FRAME).outcome is Outcome.NO_TARGET

    @pytest.mark.parametrize(
        ("noun", "label", "same"),
        [
            ("ship", "ship", True),
            ("Ships", "SHIP", True),
            ("traffic-lights", "traffic_light", True),
            ("people", "person", True),
            ("sail boats", "sailboat", True),
            ("boxes", "box", True),
            ("buses", "bus", True),
            ("glasses", "wine glass", True),
            ("cherries", "cherry", True),
            ("ship", "cargo ship", True),
            ("cargo ship", "ship", False),
            ("ship", "ship's wheel", False),
            ("bus", "bu", False),
            ("ship", None, False),
            ("ship", "", False),
            ("?", "ship", False),
        ],
    )
    def test_same_noun(self, noun: str, label: str | None, same: bool) -> None:
        assert same_noun(noun, label) is same


class TestUnrecognised:
    """Regions of which nobody knows what they show."""

    REGIONS = tuple(Candidate(Prompt(FRAME, box=one.prompt.box), colours=one.colours) for one in HARBOUR)

    def test_every_region_fits_every_noun_and_the_text_says_so(self) -> None:
        resolution = resolve("the two largest ships", self.REGIONS, FRAME, recognises_nouns=False)
        assert resolution.chosen == (3, 5)
        assert resolution.text == (
            "Chose the 2 largest of 8 regions (the smallest of them covers 17600 square pixels); nouns are not "
            "recognised here, so every region counted as 'ships'."
        )

    def test_references_told_by_a_noun_alone_are_not_used(self) -> None:
        for text in ("the largest ship near the pier", "the ship closest to the pier", "everything except the ships"):
            refused = resolve(text, self.REGIONS, FRAME, recognises_nouns=False)
            assert (refused.chosen, refused.outcome) == ((), Outcome.FAILED)
            resolution = resolve(text, self.REGIONS, FRAME, recognises_nouns=False, rest=True)
            assert resolution.chosen[0] == 3
            assert "not recognised here" in resolution.unmet[0]

    def test_references_told_by_more_are_used(self) -> None:
        resolution = resolve("ships left of the yellow crane", self.REGIONS, FRAME, recognises_nouns=False)
        assert sorted(resolution.chosen) == [0, 1, 4, 7]

    def test_without_a_noun_nothing_needs_to_be_said(self) -> None:
        assert resolve("the red ones", self.REGIONS, FRAME, recognises_nouns=False).text == "Chose both red regions."


class TestRules:
    def test_the_best_score_wins_where_all_have_one(self) -> None:
        cats = [thing("cat", (0, 0, 90, 90), score=0.5), thing("cat", (200, 0, 210, 10), score=0.9)]
        assert resolve("the cat", cats, FRAME).chosen == (1,)
        assert resolve("the cat", cats, FRAME).text == "Chose the one with the best score of 2 cats."
        assert resolve("the cat", [cats[0], thing("cat", (200, 0, 210, 10))], FRAME).chosen == (0,)

    def test_ties_go_left_then_up(self) -> None:
        cats = [thing("cat", (50, 9, 60, 19)), thing("cat", (20, 80, 30, 90)), thing("cat", (20, 40, 30, 50))]
        assert resolve("the cat", cats, FRAME).chosen == (2,)

    def test_the_area_of_the_mask_goes_before_that_of_the_box(self) -> None:
        cats = [thing("cat", (0, 0, 90, 90), area=20), thing("cat", (200, 0, 210, 10))]
        assert resolve("the largest cat", cats, FRAME).chosen == (1,)

    def test_colours_that_nobody_measured_are_not_guessed(self) -> None:
        cats = [thing("cat", (0, 0, 90, 90))]
        resolution = resolve("the black cat", cats, FRAME)
        assert resolution.outcome is Outcome.NO_TARGET
        assert resolution.unmet == ("the colour of 1 of 1 candidates is not known: left out",)

    def test_a_colour_counts_from_a_quarter_or_when_it_is_the_most_frequent(self) -> None:
        def chosen(**colours: float) -> tuple[int, ...]:
            return resolve("the red cat", [thing("cat", (0, 0, 9, 9), colours=colours)], FRAME).chosen

        assert chosen(red=0.25, blue=0.7) == (0,)
        assert chosen(red=0.24, blue=0.7) == ()
        assert chosen(red=0.2, blue=0.1) == (0,)

    def test_inside_and_on(self) -> None:
        room = [
            thing("table", (100, 300, 400, 500)),
            thing("cup", (150, 250, 180, 320)),
            thing("cup", (300, 380, 330, 420)),
            thing("cup", (600, 100, 640, 150)),
        ]
        assert sorted(resolve("cups on the table", room, FRAME).chosen) == [1, 2]
        assert resolve("cups in the table", room, FRAME).chosen == (2,)
        assert resolve("cups not on the table", room, FRAME).chosen == (3,)

    def test_near_grows_with_the_reference(self) -> None:
        def near(gap: float, text: str = "the cup near the plate") -> bool:
            row = [thing("plate", (100, 100, 140, 140)), thing("cup", (140 + gap, 100, 150 + gap, 110))]
            return resolve(text, row, FRAME).chosen == (1,)

        assert [near(40), near(41)] == [True, False]
        assert [near(gap, "the cup next to the plate") for gap in (20, 21)] == [True, False]

    def test_between_a_set_takes_any_two_of_it(self) -> None:
        row = [thing("tree", (x, 100, x + 10, 110)) for x in (0, 200, 400)] + [thing("dog", (300, 100, 310, 110))]
        assert resolve("the dog between the trees", row, FRAME).chosen == (3,)
        assert resolve("the dog between the two leftmost trees", row, FRAME).chosen == ()
        assert resolve("the tree between the dog and the cat", row, FRAME).chosen == ()

    def test_frames_are_read_in_the_image_direction(self) -> None:
        centred = Frame.centred()
        pair = [Candidate(Prompt(centred, box=(-1, y, -0.9, y + 0.1), label="cat")) for y in (-0.9, 0.8)]
        assert resolve("the top cat", pair, centred).chosen == (1,)
        with pytest.raises(FrameError, match="candidates"):
            resolve("the top cat", pair, FRAME)

    def test_no_candidates(self) -> None:
        for text in ("the ship", "all red things", "the largest of the ships", "everything except the cat"):
            assert resolve(text, [], FRAME).outcome is Outcome.NO_TARGET

    def test_a_request_may_be_resolved_twice(self) -> None:
        request = parse_instruction("the leftmost ship")
        assert resolve(request, HARBOUR, FRAME) == resolve("the leftmost ship", HARBOUR, FRAME)
        with pytest.raises(InputError):
            resolve("", HARBOUR, FRAME)
