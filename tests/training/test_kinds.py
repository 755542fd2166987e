"""Training the judge of kinds: what is read, how it is varied, what thresholds and the report say."""

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from fiducial.errors import InputError
from fiducial.images import Image
from fiducial.prompters.kinds.judge import Kind, KindJudge
from fiducial.training.kinds import REPORT, auroc, report, thresholds
from fiducial.training.kinds_configs import KindsConfig, KindSource
from fiducial.training.kinds_data import KEPT, KindBatches, Store, read_store, shuffled, varied, without_skull
from fiducial.training.recipes import load_config

STYLES = (("made:patterns", ""), ("made:cells", "cells"))
CONFIG = KindsConfig(
    data=tuple(KindSource(made, kind, count=24, validation=0.25) for made, kind in STYLES),
    widths=(8, 16),
    steps=30,
    batch_size=12,
    learning_rate=4e-3,
    ema_decay=0.8,
    eval_every=15,
    save_every=15,
    num_threads=1,
    num_workers=0,
)


def head(shift=0, size=96):
    """A bright ring about a grey disc on black; red, green and blue differ."""
    rows, columns = np.mgrid[:size, :size]
    away = np.hypot(rows - size / 2, columns - size / 2) / size
    grey = np.where(away < 0.36, 90, np.where(away < 0.42, 220, 0))
    return np.stack([grey, grey * (away < 0.4) + shift, grey // 2], axis=2).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("heads")
    (root / "images").mkdir()
    rows = []
    for number in range(12):
        PIL.Image.fromarray(head(number)).save(root / "images" / f"{number}.png")
        rows.append({"image": f"{number}.png", "patient": f"p{number // 3}"})
    (root / "manifest.json").write_text(json.dumps(rows))
    return root


def test_patients_are_not_cut_through(folder):
    source = KindSource("DATA/images", "brain", group="patient", test=0.4, validation=0.4)
    store = read_store(source, folder, 0)
    parts = store.train, store.validation, store.test
    assert sum(map(len, parts)) == 12
    assert all(len(part) % 3 == 0 for part in parts)
    assert len(store.test) > 0


def test_a_manifest_without_the_group_is_told(folder):
    with pytest.raises(InputError, match=r"says no scanner of 0\.png"):
        read_store(KindSource("DATA/images", "brain", group="scanner"), folder, 0)


def test_slices_of_a_volume_are_pictures_of_its_planes(tmp_path):
    from fiducial.volumes import make_phantom

    make_phantom(modality="MR", spacing=(8, 8, 12)).volume.write(tmp_path / "scan.nii.gz")
    source = KindSource("DATA/scan.nii.gz", "mri", planes=("axial", "coronal"), every=3, test=0.5, validation=0.0)
    store = read_store(source, tmp_path, 0)
    assert store.train
    assert store.test
    assert not store.validation
    assert all(one.ndim == 3 and max(one.shape) <= KEPT for one in store.train)


def test_what_is_made_has_to_be_known():
    with pytest.raises(InputError, match="made are shapes, aerial, phantom, screens"):
        read_store(KindSource("made:clouds"), Path(), 0)


def test_a_channel_alone_is_of_its_own_kind_and_grey():
    source = KindSource("x", "brain", channels=("mri", "brain", "mri"), skull=True)
    kinds = []
    for seed in range(40):
        values, kind = varied(head(3), source, np.random.default_rng(seed))
        assert values.shape == (128, 128, 3)
        assert values.min() >= 0
        assert values.max() <= 255
        kinds.append((kind, bool(np.ptp(values, axis=2).max() == 0)))
    assert ("mri", True) in kinds
    assert ("brain", True) in kinds
    assert ("brain", False) in kinds
    assert ("mri", False) not in kinds


def test_where_channels_are_alike_one_alone_is_what_the_middle_one_is():
    source = KindSource("x", "brain", channels=("mri", "brain", "mri"))
    grey = np.repeat(head()[..., :1], 3, axis=2)
    assert {varied(grey, source, np.random.default_rng(seed))[1] for seed in range(40)} == {"brain"}


def test_a_skull_is_taken_off():
    bare = without_skull(head(), np.random.default_rng(4))
    assert bare[..., 0].max() < 220 or (bare[..., 0] == 220).sum() < (head()[..., 0] == 220).sum() / 2
    assert (bare[40:56, 40:56] == head()[40:56, 40:56]).all()
    black = np.zeros((40, 40, 3), np.uint8)
    assert (without_skull(black, np.random.default_rng(0)) == black).all()


def test_tiles_are_put_together_anew():
    values = np.random.default_rng(0).random((128, 128, 3))
    again = shuffled(values, np.random.default_rng(1))
    assert not np.array_equal(again, values)
    np.testing.assert_array_equal(np.sort(again.ravel()), np.sort(values.ravel()))


@pytest.fixture(scope="module")
def stores():
    return [read_store(one, Path(), 0) for one in CONFIG.data]


def test_batches_depend_on_seed_and_step_alone(stores):
    batches = KindBatches(CONFIG, stores)
    pictures, truths = batches[7]
    again, _ = KindBatches(CONFIG, stores)[7]
    assert pictures.shape == (12, 3, 128, 128)
    assert truths.shape == (12, 1)
    assert (pictures == again).all()
    assert not (batches[8][0] == pictures).all()
    assert 0 < truths.sum() < 12


def test_a_threshold_keeps_the_part_that_is_asked_for():
    logits = np.arange(100, dtype=np.float32)[:, None]
    truth = ["a", "b"] * 50
    assert thresholds(["a"], logits, truth, 0.9, 0.99) == (Kind("a", 10.0),)
    assert thresholds(["c"], logits, truth, 0.9, 0.99) == (Kind("c", 0.0),)


def test_a_kind_that_stands_apart_has_a_threshold_between_its_own_and_the_others():
    logits = np.concatenate([np.arange(100), np.arange(1000, 1010)]).astype(np.float32)[:, None]
    assert thresholds(["a"], logits, ["b"] * 100 + ["a"] * 10, 0.9, 0.95) == (Kind("a", (1001 + 95) / 2),)


def test_a_report_names_who_is_kept_and_who_is_let_through():
    logits = np.float32([[3], [1], [-1], [2], [-2], [-3]])
    titles = ["air", "air", "trees", "photos", "photos", "cells"]
    found = report([Kind("aerial", 0.0)], logits, ["aerial"] * 3 + ["photo"] * 2 + [""], titles)["aerial"]
    assert (found["kept"], found["refused"], found["own"], found["strangers"]) == (0.6667, 0.6667, 3, 3)
    assert found["own_by_source"] == {"air": [1.0, 2], "trees": [0.0, 1]}
    assert found["let_through"] == {"photos": [0.5, 2]}
    assert found["auroc"] == pytest.approx(7 / 9, abs=1e-4)
    assert auroc(np.array([1.0]), np.array([1.0])) == 0.5


def test_a_run_leaves_weights_that_judge_and_a_report(tmp_path, monkeypatch):
    random = np.random.default_rng(0)

    def pictures(red, count):
        noise = random.integers(0, 60, (count, 40, 40, 3))
        return list((noise + np.array([180 * red, 60, 180 * (1 - red)])).astype(np.uint8))

    made = [Store(one, *(pictures(red, count) for count in (24, 8, 8))) for red, one in enumerate(CONFIG.data)]
    monkeypatch.setattr("fiducial.training.kinds.read_store", lambda source, *_: made[CONFIG.data.index(source)])
    path = CONFIG.train("unused", tmp_path, device="cpu", quiet=True)
    scores = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [one["step"] for one in scores if "auroc" in one] == [15, 30]
    found = json.loads((tmp_path / REPORT).read_text())
    assert found["cells"]["auroc"] > 0.95
    judge = KindJudge.from_pretrained(path, "cpu")
    assert [one.name for one in judge.kinds] == ["cells"]
    blue, red = judge.judge([Image(one.test[0]) for one in made])
    assert blue.logits[0] < red.logits[0]
    done = (tmp_path / REPORT).read_text()
    assert CONFIG.train("unused", tmp_path, device="cpu", quiet=True) == path  # nothing is left to do
    assert (tmp_path / REPORT).read_text() == done


def test_the_shipped_configuration_names_the_kinds_of_the_vocabulary():
    from fiducial.prompters.kinds.words import KINDS

    assert set(load_config(KindsConfig, "nano-kinds").kinds) == set(KINDS)
