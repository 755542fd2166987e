"""The nano detector, and where it looks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiducial.errors import InputError
from fiducial.images import Image
from fiducial.prompters.detector.limits import Limit
from fiducial.prompters.detector.reading import Detector, Reading
from fiducial.prompters.grounder.detecting import OVERLAP, WHOLE, WINDOW, NanoDetector, Window, scale_of, windows_of
from fiducial.prompters.grounder.network import GrounderNetwork, Shape, Taught, save_taught
from fiducial.prompters.grounder.vocabulary import Vocabulary
from fiducial.prompters.grounder.weights import STRIDE, Grounder, Name, PhraseHead
from fiducial.training.exporting import export

REACH = 10.0


class Colours:
    """Takes the reddest place for a ship and the bluest for a car, each 20 pixels wide and high."""

    fingerprint = "colours"

    def __init__(self):
        self.sizes = []
        self.reach = REACH

    def __call__(self, pictures):
        self.sizes.append(pictures.shape)
        count, _, height, width = pictures.shape
        cells = pictures.reshape(count, 3, height // STRIDE, STRIDE, width // STRIDE, STRIDE)
        red, green, blue = (cells.mean(axis=(3, 5)) * 64 + 114).swapaxes(0, 1)
        places = np.stack([red - green, blue - green], axis=1) / 32 - 4
        return places, np.full((count, 4, *red.shape[1:]), self.reach, np.float32)


def detector(**options):
    names = (Name("ship", "sea", 1.0, 0.0, 0.5), Name("car", "road", 2.0, 1.0, 0.5))
    same = np.eye(2, dtype=np.float32)
    head = PhraseHead(same, np.zeros(2, np.float32), same, np.zeros(2, np.float32), 0.0, 0.0)
    return NanoDetector(Grounder(Colours(), names, same, head, 32), **{"flips": False, **options})


def picture(*spots, width=256, height=256):
    """Grey, with squares of 4 pixels: (x, y, colour)."""
    pixels = np.full((height, width, 3), 60, np.uint8)
    for x, y, colour in spots:
        pixels[y : y + 4, x : x + 4] = colour
    return Image(pixels)


RED, BLUE, PINK = (255, 60, 60), (60, 60, 255), (240, 60, 60)


def test_it_keeps_the_contract():
    assert isinstance(detector(), Detector)
    assert detector().vocabulary() == ("ship", "car")


def test_things_are_found_where_they_are_best_first():
    (found,) = detector().detect([picture((40, 80, PINK), (120, 160, RED))], [["ship"]])
    np.testing.assert_allclose([one.box for one in found], [(112, 152, 132, 172), (32, 72, 52, 92)], atol=1e-6)
    assert found[0].score == pytest.approx(1 / (1 + np.exp(-(195 / 32 - 4))), abs=1e-6)
    assert found[0].score > found[1].score
    assert {one.name for one in found} == {"ship"}


class Edges(Colours):
    """Says the box (30, 70, 54, 94) everywhere, but for the top in one row of places: that is so much higher."""

    def __init__(self, off):
        super().__init__()
        self.off = off

    def __call__(self, pictures):
        places, sides = super().__call__(pictures)
        rows, columns = ((np.arange(count) + 0.5) * STRIDE for count in sides.shape[2:])
        for place, edge in enumerate((30, 70, 54, 94)):
            along = columns[None, :] if place % 2 == 0 else rows[:, None]
            sides[:, place] = (along - edge) * (1 if place < 2 else -1)
        sides[:, 1, 20] += self.off  # the row of the peak alone
        return places, sides


def test_a_box_is_the_mean_of_what_the_places_of_its_thing_say_as_far_as_they_agree():
    names = (Name("ship", "sea", 1.0, 0.0, 0.5),)
    same = np.eye(2, dtype=np.float32)
    head = PhraseHead(same, np.zeros(2, np.float32), same, np.zeros(2, np.float32), 0.0, 0.0)
    image = picture((40, 76, PINK), (40, 80, RED), (40, 84, PINK))
    tops = {}
    for off in (0.0, 6.0, 40.0):
        subject = NanoDetector(Grounder(Edges(off), names, same[:1], head, 32), flips=False)
        (found,) = subject.detect([image], [["ship"]])
        assert [found[0].box[edge] for edge in (0, 2, 3)] == pytest.approx([30, 54, 94], abs=1e-6)
        tops[off] = found[0].box[1]
    assert tops[0.0] == pytest.approx(70, abs=1e-6)
    assert 64 < tops[6.0] < 69  # between what the middle says and what the places beside it say
    assert tops[40.0] == pytest.approx(30, abs=1e-6)  # what overlaps too little with the peak's own box is no witness


def test_each_name_has_its_own_likelihood_and_threshold():
    image = picture((40, 80, RED), (120, 160, BLUE))
    (found,) = detector().detect([image], [["car", "ship"]])
    by_name = {one.name: one.score for one in found}
    assert by_name["car"] == pytest.approx(1 / (1 + np.exp(-(2 * (195 / 32 - 4) + 1))), abs=1e-6)
    assert by_name["ship"] < by_name["car"]
    assert detector(threshold=0.999).detect([image], [["ship"]]) == [[]]


def test_pictures_of_several_sizes_answer_as_each_alone():
    images = [picture((40, 80, RED)), picture((8, 4, RED), width=200, height=250), picture((200, 8, RED))]
    names = [["ship"], ["car", "ship"], ["ship", "ship"]]
    together = detector().detect(images, names)
    assert [len(found) for found in together] == [1, 1, 1]
    for (one,), image, some in zip(together, images, names, strict=True):
        ((alone,),) = detector().detect([image], [some])
        assert one.name == alone.name
        assert (*one.box, one.score) == pytest.approx((*alone.box, alone.score), rel=1e-5)


def test_pictures_of_one_size_are_looked_at_together():
    subject = detector()
    subject.detect([picture(), picture((40, 80, RED)), picture(width=200)], [["ship"]] * 3)
    assert sorted(size[0] for size in subject.grounder.engine.sizes) == [1, 2]


def test_a_picture_is_looked_at_once_whatever_is_asked_of_it_and_however_often():
    subject = detector(flips=True)
    image, same = picture((40, 80, RED), (120, 160, BLUE)), picture((40, 80, RED), (120, 160, BLUE))
    subject.detect([image, same], [["ship"], ["ship"]])
    assert subject.grounder.engine.sizes == [(1, 3, 256, 256)] * 2  # as it is, and mirrored
    (again,) = subject.detect([same], [["car"]])
    assert len(subject.grounder.engine.sizes) == 2
    assert again == detector(flips=True).detect([image], [["car"]])[0]


def test_only_windows_in_which_the_first_look_hints_at_something_are_looked_at_mirrored_too():
    image = picture((40, 80, RED))  # a likelihood of 0.89
    for hint, count in ((0.05, 2), (0.8, 2), (0.95, 1), (0.0, 2)):
        subject = detector(flips=True, hint=hint)
        ((found,),) = subject.detect([image], [["ship"]])
        assert found.score == pytest.approx(0.89, abs=0.01)
        assert len(subject.grounder.engine.sizes) == count
    three = detector(flips=True)
    three.detect([picture(), image, picture((8, 8, RED))], [["ship"]] * 3)
    assert three.grounder.engine.sizes == [(3, 3, 256, 256), (2, 3, 256, 256)]


def test_a_name_without_a_hint_is_not_changed_by_one_that_has_one():
    class OneSided(Colours):
        """Sees less in the mirrored picture."""

        def __call__(self, pictures):
            places, sides = super().__call__(pictures)
            return places - 4 * (len(self.sizes) == 2), sides

    image = picture((40, 80, RED), (120, 160, BLUE))  # likelihoods of 0.89 and 0.99
    alone, together, both = (detector(flips=True, hint=hint, threshold=0.02) for hint in (0.995, 0.95, 0.8))
    found = []
    for one, names in ((alone, ["ship"]), (together, ["car", "ship"]), (both, ["car", "ship"])):
        object.__setattr__(one.grounder, "engine", OneSided())
        (some,) = one.detect([image], [names])
        found.append({thing.name: thing for thing in some})
    assert [len(one.grounder.engine.sizes) for one in (alone, together, both)] == [1, 2, 2]
    assert found[1]["ship"] == found[0]["ship"]
    for name, slope, intercept in (("ship", 1, 0), ("car", 2, 1)):  # the mean of both looks
        likely = 1 / (1 + np.exp(-(slope * (195 / 32 - 6) + intercept)))
        assert found[2][name].score == pytest.approx(likely, abs=1e-6)


def test_what_is_remembered_has_a_bound(monkeypatch):
    one = picture((40, 80, RED))
    size = sum(part.nbytes for part in detector().grounder.engine(np.zeros((1, 3, 256, 256), np.float32)))
    monkeypatch.setattr("fiducial.prompters.grounder.detecting.MAX_REMEMBERED", int(1.5 * size))
    subject = detector()
    for image in (one, one, picture((8, 8, RED)), one):
        subject.detect([image], [["ship"]])
    assert len(subject.grounder.engine.sizes) == 3


def test_no_name_finds_nothing_and_costs_nothing():
    subject = detector()
    assert subject.detect([picture((40, 80, RED))], [[]]) == [[]]
    assert not subject.grounder.engine.sizes


def test_boxes_end_at_the_picture_and_the_grey_beside_it_holds_nothing():
    subject = detector()
    (found,) = subject.detect([picture((0, 0, RED), (248, 248, RED), width=254, height=254)], [["ship"]])
    assert found
    for one in found:
        assert 0 <= one.box[0] < one.box[2] <= 254
        assert 0 <= one.box[1] < one.box[3] <= 254


def test_a_large_picture_is_seen_in_windows_and_small_things_are_found_once():
    large = picture(width=2600, height=900)
    pixels = large.pixels.copy()
    places = [(40, 80), (1296, 400), (1400, 400), (2560, 880)]
    for x, y in places:
        pixels[y : y + 16, x : x + 16] = RED
    subject = detector()
    subject.grounder.engine.reach = 16.0
    (found,) = subject.detect([Image(pixels)], [["ship"]])
    centres = sorted(((one.box[0] + one.box[2]) / 2, (one.box[1] + one.box[3]) / 2) for one in found)
    assert len(centres) == 4
    for centre, (x, y) in zip(centres, places, strict=True):
        assert np.hypot(centre[0] - x - 8, centre[1] - y - 8) < 13


def test_mirroring_too_gives_the_same_on_what_is_symmetric():
    image = picture((40, 80, RED), (120, 160, PINK))
    plain, flipped = (detector(flips=flips).detect([image], [["ship"]])[0] for flips in (False, True))
    assert [one.box for one in plain] == [one.box for one in flipped]
    assert [one.score for one in plain] == pytest.approx([one.score for one in flipped])


def test_a_closer_look_changes_the_size_that_is_seen():
    subject = detector(zoom=1.5)
    subject.detect([picture()], [["ship"]])
    assert subject.grounder.engine.sizes == [(1, 3, 384, 384)]


def test_how_small_is_too_small_is_told_in_pixels_of_the_picture():
    assert detector().hardly_found(picture(width=1000, height=800), "ship") == Limit(
        14, "those side by side in a marina"
    )
    assert detector(zoom=2.0).hardly_found(picture(width=1000, height=800), "ship").side == 7
    assert detector().hardly_found(picture(width=128, height=128), "ship").side == 4
    assert detector().hardly_found(picture(), "car") is None
    assert all(bool(entry.least) == (entry.domain == "aerial") for entry in Vocabulary.read().entries)


def test_nouns_are_read_by_the_packages_vocabulary_as_far_as_it_was_taught():
    subject = detector()
    assert subject.read("boats") == Reading("boats", "ship", 1.0)
    assert subject.read("cars").name == "car"
    assert subject.read("storage tanks").name is None
    assert set(subject.read("shipp").instead) <= {"ship", "car"}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"threshold": 1.5}, "threshold: needs at most 1"), ({"zoom": 0.0}, "zoom: needs more than 0")],
)
def test_options_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        detector(**options)


def test_wrong_questions_are_refused():
    with pytest.raises(InputError, match="1 pictures need as many lists of names, got 0"):
        detector().detect([picture()], [])
    with pytest.raises(InputError, match="does not know 'train'"):
        detector().detect([picture()], [["train"]])


def test_weights_are_loaded_from_a_file(tmp_path):
    shape = Shape(widths=(8, 12), blocks=(1, 1), pyramid=8, embedding=6, words=2)
    path = tmp_path / "some.safetensors"
    names = (Name("ship"), Name("car"))
    path.write_bytes(save_taught(Taught(GrounderNetwork(shape), names, np.eye(2, dtype=np.float32))))
    export(path)
    subject = NanoDetector.from_pretrained(path, threshold=0.0, device="cpu")
    (found,) = subject.detect([picture((40, 80, RED))], [["ship", "car"]])
    assert all(0 <= one.score <= 1 for one in found)


SIDES = st.integers(1, 9000)


@pytest.mark.parametrize(
    ("size", "scale"),
    [((1000, 800), 0.5), ((512, 512), 0.5), ((320, 200), 0.8), ((256, 256), 1), ((64, 32), 4), ((8, 8), 4)],
)
def test_usual_pictures_are_halved_and_small_ones_are_not(size, scale):
    assert scale_of(*size) == scale


def test_a_zoom_multiplies():
    assert scale_of(1000, 800, 1.5) == 0.75


@given(SIDES, SIDES)
def test_windows_cover_the_picture_and_are_never_large(width, height):
    windows = windows_of(width, height)
    scale = scale_of(width, height)
    first = [one for one in windows if one.seen[0] / one.width > 0.6 * scale or len(windows) == 1]
    covered_x = sorted({(one.x, one.x + one.width) for one in first})
    for starts_and_ends, length in ((covered_x, width), (sorted({(w.y, w.y + w.height) for w in first}), height)):
        assert starts_and_ends[0][0] == 0
        assert starts_and_ends[-1][1] == length
        for (_, end), (start, _) in pairwise(starts_and_ends):
            assert end - start >= OVERLAP / scale - 2
    assert all(max(one.seen) <= WHOLE for one in windows)
    last = windows[-1]
    assert (last.x, last.y, last.width, last.height) == (0, 0, width, height)
    assert not any(last.inner)


@settings(max_examples=40)
@given(st.integers(1601, 6000), st.integers(1, 250), st.floats(0, 1))
def test_what_is_no_longer_than_the_overlap_lies_wholly_in_a_window(width, long, place):
    start = place * (width - long)
    firsts = [one for one in windows_of(width, 700) if one.width <= WINDOW * 2]
    assert any(one.x <= start and start + long <= one.x + one.width for one in firsts)


def test_a_picture_of_a_hundred_million_pixels_is_seen_in_pieces():
    windows = windows_of(10_000, 10_000)
    assert len(windows) == 10 * 10 + 9 + 1
    assert max(one.seen[0] * one.seen[1] for one in windows) <= WHOLE**2


def test_boxes_go_to_the_picture_and_stay_in_the_window():
    window = Window(100, 50, 200, 100, (50, 50))
    found = window.to_picture(np.array([[10.0, 10, 20, 30], [-5, 0, 60, 50]]))
    assert found.tolist() == [[140, 70, 180, 110], [100, 50, 300, 150]]


def test_what_an_inner_edge_may_cut_is_not_whole():
    window = Window(0, 0, 100, 100, (100, 100), (False, False, True, False))
    boxes = np.array([[0.0, 0, 50, 100], [60, 10, 99, 20], [60, 10, 97.5, 20]])
    assert window.whole(boxes).tolist() == [True, False, True]


def test_pixels_are_averaged_when_they_become_fewer():
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[:2, 2:4] = 100
    seen = Window(2, 0, 4, 4, (2, 2)).pixels(picture)
    assert seen[..., 0].tolist() == [[100, 0], [0, 0]]
    assert Window(0, 0, 6, 4, (6, 4)).pixels(picture) is not None
    assert Window(0, 0, 6, 4, (12, 8)).pixels(picture).shape == (8, 12, 3)
