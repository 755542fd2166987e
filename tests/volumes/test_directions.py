import numpy as np
import pytest

from fiducial.errors import InputError
from fiducial.volumes import Slicing
from fiducial.volumes.affines import make_affine
from fiducial.volumes.directions import Order, translate
from fiducial.volumes.planes import VIEWS
from volumes.grids import AXES

SIDES = {"left half": (0, -1), "right half": (0, 1), "upper half": (1, -1), "lower half": (1, 1)}
TOWARDS = {"left": (0, -1), "right": (0, 1), "posterior": (1, -1), "anterior": (1, 1), "superior": (2, 1)}


def slicing(plane="axial", view="radiological", axes="RAS"):
    return Slicing((9, 9, 9), make_affine((9, 9, 9), (1, 1, 1), axes), plane, view)


@pytest.mark.parametrize("axes", AXES)
def test_the_side_said_is_where_that_direction_lies_in_the_picture(axes):
    for view in VIEWS:
        for plane in ("axial", "coronal", "sagittal"):
            cut = slicing(plane, view, axes)
            for word, (axis, sign) in TOWARDS.items():
                question = translate(f"the {word} tumour", cut)
                if question.sides:
                    assert question.text == "the tumour"
                    assert {"left": "L", "right": "R"}.get(word, word[0].upper()) == question.sides[0]
                    assert abs(cut.affine[axis, cut.axes[2]]) == 1
                    continue
                half = question.text.removeprefix("the tumour in the ").removesuffix(" of the picture")
                along, way = SIDES[half]
                point = [4.5, 4.5]
                point[along] += way
                assert sign * cut.pixel_to_mm(point, 4)[axis] > sign * cut.pixel_to_mm((4.5, 4.5), 4)[axis]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the tumour", "the tumour"),
        ("the tumour on the patient's left side", "the tumour in the right half of the picture"),
        ("left-sided tumours", "tumours in the right half of the picture"),
        ("the left posterior tumour", "the tumour in the lower half of the picture in the right half of the picture"),
        ("the lesion to the left of the aorta", "the lesion to the right of the aorta"),
        ("the lesion anterior to the spine", "the lesion above the spine"),
        ("the left side of the liver", "the right half of the liver"),
        ("the cyst in the right lung", "the cyst in the lung in the left half of the picture"),
        ("the tumour on the left of the picture", "the tumour on the left of the picture"),
        ("the superior vena cava", "the superior vena cava"),
        ("Left kidney", "kidney in the right half of the picture"),
    ],
)
def test_axial_slices_are_asked_so(text, said):
    question = translate(text, slicing())
    assert question.text.replace("right side", "right half") == said
    assert question.orders == question.sides == ()


def test_the_answer_says_whose_left_it_is():
    assert translate("the left kidney", slicing()).notes == (
        "left is the patient's: the picture's right in these axial slices",
    )
    assert translate("the left kidney", slicing("sagittal")).notes == (
        "the patient's left runs across sagittal slices: chosen in 3D among what was found",
    )
    assert translate("the upper tumour", slicing()).notes == ("'upper' was read of the picture, whose top is anterior",)


@pytest.mark.parametrize(
    ("text", "said", "order"),
    [
        ("the most superior tumour", "every tumour", Order("S")),
        ("segment the two leftmost tumours", "segment all tumours", Order("L", 2)),
        ("the superior-most lesion", "every lesion", Order("S")),
        ("3 most ventral cysts", "all cysts", Order("A", 3)),
        ("the most medial nodule", "every nodule", Order("medial")),
        ("the biggest tumour", "every tumour", Order("largest")),
    ],
)
def test_orders_are_for_the_volume(text, said, order):
    question = translate(text, slicing())
    assert (question.text, question.orders) == (said, (order,))
    assert "was chosen in 3D" in question.notes[0]


@pytest.mark.parametrize(
    ("text", "plane", "said"),
    [
        ("the lesion superior to the liver", "axial", "take --plane coronal or sagittal"),
        ("the lesion left of the aorta", "sagittal", "take --plane axial or coronal"),
        ("the left side of the liver", "sagittal", "take another plane"),
        ("the tumour that is leftmost", "axial", "put it in front"),
        ("both kidneys except the left kidney", "sagittal", "ask for one at a time, or take another plane"),
        ("the tumour is left", "axial", "is not understood where it stands"),
    ],
)
def test_what_no_slice_can_show_is_refused(text, plane, said):
    with pytest.raises(InputError, match=said):
        translate(text, slicing(plane))


def test_oblique_slices_take_the_closest_direction():
    affine = make_affine((9, 9, 9), (1, 1, 1), "LPS", (8, -12, 15))
    assert "in the right half" in translate("the left kidney", Slicing((9, 9, 9), affine)).text
    assert np.linalg.norm(affine[:3, 0]) == pytest.approx(1)
