import shutil

import numpy as np
import pytest

import fake_datasets
from fiducial.datasets import LayoutError, layouts, open_dataset, recognise, sample_ids
from fiducial.errors import InputError, UnknownNameError


@pytest.mark.parametrize("name", sorted(fake_datasets.BUILDERS))
class TestEveryLayout:
    def test_bare_path_is_recognised_and_samples_are_whole(self, name, tmp_path):
        root = fake_datasets.build(name, tmp_path)
        assert recognise(root) == name
        dataset = open_dataset(str(root))
        samples = list(dataset)
        assert len(samples) == len(dataset) > 0
        assert [sample.id for sample in samples] == list(sample_ids(dataset)) == list(open_dataset(root).ids)
        for sample in samples:
            image = sample.image()
            assert (image.height, image.width) == sample.size == fake_datasets.SIZE
            assert sample.instruction
            assert len(sample.prompts()) == len(sample.instances)

    def test_empty_folder_shows_the_expected_tree_and_what_was_found(self, name, tmp_path):
        (tmp_path / "something.txt").write_text("")
        with pytest.raises(LayoutError, match=r"expected:\n(.|\n)*found:\n(.|\n)*something.txt") as caught:
            open_dataset(f"{name}:{tmp_path}")
        assert caught.value.layout == name

    def test_lost_pictures_are_refused_on_opening(self, name, tmp_path):
        root = fake_datasets.build(name, tmp_path)
        for path in [
            *root.rglob("*.jpg"),
            *root.rglob("images/*"),
            *root.rglob("*_images/*"),
            *root.rglob("img_rgb/*"),
            *root.rglob("image.nii.gz"),
        ]:
            if path.is_file():
                path.unlink()
        with pytest.raises(LayoutError, match=r"missing|lacks|are not in"):
            open_dataset(f"{name}:{tmp_path}")

    def test_lost_truth_is_refused_on_opening(self, name, tmp_path):
        root = fake_datasets.build(name, tmp_path)
        truth = (
            "instances.json",
            "labels",
            "masks",
            "mask",
            "*_masks",
            "SegmentationObject",
            "panoptic",
            "labels.nii.gz",
        )
        for pattern in truth:
            for path in list(root.rglob(pattern)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        if name == "reasonseg":
            for path in root.rglob("*.json"):
                path.unlink()
        if name == "voc":
            shutil.rmtree(root / "SegmentationClass")
            shutil.rmtree(root / "Annotations")
        with pytest.raises(LayoutError, match=r"missing|lacks|there is no|are not in"):
            open_dataset(f"{name}:{tmp_path}")


class TestSpecs:
    def test_every_layout_is_described(self):
        assert sorted(layouts()) == sorted(fake_datasets.BUILDERS)

    def test_split_by_keyword_or_in_the_spec(self, tmp_path):
        root = fake_datasets.refer(tmp_path)
        assert len(open_dataset(f"rrsisd:{root}")) == 4
        assert len(open_dataset(f"rrsisd:{root}", split="test")) == 3
        assert len(open_dataset(f"RRSISD:{root}?split=test&texts=first")) == 2

    def test_unknown_format(self):
        with pytest.raises(UnknownNameError, match=r"unknown dataset 'cocoo': did you mean 'coco'"):
            open_dataset("cocoo:/data")

    def test_unknown_split(self, tmp_path):
        root = fake_datasets.refer(tmp_path)
        with pytest.raises(UnknownNameError, match=r"'tset': did you mean 'test'"):
            open_dataset(root, split="tset")

    def test_unknown_option(self, tmp_path):
        with pytest.raises(UnknownNameError, match=r"unknown option of dataset 'coco': 'text'"):
            open_dataset(fake_datasets.coco(tmp_path), text="all")

    def test_the_name_of_a_refer_dataset_is_no_option(self, tmp_path):
        with pytest.raises(UnknownNameError, match=r"'name'"):
            open_dataset(fake_datasets.refer(tmp_path), name="refcoco")

    @pytest.mark.parametrize(
        ("spec", "option"), [("texts", "rrsisd"), ("per", "coco"), ("masks", "folder"), ("truth", "voc")]
    )
    def test_unknown_value_of_an_option(self, spec, option, tmp_path):
        root = fake_datasets.build(option, tmp_path)
        with pytest.raises(InputError, match=f"{spec}: 'some'.*known"):
            open_dataset(f"{option}:{root}?{spec}=some")

    def test_no_such_path(self, tmp_path):
        with pytest.raises(InputError, match=r"no such file or folder"):
            open_dataset(f"coco:{tmp_path / 'nowhere'}")

    def test_path_with_a_question_mark(self, tmp_path):
        root = tmp_path / "what?split=no"
        assert len(open_dataset(f"coco:{fake_datasets.coco(root)}")) == 2

    def test_unrecognised_and_ambiguous_paths(self, tmp_path):
        with pytest.raises(UnknownNameError, match=r"say FORMAT:PATH.*known: coco, earthreason"):
            open_dataset(tmp_path)
        fake_datasets.refer(tmp_path, "refcoco")
        fake_datasets.refer(tmp_path, "refcoco+")
        with pytest.raises(UnknownNameError, match=r"one of several.*known: refcoco, refcoco\+"):
            open_dataset(tmp_path)

    def test_indices_and_laziness(self, tmp_path):
        root = fake_datasets.coco(tmp_path)
        dataset = open_dataset(root)
        assert dataset[-1].id == dataset[1].id
        with pytest.raises(IndexError):
            dataset[2]
        assert "2 samples" in repr(dataset)
        fake_datasets.label(root / "images" / "a.jpg", np.zeros((3, 3), np.uint8))
        with pytest.raises(InputError, match=r"is 3 x 3 .* its truth is for 6 x 8"):
            dataset[0].image()
