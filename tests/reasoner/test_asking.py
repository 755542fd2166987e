import json

import numpy as np
import pytest
from PIL import Image as Picture

import fake_datasets
from fiducial.cli import main
from fiducial.config import read_part
from fiducial.datasets import open_dataset
from fiducial.errors import InputError
from fiducial.files import read_json_lines
from fiducial.reasoner.asking import question_table, shared_folder
from fiducial.reasoner.positions import Position
from fiducial.reasoner.questions import ask, random_for
from fiducial.reasoner.subjects import absent_subjects, find_modality, find_subject, subject_of

ROWS = [
    {"image": "l.png", "mask": "l__right.png", "target": "right lung", "group": "a.jpg"},
    {"image": "l.png", "mask": "l__heart.png", "target": "heart", "group": "a.jpg"},
    {"image": "m.png", "mask": "", "target": "heart", "group": "b.jpg"},
]


def patch(shape, top, left, size=3, kind=np.uint8):
    array = np.zeros(shape, kind)
    array[top : top + size, left : left + size] = np.iinfo(kind).max
    return array


@pytest.fixture
def chests(tmp_path):
    """Make a folder with a grey 16-bit picture and a colour one, three rows, one of them without a target."""
    root = tmp_path / "chests"
    (root / "images").mkdir(parents=True)
    Picture.fromarray(np.arange(20 * 30, dtype=np.uint16).reshape(20, 30) * 90).save(root / "images" / "l.png")
    fake_datasets.picture(root / "images" / "m.png")
    fake_datasets.label(root / "masks" / "l__right.png", patch((20, 30), 2, 3))
    fake_datasets.label(root / "masks" / "l__heart.png", patch((20, 30), 14, 22, kind=np.uint16))
    fake_datasets.write(root / "manifest.json", ROWS)
    return root


def asked(source, target):
    return read_part("dataset", {"name": "asked", "source": source, "target": target}).build()


class TestDataset:
    def test_questions_and_answers_of_a_folder(self, chests):
        right, heart, nothing = open_dataset(f"asked:{chests}?modality=chest X-ray&phrasing=published")
        assert right.meta["answer"] == "The right lung is marked in position top left."
        assert right.meta["position"] == "top left"
        assert right.meta["centroid"] == pytest.approx([-0.7, 0.65])
        assert "chest X-ray medical image" in right.instruction
        assert (heart.labels, heart.meta["position"], heart.meta["group"]) == (("heart",), "bottom right", "a.jpg")
        assert heart.image().pixels.shape == (20, 30, 3)
        assert nothing.instances == ()
        assert nothing.meta["answer"] == "There is no heart in this chest X-ray medical image."
        assert nothing.meta["centroid"] is None

    def test_the_same_seed_asks_the_same_and_order_does_not_matter(self, chests):
        spec = f"asked:{chests}?modality=chest X-ray&questions=3&seed=4"
        dataset = open_dataset(spec)
        assert len(dataset) == len(set(dataset.ids)) == 9
        read = list(dataset)
        assert [one.id for one in read] == list(dataset.ids)
        assert [dataset[k].instruction for k in (8, 0, -1)] == [read[k].instruction for k in (8, 0, 8)]
        assert len({one.instruction for one in open_dataset(f"{spec}&questions=12".replace("questions=3&", ""))}) > 8
        with pytest.raises(IndexError):
            dataset[9]

    def test_pieces_apart(self, chests):
        two = patch((20, 30), 2, 3) | patch((20, 30), 14, 22)
        fake_datasets.label(chests / "masks" / "l__heart.png", two)
        spec = f"asked:{chests}?target=polyp&phrasing=published"
        assert open_dataset(spec)[1].meta["position"] == "center"
        assert sorted(open_dataset(f"{spec}&apart=true")[1].meta["position"].split(". ")) == [
            "bottom right",
            "top left",
        ]

    def test_cut_by_group_and_split(self, chests):
        spec = f"asked:{chests}?modality=chest X-ray&held_out=0.5&group=group"
        parts = [open_dataset(f"{spec}&part={part}") for part in ("held_out", "rest")]
        groups = [{one.meta["group"] for one in part} for part in parts]
        assert not groups[0] & groups[1]
        assert sum(map(len, parts)) == 3

    def test_what_the_masks_show_is_said_or_is_an_error(self, tmp_path):
        root = fake_datasets.folder(tmp_path)
        with pytest.raises(
            InputError, match=r"sample a: what does it show\? its dataset does not say: name its target"
        ):
            open_dataset(f"asked:{root}")[0]
        assert open_dataset(f"asked:{root}?target=lung&modality=lung CT")[0].meta["target"] == "lungs"
        with pytest.raises(InputError, match=r"sample a: 'lung' is asked for in several kinds of pictures \(lung CT"):
            open_dataset(f"asked:{root}?target=lung")[0]
        stone = open_dataset(f"asked:{root}?target=gallstone&modality=CT slice&phrasing=published")[0]
        assert stone.meta["answer"].startswith("The gallstone is marked in position ")
        assert "CT slice medical image" in stone.instruction

    def test_other_layouts_are_asked_about_too(self, tmp_path):
        root = fake_datasets.folder(tmp_path)
        assert asked(f"folder:{root}?instruction=it", "polyp")[0].meta["modality"] == "endoscopy"
        assert "shape" in asked("scenes:shapes?count=2&seed=3", "shape")[0].meta["answer"]
        boxes = asked(f"voc:{fake_datasets.voc(tmp_path / 'voc')}?truth=boxes", "boat")
        with pytest.raises(InputError, match="boxes but no masks"):
            boxes[0]

    def test_impossible_descriptions(self, chests):
        with pytest.raises(InputError, match="either as a path"):
            open_dataset("asked")
        with pytest.raises(InputError, match="published form names the picture's sides"):
            open_dataset(f"asked:{chests}?phrasing=published&sides=radiological")


class TestSubjects:
    def test_a_sample_says_what_it_is_about(self, chests, tmp_path):
        sample = open_dataset(f"asked:{chests}?modality=chest X-ray")[1]
        assert subject_of(sample) == find_subject("heart")
        moved = ask([sample.truth], subject_of(sample), random_for(0, "moved"))
        assert moved.positions == (Position("bottom right"),)

    def test_prs_med_says_it_by_its_folders(self, tmp_path):
        lung, _, skin = open_dataset(fake_datasets.prsmed(tmp_path))
        assert subject_of(lung) == find_subject("lungs", "lung CT")
        assert subject_of(skin).modality is find_modality("dermoscopy")

    def test_what_is_never_in_a_picture(self):
        for modality in ("brain MRI", "breast ultrasound", "endoscopy", "dermoscopy", "chest X-ray", "lung CT"):
            own = find_modality(modality)
            absent = absent_subjects(own)
            names = {subject.target.name for subject in absent}
            assert names
            assert not names & {target.full or target.name for target in own.targets}
            assert not names & {"lesion", "tumour", "polyp"}  # words that could mean what is there
            assert {subject.modality for subject in absent} == {own}
        assert "heart" not in {one.target.name for one in absent_subjects(find_modality("lung CT"))}


class TestCommand:
    def test_a_table_that_prs_meds_reader_reads(self, chests, tmp_path, capsys):
        fake_datasets.label(chests / "masks" / "m.png", np.zeros(fake_datasets.SIZE, np.uint8))
        fake_datasets.write(chests / "manifest.json", [ROWS[0], ROWS[1], ROWS[2] | {"mask": "m.png"}])
        out = tmp_path / "made" / "questions.csv"
        words = ["refer", str(chests), "--style", "prs-med", "--modality", "chest X-ray", "--questions", "2"]
        assert main([*words, "--out", str(out)]) == 0
        shown = capsys.readouterr().out
        assert "chest X-ray, heart, nothing there             2" in shown
        assert f'fiducial evaluate "prs-med:{out}?root={chests}"' in shown
        dataset = open_dataset(f"prs-med:{out}?root={chests}")
        assert [one.meta["position"] for one in dataset if "position" in one.meta] == ["top left"] * 2 + [
            "bottom right"
        ] * 2
        made = open_dataset(f"asked:{chests}?modality=chest X-ray&questions=2")
        for one, other in zip(dataset, made, strict=True):
            assert (one.instruction, one.meta["answer"]) == (other.instruction, other.meta["answer"])
            assert (one.instances, one.image_path) == (other.instances, other.image_path)
        first = out.read_text()
        assert main([*words, "--out", str(out)]) == 0
        assert out.read_text() == first

    def test_prs_meds_own_folders(self, tmp_path, capsys):
        root = fake_datasets.prsmed(tmp_path / "data") / "skin_rgbimage"
        names = "image_folder=train_images&mask_folder=train_masks&mask_ending=_Segmentation"
        out = tmp_path / "skin.csv"
        words = ["refer", f"folder:{root}?{names}", "--style", "prs-med", "--target", "skin lesion", "--out", str(out)]
        assert main(words) == 0
        (only,) = open_dataset(f"prs-med:{out}?root={root}")
        assert only.meta["answer"].endswith(".")
        assert only.image_path == root / "train_images" / "s1.jpg"

    def test_lines_that_a_folder_reads(self, chests, tmp_path, capsys):
        out = tmp_path / "questions.jsonl"
        words = ["refer", f"folder:{chests}", "--style", "prs-med", "--modality", "chest X-ray"]
        assert main([*words, "--sides", "radiological", "--out", str(out)]) == 0
        assert f'"folder:{chests}?table={out}"' in capsys.readouterr().out
        dataset = open_dataset(f"folder:{chests}?table={out}")
        assert "patient's right" in dataset[0].meta["answer"]
        assert dataset[0].meta["position"] == "top left"
        assert [bool(one.instances) for one in dataset] == [True, True, False]
        assert [row["instruction"] for _, row in read_json_lines(out)] == [one.instruction for one in dataset]
        assert json.loads(out.read_text().splitlines()[2])["mask"] == ""

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--families", "size"], "--families belongs to the style referring"),
            (["--per-image", "2"], "--per-image belongs to the style referring"),
            (["--phrasing", "spoken"], "known: held_out, published, training"),
            (["--phrasing", "published", "--sides", "radiological"], "published form names the picture's sides"),
            (["--questions", "0"], "at least 1"),
            (["--target", "a {thing}"], "a target needs a name in plain words"),
        ],
    )
    def test_impossible_requests_are_bad_input(self, words, message, chests, tmp_path, capsys):
        out = tmp_path / "x.jsonl"
        assert main(["refer", str(chests), "--style", "prs-med", "--out", str(out), *words]) == 2
        assert message in capsys.readouterr().err
        assert not out.exists()

    def test_options_of_this_style_need_it(self, tmp_path, capsys):
        assert main(["refer", "scenes:shapes?count=1", "--out", str(tmp_path / "x.jsonl"), "--target", "polyp"]) == 2
        assert "--target belongs to the style prs-med: give --style prs-med" in capsys.readouterr().err

    def test_a_table_needs_mask_pictures(self, chests, tmp_path, capsys):
        out = tmp_path / "x.csv"
        words = ["refer", str(chests), "--style", "prs-med", "--modality", "chest X-ray", "--out", str(out)]
        assert main(words) == 2
        assert "sample m: PRS-Med's table names a mask picture, and this sample has none" in capsys.readouterr().err
        one = open_dataset(f"asked:{chests}?modality=chest X-ray")[0]
        assert shared_folder([one]) == chests
        with pytest.raises(InputError, match="does not lie in"):
            question_table([one], tmp_path / "elsewhere")

    def test_masks_of_another_size_and_broken_pictures(self, chests, tmp_path, capsys):
        words = [
            "refer",
            str(chests),
            "--style",
            "prs-med",
            "--modality",
            "chest X-ray",
            "--out",
            str(tmp_path / "x.jsonl"),
        ]
        fake_datasets.label(chests / "masks" / "l__right.png", np.zeros((4, 4), np.uint8))
        assert main(words) == 2
        assert "l__right.png: the label picture is 4 x 4" in capsys.readouterr().err
        (chests / "images" / "l.png").write_bytes(b"no picture")
        assert main(words) == 2
        assert "l.png: not a picture in a known format" in capsys.readouterr().err
