from dataclasses import replace

import numpy as np
import pytest
import torch

from fiducial.datasets import Sample
from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.images import Image
from fiducial.training import grounder_data as module
from fiducial.training.configs import GrounderConfig, GrounderNetworkConfig, GrounderSource, Phase
from fiducial.training.grounder_data import IGNORED, GrounderBatches, Lexicon, read_store, things_of

SCENES = GrounderSource("scenes:shapes?count=10&seed=3&size=128", held_out=0.3, name="shapes")
CONFIG = GrounderConfig(
    data=(SCENES,),
    phases=(Phase(64, 14), Phase(80, 6)),
    batch_size=4,
    network=GrounderNetworkConfig(widths=(12, 16, 24), blocks=(1, 1, 1)),
)


@pytest.fixture(scope="module")
def store(lexicon):
    return read_store(SCENES, "unused", lexicon.names)


def sample(number=0, masks=(), labels=(), boxes=None, group="a"):
    picture = Image(np.full((20, 30, 3), number, np.uint8))
    return Sample(
        f"{number}",
        None,
        picture,
        "it",
        masks if boxes is None else None,
        (20, 30),
        labels,
        boxes,
        meta={"group": group},
    )


SHIP = Mask.from_box((2, 3, 12, 9), 20, 30)


def test_scenes_are_learned_with_everything_in_them(store):
    assert store.source.title == "shapes"
    assert 0 < len(store.held_out) < 10
    assert len(store.pictures) == len(store.things) == 10 - len(store.held_out)
    assert min(map(len, store.things)) >= 1
    assert "tumour" not in store.names
    held = {one.sample.image().pixels.tobytes() for one in store.held_out}
    assert not held & {picture.tobytes() for picture in store.pictures}
    assert all(one.names == store.names for one in store.held_out)


def test_things_have_the_tight_box_of_their_mask():
    source = GrounderSource("x", label="ship")
    (thing,) = things_of(sample(masks=(SHIP, Mask.empty(20, 30))), source, ["ship"])
    assert thing.name == "ship"
    assert thing.box == SHIP.box


def test_labels_are_names_but_for_underscores_or_paired_with_one():
    source = GrounderSource("x", names=(("boat", "ship"), ("blur", IGNORED)))
    found = things_of(sample(masks=(SHIP,) * 3, labels=("tug_boat", "boat", "blur")), source, ["ship", "tug boat"])
    assert [thing.name for thing in found] == ["tug boat", "ship", IGNORED]
    with pytest.raises(UnknownNameError, match="'car'"):
        things_of(sample(masks=(SHIP,), labels=("car",)), source, ["ship"])


def test_datasets_that_know_boxes_only_will_do():
    boxes = Prompts.from_boxes(Frame.pixels(30, 20), [(1, 2, 3, 4.5)], labels=["ship"])
    (thing,) = things_of(sample(boxes=boxes, labels=("ship",)), GrounderSource("x"), ["ship"])
    assert thing.box == (1, 2, 3, 4.5)


def test_pictures_without_a_thing_are_trained_and_held_out_too(monkeypatch):
    samples = [
        sample(n, (SHIP,) if n % 2 else (), ("ship",) if n % 2 else (), group=f"patient {n // 4}") for n in range(40)
    ]
    monkeypatch.setattr(module, "open_dataset", lambda spec: samples)
    store = read_store(GrounderSource("folder:x", held_out=0.3, group="group"), "unused", ["ship"])
    assert store.source.title == "folder:x"
    assert sum(not things for things in store.things) == len(store.pictures) / 2
    assert sum(not one.things for one in store.held_out) == len(store.held_out) / 2
    trained = {int(picture[0, 0, 0]) // 4 for picture in store.pictures}
    assert not trained & {int(one.sample.id) // 4 for one in store.held_out}


def test_balanced_draws_show_rare_names_as_often(monkeypatch):
    samples = [sample(n, (SHIP,), ("car" if n == 7 else "ship",)) for n in range(20)]
    monkeypatch.setattr(module, "open_dataset", lambda spec: samples)
    store = read_store(GrounderSource("folder:x", held_out=0.0), "unused", ["ship", "car"])
    random = np.random.default_rng(0)
    drawn = [store.draw(True, random) for _ in range(300)]
    cars = [thing.name == "car" for _, thing in drawn]
    assert 0.4 < np.mean(cars) < 0.6
    assert all((picture == 7) == car for (picture, _), car in zip(drawn, cars, strict=True))
    plain = [store.draw(False, random) for _ in range(300)]
    assert 0.4 < np.mean([thing is None for _, thing in plain]) < 0.6
    assert len({picture for picture, _ in plain}) == 20


def test_a_source_without_things_is_refused(monkeypatch):
    monkeypatch.setattr(module, "open_dataset", lambda spec: [sample()])
    with pytest.raises(InputError, match="no thing with a name is left"):
        read_store(GrounderSource("folder:x", held_out=0.0), "unused", ["ship"])


def test_a_batch_depends_on_seed_and_step_alone(store, lexicon):
    one, other = (GrounderBatches(CONFIG, [store], lexicon) for _ in range(2))
    for part, same in zip(one[5], other[5], strict=True):
        torch.testing.assert_close(part, same, rtol=0, atol=0)
    assert one[5][0].dtype == torch.uint8
    assert not torch.equal(one[5][0], one[6][0])
    assert not torch.equal(one[5][0], GrounderBatches(replace(CONFIG, seed=1), [store], lexicon)[5][0])
    pixels, phrases, heat, boxes, weight = one[15]
    assert pixels.shape == (4, 80, 80, 3)
    assert phrases.shape == (4, 9, 8)
    assert heat.shape == (4, 9, 20, 20)
    assert boxes.shape == (4, 4, 20, 20)
    assert weight.shape == (4, 20, 20)
    assert len(list(one.parts(18))) == 2


def test_names_of_other_datasets_count_as_absent_now_and_then(store, lexicon):
    def tumours(part):
        batches = GrounderBatches(replace(CONFIG, negatives=part), [store], lexicon)
        return [float(batches.crop(np.random.default_rng(seed), 64)[2].heat[-1].max()) for seed in range(40)]

    assert set(tumours(0.0)) == {-1.0}
    assert set(tumours(1.0)) == {0.0}
    assert 0.3 < np.mean(np.array(tumours(0.5)) == 0) < 0.7


def test_what_the_crop_cuts_away_or_makes_small_is_ignored_and_not_background(store, lexicon):
    def heats(**change):
        batches = GrounderBatches(replace(CONFIG, **change), [store], lexicon)
        return [batches.crop(np.random.default_rng(seed), 64)[2].heat for seed in range(20)]

    every = heats(min_visible=0.0, min_size=0.0)
    for strict in (heats(min_visible=1.0, min_size=0.0), heats(min_visible=0.0, min_size=1000.0)):
        lost = [(one == 1) & (other != 1) for one, other in zip(every, strict, strict=True)]
        assert sum(one.any() for one in lost) >= 3
        assert all((heat[one] == -1).all() for heat, one in zip(strict, lost, strict=True))
    assert not any((heat == 1).any() for heat in strict)


# -- words ----------------------------------------------------------------------------------------


def test_the_mean_of_a_name_is_a_unit_vector_between_its_phrases(lexicon):
    means = lexicon.mean_vectors()
    assert means.shape == (9, 8)
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), 1, rtol=1e-6)
    for mean, vectors in zip(means, lexicon.vectors, strict=True):
        assert (vectors @ mean).min() == pytest.approx((vectors @ mean).max(), abs=1e-6)


def test_phrases_are_drawn_the_name_itself_more_often(lexicon):
    random = np.random.default_rng(0)
    drawn = [lexicon.drawn_vectors(random) for _ in range(400)]
    plain = np.mean([np.array_equal(one[2], lexicon.vectors[2][0]) for one in drawn])
    assert 0.57 < plain < 0.73  # 0.3 + 0.7 / 2
    assert all(any(np.array_equal(one[2], vector) for vector in lexicon.vectors[2]) for one in drawn)


def test_some_of_the_names_can_be_kept(lexicon):
    some = lexicon.only(["tumour", "square"])
    assert some.names == ("square", "tumour")
    assert some.domains == ("shapes", "brain")
    assert np.array_equal(some.vectors[1], lexicon.vectors[-1])
    assert some.digest != lexicon.digest == lexicon.only(lexicon.names).digest


def test_the_packages_words_are_unit_vectors():
    shipped = Lexicon.shipped()
    assert {"airplane", "tumour", "disc"} <= set(shipped.names)
    assert shipped.size == 64
    for vectors in shipped.vectors:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
