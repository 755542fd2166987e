from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest

from fiducial.contracts import Refinement
from fiducial.errors import GeometryError, InputError
from fiducial.geometry import Mask, Prompt

RED = np.full((4, 6, 3), (200, 10, 20), np.uint8)


def told(image, make):
    prompts = [Prompt(image.frame, box=(5, 5, 20, 20)), Prompt(image.frame, box=(30, 10, 50, 30))]
    masks = [Mask.from_box(prompt.box, 40, 60) for prompt in prompts]
    first = Refinement(
        "cfpg", True, "point at its centroid", {"x": 3.5, "regions": 2}, {"crop": RED, "point": RED // 2}
    )
    second = Refinement("mbo", False, "kept as it was: the mask fills its box")
    return make(prompts, masks, refinements=((first, second), (second,)))


def test_a_result_tells_what_was_done_to_each_target(image, make):
    result = told(image, make)
    assert [[step.refiner for step in steps] for steps in result.refinements] == [["cfpg", "mbo"], ["mbo"]]
    written = json.loads(json.dumps(result.as_json()))["refinements"]
    assert written[0][0] == {
        "refiner": "cfpg",
        "changed": True,
        "reason": "point at its centroid",
        "figures": {"x": 3.5, "regions": 2},
    }
    assert written[1] == [
        {"refiner": "mbo", "changed": False, "reason": "kept as it was: the mask fills its box", "figures": {}}
    ]


def test_where_nobody_tells_there_is_an_empty_tuple_per_target(two, make):
    assert two.refinements == ((), ())
    assert make().refinements == ()


def test_one_tuple_per_target_is_needed(image, make):
    with pytest.raises(GeometryError, match="1 masks but 2 tuples of refinements"):
        make([Prompt(image.frame, box=(5, 5, 20, 20))], [Mask.empty(40, 60)], refinements=((), ()))


def test_pictures_become_files_in_the_order_of_the_work(image, make, tmp_path):
    result = told(image, make)
    paths = result.save_pictures(tmp_path / "new")
    assert [path.name for path in paths] == [
        "harbour.jpg.target1.1-cfpg.1-crop.png",
        "harbour.jpg.target1.1-cfpg.2-point.png",
    ]
    assert np.array_equal(np.asarray(PIL.Image.open(paths[0])), RED)
    assert np.array_equal(np.asarray(PIL.Image.open(paths[1])), RED // 2)
    assert result.save_pictures(tmp_path, stem="mine")[0].name == "mine.target1.1-cfpg.1-crop.png"
    with pytest.raises(InputError, match="cannot begin a file name"):
        result.save_pictures(tmp_path, stem="a/b")


def test_without_pictures_nothing_is_written(two, tmp_path):
    assert two.save_pictures(tmp_path / "new") == []
    assert not (tmp_path / "new").exists()


def test_refinements_hold_finite_figures_and_pictures_only():
    with pytest.raises(InputError, match="the figure 'iou' is nan"):
        Refinement("mbo", True, "", {"iou": float("nan")})
    for picture in (np.zeros((4, 6), np.uint8), np.zeros((4, 6, 3)), np.zeros((0, 6, 3), np.uint8)):
        with pytest.raises(InputError, match="the picture 'band' needs shape"):
            Refinement("mbo", True, "", {}, {"band": picture})
    refinement = Refinement("mbo", True, "", {"iou": 1})
    with pytest.raises(TypeError):
        refinement.figures["iou"] = 2
