import json

import numpy as np
import pytest

from evaluation_fakes import write_folder
from fiducial import Image, Mask, Prompts
from fiducial.datasets import Sample
from fiducial.errors import InputError
from fiducial.evaluation import Job
from fiducial.evaluation.ablations import cfpg_variants, mbo_variants, parse_jitter
from fiducial.evaluation.studies import run_study
from fiducial.evaluation.true_masks import TrueMasks
from fiducial.recipes import PartSpec, read_recipe
from fiducial.recipes.loading import resolve


@pytest.fixture
def job(tmp_path):
    return Job(dataset=f"objects:?source={write_folder(tmp_path / 'data')}", recipe=read_recipe("classic"))


def test_every_variant_of_a_point_has_the_same_box(job):
    variants = cfpg_variants(job, jitter=0.2)
    assert variants[0].name == "box"
    assert len({variant.name for variant in variants}) == len(variants) == 7
    assert {variant.job.source.jitter for variant in variants} == {0.2}
    assert [variant.job.source.at for variant in variants[-3:]] == ["centroid", "deepest", "random"]
    alone = variants[3].job.recipe.prompt_refiners[0].build()
    assert (alone.keep_box, alone.reach) == (False, 2.0)


def test_a_recipes_own_refiners_do_not_get_into_it(job):
    refined = Job(dataset=job.dataset, recipe=resolve("classic", refine="cfpg,mbo"))
    assert not mbo_variants(refined)[0].job.recipe.mask_refiners
    assert not mbo_variants(refined)[1].job.recipe.prompt_refiners
    assert mbo_variants(refined)[2].job.recipe.mask_refiners[0].options["min_area"] == 1


def test_true_masks_are_perfect_before_they_are_refined(job, tmp_path):
    truth = Job(dataset=job.dataset, recipe=resolve("classic", segmenter="truth"))
    run_study("mbo", mbo_variants(truth), tmp_path / "mbo", images=False)
    told = json.loads((tmp_path / "mbo" / "mbo.json").read_text())["variants"]
    assert [one["name"] for one in told] == ["as cut", "MBO", "MBO as published"]
    assert told[0]["mean_iou"] == 1
    assert all(one["mean_iou"] <= 1 for one in told)


def test_points_are_tried_on_a_segmenter(job, tmp_path):
    table = run_study("cfpg", cfpg_variants(job), tmp_path / "cfpg", images=False)
    assert [row[0] for row in table.rows] == [variant.name for variant in cfpg_variants(job)]


def test_one_jitter_is_read():
    assert parse_jitter([]) == 0
    assert parse_jitter(["0.1"]) == 0.1
    for wrong in (["a"], ["0.1", "0.2"]):
        with pytest.raises(InputError, match="takes one value"):
            parse_jitter(wrong)


def test_the_truth_is_known_in_evaluations_only():
    image = Image(np.zeros((10, 10, 3), np.uint8), name="p")
    segmenter, prompts = PartSpec("segmenter", "truth").build(), Prompts.from_boxes(image.frame, [(0, 0, 5, 5)])
    with pytest.raises(InputError, match="in evaluations only"):
        segmenter.decode(segmenter.encode(image), prompts)
    mask = Mask.from_box((1, 1, 3, 3), 10, 10)
    told = segmenter.told(Sample("p", None, image, "x", (mask, Mask.empty(10, 10)), (10, 10)))
    assert told.decode(told.encode(image), prompts) == [mask]
    with pytest.raises(InputError, match="1 masks for 2 prompts"):
        told.decode(told.encode(image), Prompts(image.frame, (*prompts, *prompts)))
    with pytest.raises(InputError, match="no masks to cut"):
        TrueMasks().told(Sample("p", None, image, "x", None, (10, 10), boxes=prompts))
