import json
import subprocess

import PIL.Image
import pytest

from evaluation_fakes import bench, write_folder
from fiducial import Mask, provenance
from fiducial.datasets import describe_dataset, open_dataset
from fiducial.errors import InputError
from fiducial.evaluation import Job, Selection, TruthPrompts, evaluate
from fiducial.evaluation.studies import Look, Variant, grid_variants, prompt_variants, run_study, size_table
from fiducial.recipes import read_recipe
from fiducial.synthetic import expression_lines, read_expressions, referring_expressions, write_expressions


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
    assert variants[1].job.recipe.overlays[0].options["columns"] == 3
    [none, nine] = grid_variants(job, sizes=["9x7"], opacities=())
    assert nine.job.recipe.overlays[0].build().rows == 7
    assert none.name == "no grid"
    with pytest.raises(InputError, match="do not look at it"):
        grid_variants(Job(dataset="", recipe=read_recipe("classic"), source=TruthPrompts()))


def test_prompts_from_good_to_none(job, tmp_path):
    variants = prompt_variants(job, ["truth:box", "truth:box,jitter=0.4", "blind:0,0,0.1,0.1"])
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
    assert "| truth:box,jitter=0.4 |" in text
    assert "fiducial study" in text
    assert (tmp_path / "study" / "compare.html").exists()
    run_study("prompts", variants, tmp_path / "study", selection=Selection(limit=4))
    assert len(asked) == 12


def test_studies_of_one_and_of_none(job, tmp_path):
    [one] = prompt_variants(job, ["truth:box"])
    table = run_study("prompts", [one], tmp_path / "one", images=False)
    assert len(table.rows) == 1
    assert not (tmp_path / "one" / "compare.html").exists()
    for variants in ([], [one, one]):
        with pytest.raises(InputError, match="each with a name of its own"):
            run_study("prompts", variants, tmp_path / "two")
    with pytest.raises(InputError, match=r"takes truth:\.\.\. and blind:\.\.\., got 'classic'"):
        prompt_variants(job, ["classic"])


def test_recipes_on_one_set(job, tmp_path):
    variants = [Variant("a", job), Variant("b", job)]
    table = run_study("recipes", variants, tmp_path / "s", images=False)
    assert table.rows[0][1:6] == table.rows[1][1:6]


def test_accuracy_by_size(tmp_path):
    run = evaluate(bench(30), tmp_path / "run")
    table = size_table(run, tmp_path / "size")
    told = {row["target"]: row for row in json.loads((tmp_path / "size" / "size.json").read_text())["classes"]}
    none = sum(index % 7 == 3 for index in range(30))
    assert told["no target"]["n"] == none
    assert told["small: up to 32 x 32 px"]["n"] == 30 - none
    assert told["large: over 96 x 96 px"] == {
        "target": "large: over 96 x 96 px",
        "n": 0,
        "mean_iou": None,
        "p@0.5": None,
        "p@0.7": None,
        "missed": None,
    }
    assert sum(row["n"] for name, row in told.items() if name.endswith("picture")) == 30 - none
    assert "| no target |" in table.files[0].read_text()


# -- opening and provenance -------------------------------------------------------------------------


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
    assert run.spec == "scenes:shapes?count=2&size=96"
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


def test_the_commit_is_told_where_there_is_one(monkeypatch):
    said = {"rev-parse": "abc\n", "status": ""}

    def run(words, **options):
        return subprocess.CompletedProcess(words, 0, said[words[4]], "")

    monkeypatch.setattr(provenance.subprocess, "run", run)
    monkeypatch.setattr(provenance.Path, "exists", lambda self: True)
    assert provenance.commit() == "abc"
    said["status"] = " M a.py\n"
    assert provenance.commit() == "abc-dirty"

    def fail(words, **options):
        raise OSError("no git")

    monkeypatch.setattr(provenance.subprocess, "run", fail)
    assert provenance.commit() is None
    monkeypatch.setattr(provenance.Path, "exists", lambda self: False)
    assert provenance.commit() is None


def test_looks_of_grids_are_written_short():
    assert Look.parse("5") == Look("5", "black", 0.3)
    assert Look.parse("9x6:0.5") == Look("9x6", "black", 0.5)
    assert Look.parse("9:1:white") == Look("9", "white", 1.0)
    with pytest.raises(InputError, match="a grid is written as SIZE:OPACITY:COLOUR"):
        Look.parse("9:black")
