import json

import PIL.Image
import pytest

import datasets
from fiducial.cli import main
from fiducial.datasets import open_dataset
from fiducial.geometry import Frame
from fiducial.language.dialects import dialect

SPEC = "scenes:shapes?count=5&seed=1&size=128"
FORMATS = {"trl": "train.jsonl", "llava": "train.json", "ms-swift": "train.jsonl", "llamafactory": "train.json"}


def export(folder, form, *more, name="sjtu"):
    return main(["export", "sft", SPEC, "--out", str(folder), "--dialect", name, "--format", form, *more])


def rows_of(folder, form):
    text = (folder / FORMATS[form]).read_text()
    return [json.loads(line) for line in text.splitlines()] if FORMATS[form].endswith("l") else json.loads(text)


def check_trl(row, folder):
    assert set(row) == {"prompt", "completion", "images"}
    *system, user = row["prompt"]
    assert [part["type"] for part in user["content"]] == ["image", "text"]
    assert (user["role"], [one["role"] for one in system]) == ("user", ["system"] * len(system))
    (answer,) = row["completion"]
    assert (answer["role"], answer["content"][0]["type"]) == ("assistant", "text")
    (picture,) = row["images"]
    words = " ".join(one["content"][0]["text"] for one in system) + user["content"][1]["text"]
    return picture, words, answer["content"][0]["text"]


def check_llava(row, folder):
    assert set(row) == {"id", "image", "conversations"}
    human, gpt = row["conversations"]
    assert (human["from"], gpt["from"]) == ("human", "gpt")
    assert human["value"].startswith("<image>\n")
    return folder / row["image"], human["value"], gpt["value"]


def check_messages(row, folder):
    assert set(row) == {"messages", "images"}
    *system, user, answer = row["messages"]
    roles = [one["role"] for one in (*system, user, answer)]
    assert roles == ["system"] * len(system) + ["user", "assistant"]
    assert user["content"].count("<image>") == 1  # as many places as pictures
    (picture,) = row["images"]
    return folder / picture, " ".join(one["content"] for one in (*system, user)), answer["content"]


CHECKS = {"trl": check_trl, "llava": check_llava, "ms-swift": check_messages, "llamafactory": check_messages}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["sjtu", "think2seg"])
def test_each_format_has_its_documented_keys_and_the_truth(form, name, tmp_path, capsys):
    folder = tmp_path / "made" / "chats"
    assert export(folder, form, name=name) == 0
    assert f"wrote 5 chats to {folder / FORMATS[form]}" in capsys.readouterr().out
    samples, rows = list(open_dataset(SPEC)), rows_of(folder, form)
    assert len(rows) == len(samples)
    for sample, row in zip(samples, rows, strict=True):
        picture, words, answer = CHECKS[form](row, folder)
        shown = PIL.Image.open(picture).size
        assert sample.instruction in words
        assert ("You assist" in words) is (name == "think2seg")
        speaks = dialect(name)
        read = speaks.decode(answer, speaks.frame(*shown, shown), strict=True).to(Frame.pixels(128, 128))
        assert len(read.prompts) == len(sample.instances)
        from_left = sorted((mask.box for mask in sample.instances), key=lambda box: (box[0] + box[2], box[1]))
        for prompt, box in zip(read.prompts, from_left, strict=True):
            assert prompt.box == pytest.approx(box, abs=0.1)
    left = {path.name for path in folder.iterdir()}
    assert left == {FORMATS[form], "images", "run.json"} | ({"dataset_info.json"} if form == "llamafactory" else set())
    assert [path.name for path in folder.parent.iterdir()] == ["chats"]


def test_datasets_reads_the_file_of_trl_with_its_pictures(tmp_path):
    assert export(tmp_path / "chats", "trl", "--limit", "2", "--canvas", "64,64") == 0
    file = str(tmp_path / "chats" / "train.jsonl")
    table = datasets.load_dataset("json", data_files=file, split="train", cache_dir=str(tmp_path / "cache"))
    rows = table.cast_column("images", datasets.List(datasets.Image()))
    assert [row["images"][0].size for row in rows] == [(64, 64)] * 2
    assert rows[0]["prompt"][0]["content"][0]["type"] == "image"


def test_llamafactory_is_told_what_the_file_holds(tmp_path):
    assert export(tmp_path / "chats", "llamafactory", "--limit", "1") == 0
    (info,) = json.loads((tmp_path / "chats" / "dataset_info.json").read_text()).values()
    assert (info["file_name"], info["formatting"]) == ("train.json", "sharegpt")
    assert info["columns"] == {"messages": "messages", "images": "images"}
    (row,) = rows_of(tmp_path / "chats", "llamafactory")
    turn = row["messages"][-1]
    assert turn[info["tags"]["role_tag"]] == info["tags"]["assistant_tag"]
    assert info["tags"]["content_tag"] in turn


def test_copies_are_augmented_and_the_card_says_how(tmp_path):
    words = ["--copies", "3", "--limit", "2", "--canvas", "96,96", "--overlay", "grid?columns=4&rows=4"]
    assert export(tmp_path / "one", "llava", *words) == 0
    assert export(tmp_path / "two", "llava", *words) == 0
    assert (tmp_path / "one" / "train.json").read_text() == (tmp_path / "two" / "train.json").read_text()
    rows = rows_of(tmp_path / "one", "llava")
    assert len(rows) == 6
    assert len({row["image"] for row in rows}) > 2
    assert len(list((tmp_path / "one" / "images").iterdir())) == len({row["image"] for row in rows})
    assert PIL.Image.open(tmp_path / "one" / rows[0]["image"]).size == (96, 96)
    card = json.loads((tmp_path / "one" / "run.json").read_text())
    assert card["config"]["copies"] == 3
    assert card["dataset"]["name"] == "scenes"


def test_where_nothing_can_be_written_the_reason_is_told(tmp_path, capsys):
    PIL.Image.new("RGB", (80, 60)).save(tmp_path / "a.png")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}
    images = [{"id": 1, "file_name": "a.png", "width": 80, "height": 60}]
    whole = {"images": images, "annotations": [box], "categories": [{"id": 1, "name": "ship"}]}
    (tmp_path / "a.json").write_text(json.dumps(whole))
    words = ["export", "sft", f"coco:{tmp_path}/a.json", "--out", str(tmp_path / "chats"), "--format", "llava"]
    assert main([*words, "--dialect", "think2seg"]) == 2
    said = capsys.readouterr()
    assert "left out 1, such as sample" in said.out
    assert "point" in said.out
    assert "no sample could be written" in said.err
    assert not (tmp_path / "chats").exists()


def test_what_cannot_be_written_is_left_out_and_said(tmp_path, capsys):
    assert export(tmp_path / "chats", "llava", name="seg-zero") == 0
    several = sum(len(sample.instances) > 1 for sample in open_dataset(SPEC))
    assert several
    assert f"left out {several}, such as" in capsys.readouterr().out
    assert len(rows_of(tmp_path / "chats", "llava")) == 5 - several


def test_a_folder_that_is_taken_stays_as_it_is(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("here")
    assert export(tmp_path, "trl") == 2
    assert "take another folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_export_that_fails_leaves_nothing(tmp_path, monkeypatch):
    from fiducial.training import sft_export

    def full(*_):
        raise OSError("no room")

    monkeypatch.setattr(sft_export, "write_run_card", full)
    assert export(tmp_path / "chats", "trl") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dialect", "sjtuu"], "did you mean 'sjtu'"),
        (["--format", "lava"], "llava"),
        (["--template", "nothing"], "unknown prompt template"),
    ],
)
def test_bad_words_are_bad_input(words, message, tmp_path, capsys):
    given = {"--dialect": "sjtu", "--format": "trl"} | dict([words])
    flat = [word for pair in given.items() for word in pair]
    assert main(["export", "sft", SPEC, "--out", str(tmp_path / "x"), *flat]) == 2
    assert message in capsys.readouterr().err
