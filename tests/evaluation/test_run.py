import json

import pytest

from evaluation_fakes import bench
from fiducial.contents import CONTENTS, contents_of, differences
from fiducial.errors import InputError
from fiducial.evaluation import TruthPrompts, evaluate, read_run


def write_model(folder, weights=b"weights"):
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "model.safetensors").write_bytes(weights)
    return str(folder)


def evaluate_with(out, **recipe):
    return evaluate(bench(4), out, recipe={"name": "red", **recipe})


def test_other_weights_at_the_same_path_are_noticed(tmp_path):
    model = write_model(tmp_path / "model")
    run = evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": model})
    assert run.settings["contents"]["recipe.segmenter.model"]["path"] == model
    evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": model})
    (tmp_path / "model" / "README.md").write_text("a note changes nothing")
    (tmp_path / "model" / ".cache").write_text("nor does what is hidden")
    evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": model})
    (tmp_path / "model" / "sub" / "model.safetensors").write_bytes(b"others")
    with pytest.raises(InputError, match=r"recipe\.segmenter\.model: the contents of \S+model changed"):
        evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": model})


def test_the_same_weights_at_another_path_go_on(tmp_path):
    for name, weights in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        write_model(tmp_path / name, weights)
    parts = [{"segmenter": {"name": "sam", "model": str(tmp_path / name)}} for name in "abc"]
    evaluate_with(tmp_path / "run", **parts[0])
    assert len(evaluate_with(tmp_path / "run", **parts[1]).sessions) == 2
    with pytest.raises(InputError, match=r"recipe\.segmenter\.model: the contents of \S+c changed"):
        evaluate_with(tmp_path / "run", **parts[2])


def test_templates_and_prompt_files_are_compared_by_their_words(tmp_path):
    template, oracle = tmp_path / "template.yaml", tmp_path / "prompts.json"
    template.write_text("user: find")
    oracle.write_text("[]")
    parts = {"prompter": {"name": "oracle", "model": str(oracle), "template": str(template)}}
    parts["mask_refiners"] = [{"name": "mine", "file": str(template)}]
    evaluate_with(tmp_path / "run", **parts)
    template.write_text("user: show")
    changed = r"mask_refiners\.0\.file: the contents .*; recipe\.prompter\.template: the contents"
    with pytest.raises(InputError, match=changed):
        evaluate_with(tmp_path / "run", **parts)
    template.write_text("user: find")
    oracle.write_text("[ ]")
    with pytest.raises(InputError, match=r"\(recipe\.prompter\.model: the contents"):
        evaluate_with(tmp_path / "run", **parts)


def test_names_of_the_hub_stay_names_and_words_are_no_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "black").mkdir()
    parts = {"segmenter": {"name": "sam", "model": "facebook/sam-vit-base"}, "overlays": [{"colour": "black"}]}
    assert evaluate_with(tmp_path / "run", **parts).settings["contents"] == {}
    other = {**parts, "segmenter": {"name": "sam", "model": "facebook/sam-vit-huge"}}
    with pytest.raises(InputError, match=r"recipe\.segmenter\.model: \"facebook/sam-vit-base\" there"):
        evaluate_with(tmp_path / "run", **other)


def test_weights_of_the_package_are_contents_too(tmp_path):
    run = evaluate_with(tmp_path / "run", segmenter={"name": "nano", "model": "nano-segmenter"})
    assert len(run.settings["contents"]["recipe.segmenter.model"]["sha256"]) == 64


def test_a_run_from_before_contents_were_kept_goes_on_by_its_paths(tmp_path):
    model = write_model(tmp_path / "model")
    evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": model})
    card = json.loads((tmp_path / "run" / "run.json").read_text())
    del card["contents"]
    (tmp_path / "run" / "run.json").write_text(json.dumps(card))
    evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": model})
    with pytest.raises(InputError, match=r"recipe\.segmenter\.model: \S+ there, \S+ now"):
        evaluate_with(tmp_path / "run", segmenter={"name": "sam", "model": write_model(tmp_path / "other")})


def test_a_file_that_a_dataset_names_is_compared_by_its_contents(tmp_path):
    said = tmp_path / "said.jsonl"
    said.write_text("{}\n")
    found = contents_of({}, {"path": str(said), "source": {"path": str(tmp_path)}})
    assert list(found) == ["dataset.path"]
    assert found["dataset.path"]["path"] == str(said)


def test_a_run_of_an_earlier_version_goes_on_under_the_new_name_of_its_source(tmp_path):
    source = TruthPrompts(points=1, jitter=0.1)
    path = evaluate(bench(4, source=source), tmp_path, recipe={"name": "red"}).folder / "run.json"
    card = json.loads(path.read_text())
    old = "truth:box,points=1,jitter=0.1"
    path.write_text(json.dumps({**card, "prompter": old, "recipe": {**card["recipe"], "prompter": {"name": old}}}))
    assert read_run(tmp_path).settings["prompter"] == "truth?points=1&jitter=0.1"
    assert len(evaluate(bench(4, source=source), tmp_path, recipe={"name": "red"}).sessions) == 2


def test_a_dataset_that_an_earlier_version_wrote_as_text_is_opened_again(tmp_path):
    path = evaluate(bench(2), tmp_path).folder / "run.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, "dataset_spec": "scenes:shapes?count=2&size=96"}))
    assert len(read_run(tmp_path).open_dataset()) == 2


def test_a_card_that_makes_no_sense_is_named(tmp_path):
    evaluate_with(tmp_path)
    card = json.loads((tmp_path / "run.json").read_text())
    for key, value in [
        *(("dataset", one) for one in ([], "x", None, {"name": "x"})),
        *(("recipe", one) for one in ("x", None)),
        *(("prompter", one) for one in ([], {})),
        *(("sessions", one) for one in (5, {})),
        *(("planned", one) for one in ([1], "x", 1e9)),
    ]:
        (tmp_path / "run.json").write_text(json.dumps({**card, key: value}))
        with pytest.raises(InputError, match=rf"run\.json: {key} makes no sense: was the file edited\?"):
            read_run(tmp_path)
    for contents in (None, 5, [1], {"a": 1}, {"a": {"path": "x"}}, {"a": {"sha256": [1]}}):
        (tmp_path / "run.json").write_text(json.dumps({**card, "contents": contents}))
        assert set(read_run(tmp_path).settings["contents"]) <= {"a"}
    for text in ("[" * 5000, "9" * 5000, "[]", "{}", ""):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(InputError, match=r"run\.json: "):
            read_run(tmp_path)


def test_where_something_is_kept_to_be_found_again_is_no_setting(tmp_path):
    model, kept = tmp_path / "model", tmp_path / "kept"
    for folder in (model, kept):
        folder.mkdir()
        (folder / "a.bin").write_bytes(b"1")

    def told(cache):
        recipe = {"prompter": {"model": str(model), "decode": {"cache": str(cache)}}}
        return {"recipe": recipe, CONTENTS: contents_of(recipe, {})}

    before = told(kept)
    assert set(before[CONTENTS]) == {"recipe.prompter.model"}
    (kept / "b.bin").write_bytes(b"2")  # the table of another model
    assert differences(before, told(kept)) == []
    assert differences(before, told(tmp_path / "elsewhere")) == []
    (model / "a.bin").write_bytes(b"22")
    assert "recipe.prompter.model: the contents of" in differences(before, told(kept))[0]
