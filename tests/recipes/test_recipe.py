import pytest

from fakes import BoxPrompter
from fiducial.config import class_value
from fiducial.errors import InputError, UnknownNameError
from fiducial.recipes import checkpoints, load, read_recipe, recipe_names
from fiducial.recipes.catalogue import local_folder
from fiducial.recipes.recipe import changed_options, model_of, parse_recipe, resolve

MINIMAL = "prompter: classic\nsegmenter: grabcut\n"


def test_every_shipped_recipe_reads_and_says_what_it_is():
    assert {"classic", "sjtu", "think2seg-rs", "visionreasoner"} <= set(recipe_names())
    for name in recipe_names():
        recipe = read_recipe(name)
        assert recipe.summary
        assert recipe.source
        assert recipe.as_json()["name"] == name


def test_the_published_settings_are_kept():
    sjtu = read_recipe("sjtu")
    grid = sjtu.overlays[0]
    assert (grid.columns, grid.rows, grid.colour, grid.opacity, grid.line_width) == (9, 9, "black", 0.3, 1)
    assert model_of(sjtu.prompter) == "Qwen/Qwen2-VL-7B-Instruct"
    assert sjtu.prompter.canvas == (512, 512)
    think = read_recipe("think2seg-rs")
    assert think.prompter.model == "RicardoString/Think2Seg-RS-3B"
    assert think.segmenter.model == "facebook/sam2.1-hiera-small"
    assert think.prompter.canvas == (840, 840)
    assert think.prompter.suppress == 0.5
    assert read_recipe("visionreasoner").segmenter.multimask == "best"


def test_a_recipe_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "prompter: vlm:/models/mine\nsegmenter: {name: SAM2, multimask: best}\noverlay_for_segmenter: true\n"
    )
    recipe = read_recipe(path)
    assert (recipe.name, recipe.prompter.model, name_of(recipe.segmenter)) == ("mine", "/models/mine", "sam2")
    assert recipe.overlay_for_segmenter
    assert read_recipe(str(path)) == recipe


def test_overriding_keeps_the_options_of_the_same_code_only():
    kept = resolve("think2seg-rs", prompter="vlm:/mine", segmenter="sam:/other")
    assert (kept.prompter.model, kept.prompter.dialect) == ("/mine", "think2seg")
    assert (name_of(kept.segmenter), kept.segmenter.model) == ("sam", "/other")
    same = resolve("think2seg-rs", segmenter="sam2")
    assert same.segmenter.model == "facebook/sam2.1-hiera-small"
    assert resolve("visionreasoner", segmenter="sam").segmenter.multimask == "best"
    assert resolve("visionreasoner", segmenter="sam?multimask=single").segmenter.multimask == "single"
    assert changed_options(resolve("think2seg-rs", segmenter="grabcut").segmenter) == {}
    assert model_of(resolve("think2seg-rs", prompter="classic").prompter) == ""


@pytest.mark.parametrize(
    ("recipe", "changes", "title"),
    [
        ("nano", {}, "nano"),
        ("nano", {"prompter": "nano", "segmenter": "nano?device=cpu"}, "nano"),
        ("nano", {"prompter": "endpoint:qwen2.5vl:7b?timeout=3"}, "nano with endpoint:qwen2.5vl:7b"),
        ("nano", {"segmenter": "grabcut", "refine": "cfpg,mbo"}, "nano with cfpg, grabcut, mbo"),
        ("pslg-sam", {"refine": "none"}, "pslg-sam with no cfpg, no mbo"),
        ("pslg-sam", {"refine": "mbo"}, "pslg-sam with no cfpg"),
        ("sjtu", {"grid": 0}, "sjtu with no grid"),
        ("think2seg-rs", {"prompter": "vlm:/mine"}, "think2seg-rs with vlm:/mine"),
        ("classic", {"segmenter": "sam2"}, "classic with sam2"),
    ],
)
def test_the_title_says_what_really_answers(recipe, changes, title):
    found = resolve(recipe, **changes)
    assert found.title == title
    assert resolve(found).title == title
    assert "instead" not in found.as_json()


def test_the_title_names_a_local_folder_by_its_last_name_and_objects_by_their_class(tmp_path):
    assert resolve("nano", segmenter=f"sam2:{tmp_path}").title == f"nano with sam2:{tmp_path.name}"
    assert load("classic", prompter=BoxPrompter((1, 1, 9, 9))).name == "classic with BoxPrompter"
    assert load("classic", segmenter="nano").name == "classic with nano"


def name_of(part):
    return class_value(type(part), "name")


def test_the_grid_can_be_set_and_taken_away():
    assert resolve("sjtu", grid=0).overlays == ()
    grid = resolve("sjtu", grid="5x3").overlays[0]
    assert (grid.columns, grid.rows, grid.opacity) == (5, 3, 0.3)
    assert changed_options(resolve("classic", grid=4).overlays[0]) == {"columns": 4, "rows": 4}


def test_refiners_are_replaced_by_name_and_keep_their_options():
    recipe = read_recipe("pslg-sam")
    assert [name_of(part) for part in (*recipe.prompt_refiners, *recipe.mask_refiners)] == ["cfpg", "mbo"]
    assert recipe.segmenter.model == "facebook/sam-vit-base"
    tuned = recipe.with_options({"mbo.band": 0.1, "cfpg.reach": 2})
    assert changed_options(tuned.mask_refiners[0]) == {"band": 0.1, "max_score": 1}
    again = tuned.with_refiners("MBO, cfpg")
    assert (again.prompt_refiners, again.mask_refiners) == (tuned.prompt_refiners, tuned.mask_refiners)
    alone = tuned.with_refiners(["mbo?min_area=5"])
    assert (alone.prompt_refiners, alone.mask_refiners[0].band, alone.mask_refiners[0].min_area) == ((), 0.1, 5)
    for none in ("none", "", []):
        assert tuned.with_refiners(none).parts == (tuned.prompter, tuned.segmenter)
    added = resolve("classic", refine="cfpg,mbo", options={"cfpg.colour_space": "hsv"})
    assert added.prompt_refiners[0].colour_space == "hsv"
    commas = resolve("classic", refine="mbo?limits=2,9&band=0.2,cfpg")
    assert (commas.mask_refiners[0].limits, len(commas.prompt_refiners)) == ((2.0, 9.0), 1)
    with pytest.raises(InputError, match="'mbo' is named twice"):
        resolve("classic", refine="mbo,mbo")
    with pytest.raises(UnknownNameError, match="unknown refiner 'mob': did you mean 'mbo'"):
        resolve("classic", refine="mob")
    with pytest.raises(InputError, match=r"cannot set 'mbo.band': write prompter.OPTION=VALUE or segmenter"):
        resolve("classic", options={"mbo.band": 1})


def test_a_cache_is_a_part_of_the_recipe_and_no_part_of_its_identity(tmp_path):
    kept = resolve("sjtu", cache=tmp_path, options={"cache.max_bytes": 5})
    assert (kept.cache.folder, kept.cache.max_bytes) == (tmp_path, 5)
    assert kept.as_json() == read_recipe("sjtu").as_json()
    assert parse_recipe("mine", MINIMAL + f"cache: {{folder: {tmp_path}}}", "mine").cache.folder == tmp_path
    with pytest.raises(InputError, match=r"cannot set 'cache.max_bytes'"):
        resolve("sjtu", options={"cache.max_bytes": 5})


def test_a_pipeline_is_loaded_with_refiners():
    pipe = load("classic", refine="cfpg,mbo", options={"mbo.limits": [1, 4]})
    assert pipe.mask_refiners[0].limits == (1, 4)
    assert len(pipe.prompt_refiners) == 1


def test_options_can_be_set():
    recipe = resolve("sjtu", options={"prompter.max_new_tokens": 64, "segmenter.multimask": "best"})
    assert recipe.prompter.max_new_tokens == 64
    assert recipe.segmenter.multimask == "best"
    assert resolve("sjtu", options={"grid.columns": 3}).overlays[0].columns == 3
    warm = resolve("sjtu", options={"prompter.temperature": 0.5, "prompter.do_sample": True})
    assert (warm.prompter.temperature, warm.prompter.do_sample) == (0.5, True)
    for key in ("prompter", "max_new_tokens", "cfpg.reach", "prompter."):
        with pytest.raises(InputError, match=r"prompter\.OPTION=VALUE"):
            resolve("sjtu", options={key: 1})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "a recipe is a mapping"),
        ("a: [", "not valid YAML"),
        ("segmenter: grabcut", "needs a prompter"),
        ("prompter: classic", "needs segmenter"),
        (MINIMAL + "segmentor: x", "did you mean 'segmenter'"),
        ("prompter: clasic\nsegmenter: grabcut", "did you mean 'classic'"),
        ("prompter: [1]\nsegmenter: grabcut", "write NAME"),
        ("prompter: {name: classic, levls: 3}\nsegmenter: grabcut", "option of .*'levls'"),
        (MINIMAL + "overlays: grid", "needs a list"),
        (MINIMAL + "overlays: [{name: gird}]", "did you mean 'grid'"),
        (MINIMAL + "overlays: [mbo]", "unknown overlay in mine.yaml, overlays 1: 'mbo'"),
    ],
)
def test_recipes_that_make_no_sense_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_recipe("mine", text, "mine.yaml")


def test_unknown_recipes_come_with_a_suggestion(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'think2seg-rs'"):
        read_recipe("think2seg")
    with pytest.raises(InputError, match=r"mine.yaml: no such file"):
        read_recipe(tmp_path / "mine.yaml")


def test_checkpoints_have_licences_and_users():
    found = {checkpoint.name: checkpoint for checkpoint in checkpoints()}
    assert found["facebook/sam2.1-hiera-small"].licence == "Apache-2.0"
    assert "recipe think2seg-rs" in found["RicardoString/Think2Seg-RS-3B"].used_by
    assert all("read its card" not in checkpoint.licence for checkpoint in found.values())


def test_local_folders_are_found(tmp_path):
    assert local_folder(str(tmp_path)) == tmp_path
    assert local_folder("nobody/nothing-at-all") is None
