import numpy as np
import pytest

from fiducial.datasets import Sample
from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Frame, Mask, Prompts
from fiducial.images import Image
from fiducial.training.grounder import pictures as module
from fiducial.training.grounder.config import Source
from fiducial.training.grounder.pictures import IGNORED, read_store, things_of

SCENES = Source("scenes:shapes?count=10&seed=3&size=128", held_out=0.3, name="shapes")


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


def test_scenes_are_learned_with_everything_in_them(lexicon):
    store = read_store(SCENES, "unused", lexicon.names)
    assert store.name == "shapes"
    assert 0 < len(store.held_out) < 10
    assert len(store.pictures) == len(store.things) == 10 - len(store.held_out)
    assert min(map(len, store.things)) >= 1
    assert "tumour" not in store.names
    held = {one.sample.image().pixels.tobytes() for one in store.held_out}
    assert not held & {picture.tobytes() for picture in store.pictures}
    assert all(one.names == store.names for one in store.held_out)


def test_things_have_the_tight_box_of_their_mask():
    source = Source("x", label="ship")
    (thing,) = things_of(sample(masks=(SHIP, Mask.empty(20, 30))), source, ["ship"])
    assert thing.name == "ship"
    assert thing.box == SHIP.box


def test_labels_are_names_but_for_underscores_or_paired_with_one():
    source = Source("x", names=(("boat", "ship"), ("blur", IGNORED)))
    found = things_of(sample(masks=(SHIP,) * 3, labels=("tug_boat", "boat", "blur")), source, ["ship", "tug boat"])
    assert [thing.name for thing in found] == ["tug boat", "ship", IGNORED]
    with pytest.raises(UnknownNameError, match="'car'"):
        things_of(sample(masks=(SHIP,), labels=("car",)), source, ["ship"])


def test_datasets_that_know_boxes_only_will_do():
    boxes = Prompts.from_boxes(Frame.pixels(30, 20), [(1, 2, 3, 4.5)], labels=["ship"])
    (thing,) = things_of(sample(boxes=boxes, labels=("ship",)), Source("x"), ["ship"])
    assert thing.box == (1, 2, 3, 4.5)


def test_pictures_without_a_thing_are_trained_and_held_out_too(monkeypatch):
    samples = [
        sample(n, (SHIP,) if n % 2 else (), ("ship",) if n % 2 else (), group=f"patient {n // 4}") for n in range(40)
    ]
    monkeypatch.setattr(module, "open_dataset", lambda spec: samples)
    store = read_store(Source("folder:x", held_out=0.3, group="group"), "unused", ["ship"])
    assert store.name == "folder:x"
    assert sum(not things for things in store.things) == len(store.pictures) / 2
    assert sum(not one.things for one in store.held_out) == len(store.held_out) / 2
    trained = {int(picture[0, 0, 0]) // 4 for picture in store.pictures}
    assert not trained & {int(one.sample.id) // 4 for one in store.held_out}


def test_balanced_draws_show_rare_names_as_often(monkeypatch):
    samples = [sample(n, (SHIP,), ("car" if n == 7 else "ship",)) for n in range(20)]
    monkeypatch.setattr(module, "open_dataset", lambda spec: samples)
    store = read_store(Source("folder:x", held_out=0.0), "unused", ["ship", "car"])
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
        read_store(Source("folder:x", held_out=0.0), "unused", ["ship"])
