"""A benchmark's questions as samples to learn from."""

import pytest

from fiducial.datasets import open_dataset
from fiducial.errors import InputError, UnknownNameError
from fiducial.misground.asking import pictures_of
from fiducial.misground.building import BuildConfig, build
from fiducial.misground.items import read_items
from fiducial.misground.replies import choice
from fiducial.misground.sources import PhantomConfig


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learned") / "bench"
    return build([PhantomConfig()], folder, BuildConfig(per_volume=60, size=64)).folder


@pytest.mark.parametrize("form", ["letter", "text"])
def test_questions_are_put_as_the_benchmark_asks_them(benchmark, form):
    items, dataset = read_items(benchmark), open_dataset(f"misground:{benchmark}?reply={form}")
    assert dataset.ids == tuple(item.id for item in items)
    for item, sample in zip(items, dataset, strict=True):
        assert sample.instruction == item.text
        assert sample.choice.options[sample.choice.right] == item.options[item.answer]
        assert choice(sample.choice.reply, item.options) == item.answer
        assert sample.choice.reply in ((item.letter,) if form == "letter" else item.options)
        assert (sample.meta["volume"], sample.meta["situation"]) == (item.provenance["volume"], item.situation)
        assert sample.meta["kind"] == item.factors.kind


def test_several_slices_are_one_sheet_and_one_is_a_file(benchmark):
    items = {item.id: item for item in read_items(benchmark)}
    counts = set()
    for sample in open_dataset(f"misground:{benchmark}"):
        (shown,) = pictures_of(benchmark, items[sample.id], "sheet")
        assert (sample.image().pixels == shown.pixels).all()
        assert sample.size == (shown.height, shown.width)
        counts.add((len(items[sample.id].images) > 1, sample.image_path is None))
    assert counts == {(True, True), (False, False)}


def test_some_kinds_alone(benchmark):
    found = open_dataset(f"misground:{benchmark}?kinds=order,between")
    assert {sample.meta["kind"] for sample in found} == {"order", "between"}
    with pytest.raises(UnknownNameError, match="kind of question"):
        open_dataset(f"misground:{benchmark}?kinds=ordr")
    with pytest.raises(UnknownNameError, match="split"):
        open_dataset(f"misground:{benchmark}", split="train")
    with pytest.raises(InputError, match="no benchmark"):
        open_dataset(f"misground:{benchmark.parent}")


def test_a_part_is_held_out_by_situation(benchmark):
    held, rest = (
        {one.meta["situation"] for one in open_dataset(f"misground:{benchmark}?held_out=0.3&group=situation&part={p}")}
        for p in ("held_out", "rest")
    )
    assert held
    assert rest
    assert not held & rest


def test_an_answer_in_words_is_no_place(benchmark):
    sample = open_dataset(f"misground:{benchmark}")[0]
    with pytest.raises(InputError, match="is words"):
        sample.prompts()
    with pytest.raises(InputError, match="answers in words but no masks"):
        sample.truth  # noqa: B018
