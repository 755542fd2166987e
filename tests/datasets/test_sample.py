import numpy as np
import pytest

from fiducial.datasets import Listing, Sample, sample_ids
from fiducial.datasets.sample import Choice
from fiducial.errors import FrameError, InputError
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.images import Image

PICTURE = Image(np.zeros((6, 8, 3), dtype=np.uint8))
ONE, TWO = Mask.from_box((0, 0, 2, 2), 6, 8), Mask.from_box((4, 3, 8, 6), 6, 8)


def sample(**changes):
    given = {
        "id": "s",
        "image_path": None,
        "picture": PICTURE,
        "instruction": "x",
        "instances": (ONE, TWO),
        "size": (6, 8),
    }
    return Sample(**(given | changes))


def test_truth_joins_the_instances_and_prompts_are_tight_boxes():
    made = sample(labels=("a", "b"))
    assert made.truth == ONE.union(TWO)
    assert made.prompts().boxes.tolist() == [[0, 0, 2, 2], [4, 3, 8, 6]]
    assert [prompt.label for prompt in made.prompts()] == ["a", "b"]
    assert made.image() is PICTURE


def test_no_target_has_an_empty_truth_and_no_prompts():
    made = sample(instances=())
    assert made.truth == Mask.empty(6, 8)
    assert len(made.prompts()) == 0


def test_an_empty_instance_gives_no_prompt():
    assert len(sample(instances=(ONE, Mask.empty(6, 8))).prompts()) == 1


def test_own_boxes_come_first_and_may_stand_alone():
    boxes = Prompts.from_boxes(Frame.pixels(8, 6), [(0, 0, 3, 3)])
    assert sample(boxes=boxes).prompts() is boxes
    alone = sample(instances=None, boxes=boxes, labels=("a",))
    assert alone.prompts() is boxes
    with pytest.raises(InputError, match=r"boxes but no masks"):
        alone.truth  # noqa: B018


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"picture": None}, "either image_path or picture"),
        ({"instances": None}, "neither masks, boxes nor a choice"),
        ({"choice": Choice(("yes", "no"), 0, "yes")}, "a place and a choice at once"),
        ({"size": (8, 6)}, "the picture is 6 x 8 .* the image is 8 x 6"),
        ({"instances": (Mask.empty(6, 9),)}, "a mask is 6 x 9"),
        ({"ignore": Mask.empty(5, 8)}, "the ignore region is 5 x 8"),
        ({"labels": ("a",)}, "1 labels for 2 instances"),
    ],
)
def test_parts_that_do_not_fit(changes, message):
    with pytest.raises(InputError, match=message):
        sample(**changes)


def test_boxes_of_another_frame():
    with pytest.raises(FrameError, match=r"the boxes"):
        sample(boxes=Prompts.from_boxes(Frame.unit(), [(0, 0, 1, 1)]))


class TestListing:
    def test_twins_and_emptiness_are_refused(self, tmp_path):
        with pytest.raises(InputError, match=r"share the id 'b'"):
            Listing("x", tmp_path, [(key, lambda key: sample(id=key)) for key in "abcb"])
        with pytest.raises(InputError, match=r"has no sample"):
            Listing("x", tmp_path, [])

    def test_ids_without_decoding(self, tmp_path):
        dataset = Listing("x", tmp_path, [(key, lambda key: pytest.fail("decoded")) for key in "ab"])
        assert sample_ids(dataset) == ("a", "b")

    def test_ids_of_other_datasets(self):
        class Two:
            name = "two"

            def __len__(self):
                return 2

            def __getitem__(self, index):
                return sample(id=str(range(2)[index]))

            def __iter__(self):
                return (self[i] for i in range(2))

        assert sample_ids(Two()) == ("0", "1")
