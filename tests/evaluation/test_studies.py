import json

import numpy as np
import PIL.Image
import pytest

from evaluation_fakes import write_folder
from fiducial import Image, Mask, Prompts
from fiducial.config import build, read_part
from fiducial.datasets import Sample, describe_dataset, open_dataset
from fiducial.errors import InputError
from fiducial.evaluation import Job, Selection, TruthPrompts, evaluate
from fiducial.evaluation.prompting import TrueMasks
from fiducial.evaluation.studies import (
    Variant,
    cfpg_variants,
    grid_variants,
    mbo_variants,
    parse_jitter,
    prompt_variants,
    run_study,
)
from fiducial.recipes import read_recipe, resolve
from fiducial.synthetic.referring import expression_lines, read_expressions, referring_expressions, write_expressions


@pytest.fixture
def job(tmp_path):
    return Job(dataset=write_folder(tmp_path / "data"), recipe=read_recipe("classic"))


def test_the_grid_is_varied_as_the_papers_did(job):
    variants = grid_variants(job)
    names = [variant.name for variant in variants]
    assert names[:6] == ["no grid", *(f"{n} x {n} black, opacity 0.3" for n in (3, 5, 7, 9, 20))]
    assert "9 x 9 white, opacity 1" in names
    assert len(names) == len(set(names)) == 1 + 5 + 4 + 5
    assert variants[0].job.recipe.overlays == ()
    assert variants[1].job.recipe.overlays[0].columns == 3
    [none, nine] = grid_variants(job, ["grid?columns=9&rows=7"])
    assert nine.job.recipe.overlays[0].rows == 7
    assert none.name == "no grid"
    with pytest.raises(InputError, match="do not look at it"):
        grid_variants(Job(dataset="scenes:shapes", recipe=read_recipe("classic"), source=TruthPrompts()))


def test_prompts_from_good_to_none(job, tmp_path):
    variants = prompt_variants(job, ["truth", "truth?jitter=0.4", "blind?box=0,0,0.1,0.1"])
    asked = []
    table = run_study(
        "prompts",
        variants,
        tmp_path / "study",
        selection=Selection(limit=4),
        command=["fiducial", "study"],
        on_record=lambda record, done, planned: asked.append(record.id),
    )
    assert len(asked) == 12
    assert [row[0] for row in table.rows] == [variant.name for variant in variants]
    told = json.loads((tmp_path / "study" / "prompts.json").read_text())
    good, jittered, blind = (variant["box_iou"] for variant in told["variants"])
    assert 1 == good > jittered > blind
    text = (tmp_path / "study" / "prompts.md").read_text()
    assert text.startswith("# prompts on data, 4 samples, policy fiducial")
    assert "| truth?jitter=0.4 |" in text
    assert "fiducial study" in text
    assert (tmp_path / "study" / "compare.html").exists()
    run_study("prompts", variants, tmp_path / "study", selection=Selection(limit=4))
    assert len(asked) == 12


def test_studies_of_one_and_of_none(job, tmp_path):
    [one] = prompt_variants(job, ["truth"])
    table = run_study("prompts", [one], tmp_path / "one", images=False)
    assert len(table.rows) == 1
    assert not (tmp_path / "one" / "compare.html").exists()
    for variants in ([], [one, one]):
        with pytest.raises(InputError, match="each with a name of its own"):
            run_study("prompts", variants, tmp_path / "two")
    with pytest.raises(InputError, match=r"takes truth\?\.\.\. and blind\?\.\.\., got 'classic'"):
        prompt_variants(job, ["classic"])


def test_recipes_on_one_set(job, tmp_path):
    variants = [Variant("a", job), Variant("b", job)]
    table = run_study("recipes", variants, tmp_path / "s", images=False)
    assert table.rows[0][1:6] == table.rows[1][1:6]


def test_grids_are_written_as_their_description(job):
    names = [one.name for one in grid_variants(job, ["grid?opacity=0.5&colour=white", "grid", "grid?columns=3"])]
    assert names == ["no grid", "9 x 9 white, opacity 0.5", "9 x 9 black, opacity 0.3", "3 x 9 black, opacity 0.3"]
    for wrong in ("grid:9", "grid?opacity=2", "grid?cells=3", "9:0.5"):
        with pytest.raises(InputError):
            grid_variants(job, [wrong])


# -- ablations ---------------------------------------------------------------------------------------


@pytest.fixture
def objects(tmp_path):
    return Job(dataset=f"{write_folder(tmp_path / 'objects')}?objects=true", recipe=read_recipe("classic"))


def test_every_variant_of_a_point_has_the_same_box(objects):
    variants = cfpg_variants(objects, jitter=0.2)
    assert variants[0].name == "box"
    assert len({variant.name for variant in variants}) == len(variants) == 7
    assert {variant.job.source.jitter for variant in variants} == {0.2}
    assert [variant.job.source.at for variant in variants[-3:]] == ["centroid", "deepest", "random"]
    alone = variants[3].job.recipe.prompt_refiners[0]
    assert (alone.keep_box, alone.reach) == (False, 2.0)


def test_a_recipes_own_refiners_do_not_get_into_it(objects):
    refined = Job(dataset=objects.dataset, recipe=resolve("classic", refine="cfpg,mbo"))
    assert not mbo_variants(refined)[0].job.recipe.mask_refiners
    assert not mbo_variants(refined)[1].job.recipe.prompt_refiners
    assert mbo_variants(refined)[2].job.recipe.mask_refiners[0].min_area == 1


def test_true_masks_are_perfect_before_they_are_refined(objects, tmp_path):
    truth = Job(dataset=objects.dataset, recipe=resolve("classic", segmenter="truth"))
    run_study("mbo", mbo_variants(truth), tmp_path / "mbo", images=False)
    told = json.loads((tmp_path / "mbo" / "mbo.json").read_text())["variants"]
    assert [one["name"] for one in told] == ["as cut", "MBO", "MBO as published"]
    assert told[0]["mean_iou"] == 1
    assert all(one["mean_iou"] <= 1 for one in told)


def test_points_are_tried_on_a_segmenter(objects, tmp_path):
    table = run_study("cfpg", cfpg_variants(objects), tmp_path / "cfpg", images=False)
    assert [row[0] for row in table.rows] == [variant.name for variant in cfpg_variants(objects)]


def test_one_jitter_is_read():
    assert parse_jitter([]) == 0
    assert parse_jitter(["0.1"]) == 0.1
    for wrong in (["a"], ["0.1", "0.2"]):
        with pytest.raises(InputError, match="takes one value"):
            parse_jitter(wrong)


def test_the_truth_is_known_in_evaluations_only():
    image = Image(np.zeros((10, 10, 3), np.uint8), name="p")
    segmenter, prompts = build(read_part("segmenter", "truth")), Prompts.from_boxes(image.frame, [(0, 0, 5, 5)])
    with pytest.raises(InputError, match="in evaluations only"):
        segmenter.decode(segmenter.encode(image), prompts)
    mask = Mask.from_box((1, 1, 3, 3), 10, 10)
    known = segmenter.for_sample(Sample("p", None, image, "x", (mask, Mask.empty(10, 10)), (10, 10)))
    assert known.decode(known.encode(image), prompts) == [mask]
    with pytest.raises(InputError, match="1 masks for 2 prompts"):
        known.decode(known.encode(image), Prompts(image.frame, (*prompts, *prompts)))
    with pytest.raises(InputError, match="no masks to cut"):
        TrueMasks().for_sample(Sample("p", None, image, "x", None, (10, 10), boxes=prompts))


# -- opening -------------------------------------------------------------------------


def test_scenes_are_opened_by_name():
    assert len(open_dataset("scenes:shapes?count=3&seed=1")) == 3
    for text in ("scenes:shapes?count=many", "scenes:shapes?colour=3"):
        with pytest.raises(InputError, match="dataset 'scenes'"):
            open_dataset(text)
    with pytest.raises(InputError, match="no splits"):
        open_dataset("scenes:shapes", split="test")


def test_scenes_are_evaluated(tmp_path):
    job = Job(dataset="scenes:shapes?count=2&size=96", recipe=read_recipe("classic"), source=TruthPrompts())
    run = evaluate(job, tmp_path)
    assert (run.spec["name"], run.spec["style"], run.spec["count"], run.spec["size"]) == ("scenes", "shapes", 2, 96)
    assert len(run.ordered()) == 2


def test_referring_expressions_are_opened_with_their_source(tmp_path):
    mask = Mask.from_box((2, 2, 60, 50), 80, 90)
    other = Mask.from_box((70, 60, 85, 75), 80, 90)
    annotations = [
        {"id": n, "image_id": 1, "category_id": 1, "segmentation": m.to_coco(), "iscrowd": 0, "area": m.area}
        for n, m in enumerate((mask, other), start=1)
    ]
    images = [{"id": 1, "file_name": "a.png", "width": 90, "height": 80}]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ship"}]}
    (tmp_path / "coco" / "images").mkdir(parents=True)
    (tmp_path / "coco" / "instances.json").write_text(json.dumps(document))
    PIL.Image.new("RGB", (90, 80)).save(tmp_path / "coco" / "images" / "a.png")
    source = f"coco:{tmp_path / 'coco'}"
    made = referring_expressions(open_dataset(source), families=["size"])
    (tmp_path / "said.jsonl").write_text(expression_lines(made))
    found = open_dataset(f"referring:{tmp_path / 'said.jsonl'}?source={source}")
    assert found.name == "said"
    assert [sample.instruction for sample in found] == [one.instruction for one in made]
    with pytest.raises(InputError, match=r"referring:.*said\.jsonl\?source=DATASET"):
        open_dataset(f"referring:{tmp_path / 'said.jsonl'}")
    write_expressions(tmp_path / "said.jsonl", made, describe_dataset(source))
    again = open_dataset(f"referring:{tmp_path / 'said.jsonl'}?held_out=1")
    assert again.ids == found.ids
    assert read_expressions(tmp_path / "said.jsonl") == made
