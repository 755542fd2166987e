"""Building: folders that can be read back and that ``datasets`` loads, the same bytes every time, clear refusals."""

import json
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from fiducial.cli import main
from fiducial.errors import InputError
from fiducial.misground.building import BuildConfig, build, questions_of
from fiducial.misground.items import CARD, ITEMS, Item, read_items
from fiducial.misground.sources import PhantomConfig, SourceConfig, read_sources
from fiducial.volumes import make_phantom

CONFIG = BuildConfig(per_volume=70, size=96)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("misground") / "bench"
    command = ["phantom", "phantom?modality=MR&rotation=8,4,6", "--out", str(folder), "--per-volume", "70"]
    assert main(["misground", "build", *command, "--size", "96"]) == 0
    return folder


def test_what_was_written_is_read_back(benchmark):
    items = read_items(benchmark)
    assert len(items) == 140
    assert {item.factors.modality for item in items} == {"CT", "MR"}
    for item in items:
        assert Item.from_json(json.loads(json.dumps(item.as_json())), "here") == item
        for path in item.images:
            with PIL.Image.open(benchmark / path) as picture:
                assert max(picture.size) == 96
    card = json.loads((benchmark / CARD).read_text())
    assert card["items"] == sum(volume["items"] for volume in card["volumes"]) == 140
    assert card["volumes"][0]["labels"] == "made"
    assert not list(benchmark.parent.glob(".bench*"))


def test_pictures_differ_by_what_is_marked(benchmark):
    items = [item for item in read_items(benchmark) if item.factors.input == "slice"]
    reference = {item.situation: item for item in items if item.id.endswith("reference")}
    compared = 0
    for item in items:
        first = reference.get(item.situation)
        if first is None or item.factors.plane != first.factors.plane:
            continue
        one, other = (np.asarray(PIL.Image.open(benchmark / each.images[0])) for each in (first, item))
        same_picture = item.factors.prompt == first.factors.prompt and item.factors.background == "image"
        if item.factors.view == first.factors.view:
            assert np.array_equal(one, other) == same_picture, item.id
            compared += 1
    assert compared > 20


def test_the_same_seed_gives_the_same_bytes(benchmark, tmp_path):
    sources = read_sources(["phantom", "phantom?modality=MR&rotation=8,4,6"])
    build(sources, tmp_path / "again", CONFIG)
    assert (tmp_path / "again" / ITEMS).read_bytes() == (benchmark / ITEMS).read_bytes()
    some = read_items(benchmark)[3].images[0]
    assert (tmp_path / "again" / some).read_bytes() == (benchmark / some).read_bytes()


def test_datasets_loads_the_folder(benchmark, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(benchmark), split="train", cache_dir=str(tmp_path / "cache")
    )
    items = {item.id: item for item in read_items(benchmark)}
    assert len(loaded) == len(items)
    for row in loaded.select([0, 77]):
        item = items[row["id"]]
        assert (row["question"], row["answer"], tuple(row["options"])) == (item.question, item.letter, item.options)
        assert len(row["images"]) == len(item.images)
        expected = np.asarray(PIL.Image.open(benchmark / item.images[0]))
        assert np.array_equal(np.asarray(row["images"][0]), expected)


def test_files_are_read_and_a_list_says_more(tmp_path):
    folder = tmp_path / "scan"
    folder.mkdir()
    phantom = make_phantom(spacing=(6.0, 6.0, 6.0), axes="LPS")
    import nibabel

    nibabel.save(nibabel.Nifti1Image(phantom.volume.array, phantom.volume.affine), folder / "image.nii.gz")
    nibabel.save(nibabel.Nifti1Image(phantom.label_map.array, phantom.label_map.affine), folder / "labels.nii.gz")
    (folder / "labels.json").write_text(json.dumps(dict(phantom.label_map.names)))
    (source,) = read_sources([str(folder)])
    assert source.open().name == "scan"
    listed = tmp_path / "volumes.yaml"
    listed.write_text(
        "volumes:\n  - {image: scan/image.nii.gz, labels: scan/labels.nii.gz, name: one, modality: CT, "
        "truth: predicted, made_by: a model}\n"
    )
    (source,) = read_sources([str(listed)])
    opened = source.open()
    assert opened.provenance() == {"volume": "one", "labels": "predicted", "labels_by": "a model"}
    built = build([source], tmp_path / "out", BuildConfig(per_volume=20, size=96, kinds=("order", "identity")))
    assert {item.factors.kind for item in built.items} == {"order", "identity"}
    assert built.items[0].provenance["labels_by"] == "a model"


def test_what_cannot_be_built_is_refused(tmp_path):
    with pytest.raises(InputError, match="neither a folder"):
        read_sources(["nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"image\.nii\.gz"):
        read_sources([str(tmp_path / "empty")])
    with pytest.raises(InputError, match="kind of question"):
        BuildConfig(kinds=("colour",))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="something else"):
        build([PhantomConfig()], tmp_path / "mine", CONFIG)
    with pytest.raises(InputError, match="no benchmark"):
        read_items(tmp_path / "mine")
    unknown = replace(PhantomConfig().open(), volume=replace(make_phantom().volume, modality=""))
    with pytest.raises(InputError, match="CT or MR"):
        questions_of(unknown, CONFIG)
    with pytest.raises(InputError, match="no such file"):
        SourceConfig(image=tmp_path / "a.nii", labels=tmp_path / "b.nii").open()
