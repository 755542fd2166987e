"""A vision-language model from nothing: its vocabulary, its pictures and questions, its losses, and runs that go on."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from safetensors.torch import load_file

from fiducial.config import read
from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompt
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.language.candidates import COLOURS
from fiducial.language.dialects import dialect
from fiducial.misground.building import BuildConfig, build
from fiducial.misground.items import read_items
from fiducial.misground.sources import PhantomConfig
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.vlm import VLMPrompter
from fiducial.training import nano_vlm
from fiducial.training.nano_vlm import NanoVLMTask
from fiducial.training.nano_vlm_configs import NanoVLMConfig
from fiducial.training.nano_vlm_data import PackedBatches, Writer, ask, texts_of
from fiducial.training.nano_vlm_model import NanoVLM, build_model, build_processor, name_things
from fiducial.training.nano_vlm_pictures import PoolPicture, read_pools
from fiducial.training.nano_vlm_words import make_tokenizer, number_tokens, skeleton, written
from fiducial.training.trainer import Trainer

CANVAS = 64
DIALECTS = [dialect("think2seg"), dialect("sjtu")]
TEXTS = ["the leftmost red disc", "Chose the largest of 5 discs. It lies in the centre left of the picture."] * 3
NETWORK = {
    "canvas": CANVAS,
    "widths": [16, 16],
    "blocks": [0, 0, 0],
    "hidden_size": 32,
    "layers": 2,
    "intermediate_size": 48,
}


def config_of(**changes):
    plain = {
        "stage": "answers",
        "steps": 4,
        "batch_size": 2,
        "questions": 3,
        "visible": 10,
        "eval_every": 2,
        "eval_limit": 2,
        "save_every": 1,
        "num_workers": 0,
        "num_threads": 1,
        "network": NETWORK,
        "data": [{"dataset": "scenes:shapes?count=6&seed=1&size=96", "name": "shapes", "held_out": 0.4}],
    }
    return read(NanoVLMConfig, {**plain, **changes}, "test")


@pytest.fixture(scope="module")
def pools():
    return read_pools(config_of(), Path())


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(DIALECTS, CANVAS, TEXTS)


# -- words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["the leftmost red disc", "Blorb, 1000, 3.14: é\n### <think> 12, 7", "[[0.25, 0.5]]"])
def test_no_text_is_lost(tokenizer, text):
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


@pytest.mark.parametrize("one", DIALECTS, ids=lambda one: one.name)
def test_an_answer_has_one_token_for_each_coordinate_and_for_what_stands_between(tokenizer, one):
    numbers = number_tokens(tokenizer, one, CANVAS)
    spots = ((5.0, 6.0), (7.0, 8.0))
    prompt = Prompt(Frame.pixels(CANVAS, CANVAS), box=(3.0, 4.0, 60.0, 64.0), points=spots, point_labels=(1, 1))
    text = written(one, CANVAS, [prompt], "Chose the only red disc.")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    pixels = [token - start for token in ids if (start := numbers.start(token)) is not None]
    expected = [3, 4, 60, 64, 5, 6, 7, 8]
    assert pixels == expected[: len(pixels)]
    assert len(pixels) == (8 if one.name == "think2seg" else 4)
    assert all(piece in tokenizer.get_vocab() for piece in skeleton(one, CANVAS))
    assert tokenizer.decode(ids) == text


# -- pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("symmetry", range(8))
def test_boxes_and_spots_move_with_the_pixels(symmetry):
    pixels = np.zeros((CANVAS, CANVAS, 3), np.uint8)
    pixels[10:14, 20:50] = 255
    pixels[10, 20] = 128  # a spot of its own
    box, spots = np.array([[20.0, 10.0, 50.0, 14.0]]), np.tile(np.array([20.5, 10.5]), (1, 4, 1))
    picture = PoolPicture(pixels, float(CANVAS), ("bar",), box, np.array([120.0]), spots, (), (), False)
    turned, boxes, places = picture.turned(symmetry)
    rows, columns = np.nonzero(turned[..., 0])
    assert boxes[0].tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    x, y = places[0, 0]
    assert turned[int(y), int(x), 0] == 128


def test_pictures_are_kept_and_come_back_the_same(pools, tmp_path):
    config = config_of(pool_folder=str(tmp_path))
    first, second = read_pools(config, Path()), read_pools(config, Path())
    for one in (first, second):
        for mine, other in zip(one[0].training, pools[0].training, strict=True):
            assert np.array_equal(mine.pixels, other.pixels)
            assert np.array_equal(mine.boxes, other.boxes)
            assert (mine.names, mine.absent, mine.colours) == (other.names, other.absent, other.colours)
    assert len(list(tmp_path.glob("*.npz"))) == 1


def test_questions_name_what_they_mean(pools):
    picture = pools[0].training[0]
    _, boxes, spots = picture.turned(3)
    asked = ask(picture, boxes, spots, np.random.default_rng(0), 6)
    assert asked
    scale = CANVAS / picture.side
    for one in asked:
        found = [prompt.box for prompt in one.prompts]
        assert found == sorted(found, key=lambda box: (box[0] + box[2], box[1]))
        true = [tuple(np.rint(boxes[index] * scale)) for index in one.said.chosen]
        assert sorted(found) == sorted(true)


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words") / "bench"
    return build([PhantomConfig()], folder, BuildConfig(per_volume=60, size=64)).folder


def source_of(benchmark, **more):
    return [{"dataset": f"misground:{benchmark}?reply=text", "held_out": 0.3, "group": "situation", **more}]


def test_questions_with_answers_in_words_are_packed_whole(benchmark, tmp_path):
    config = config_of(data=source_of(benchmark), pool_folder=str(tmp_path))
    (pool,) = read_pools(config, Path())
    (kept,) = read_pools(config, Path())
    asked = [one for picture in (*pool.training, *pool.held_out) for one in picture.questions]
    items = {item.text: item for item in read_items(benchmark)}
    assert len(asked) == len(read_items(benchmark))
    assert all(choice.reply == items[text].options[items[text].answer] for text, choice in asked)
    assert [one.questions for one in kept.training] == [one.questions for one in pool.training]
    words = make_tokenizer(DIALECTS, CANVAS, texts_of([pool], 0), 1)
    batch = PackedBatches(config, [pool], Writer(config, words), [])[0]
    learned = "".join(words.decode(batch.target.tolist(), skip_special_tokens=False)).split("<end>")[:-1]
    assert len(learned) == sum(min(3, len(one.questions)) for one in shown(pool, batch))
    assert set(learned) <= {choice.reply for _, choice in asked}
    assert batch.visible.shape[1] == (CANVAS // 16) ** 2  # marks may lie anywhere
    assert not len(batch.pointed)
    assert batch.kind.eq(0).all()


def shown(pool, batch):
    """Find the pictures of a batch: those whose grey levels go with its own, whatever light and contrast."""
    found = []
    for pixels in batch.pixels.numpy().reshape(len(batch.pixels), -1).astype(float):
        alike = [np.corrcoef(pixels, one.pixels.ravel().astype(float))[0, 1] for one in pool.training]
        found.append(pool.training[int(np.argmax(alike))])
    return found


def test_answers_in_words_are_for_the_second_stage_and_whole_pictures(benchmark):
    with pytest.raises(InputError, match="stage answers"):
        read_pools(config_of(stage="dense", data=source_of(benchmark)), Path())
    with pytest.raises(InputError, match="whole pictures"):
        read_pools(config_of(data=source_of(benchmark, windows=2)), Path())


def test_it_learns_to_answer_in_words(benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(nano_vlm, "_MOST_NEW_TOKENS", 8)
    config = config_of(steps=2, eval_limit=1, data=source_of(benchmark))
    Trainer(NanoVLMTask(config, Path()), tmp_path / "run", device="cpu", quiet=True).fit()
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert any("bench words" in line for line in log)
    told = {"dialect": "sjtu", "template": "nano-sjtu", "device": "cpu", "max_new_tokens": 8}
    model = VLMPrompter.from_pretrained(tmp_path / "run" / "model", **told)
    (reply,) = model.converse([[Image(np.zeros((64, 64, 3), np.uint8))]], ["Is the liver above the spleen?"])
    assert isinstance(reply.text, str)


def test_a_source_of_boxes_alone_is_refused(tmp_path):
    PIL.Image.fromarray(np.zeros((80, 80, 3), np.uint8)).save(tmp_path / "a.png")
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0}
    images = [{"id": 1, "file_name": "a.png", "width": 80, "height": 80}]
    whole = {"images": images, "annotations": [box], "categories": [{"id": 1, "name": "ship"}]}
    (tmp_path / "a.json").write_text(json.dumps(whole))
    config = config_of(data=[{"dataset": f"coco:{tmp_path}/a.json?per=image"}])
    with pytest.raises(InputError):
        read_pools(config, Path())


# -- losses ---------------------------------------------------------------------------------------


def test_questions_behind_one_picture_are_answered_as_if_alone(pools, tokenizer):
    config = config_of(frozen=0.0)  # every cell is shown
    batches = PackedBatches(config, pools, Writer(config, tokenizer), sorted(pools[0].names))
    batch = batches[0]
    torch.manual_seed(0)
    model = build_model(config.network, tokenizer, batches._writer.numbers)
    network = NanoVLM(model, batches._writer.numbers, 8).eval()
    with torch.no_grad():
        cells = network.cells(batch.pixels)
        packed = network.answer_logits(cells, batch)[0]
        for row in range(len(batch.ids)):
            for question in set(batch.blocks[row].tolist()) - {-1}:
                here = (batch.blocks[row] == question).nonzero()[:, 0]
                words = model.get_input_embeddings()(batch.ids[row, here][None])
                whole = torch.cat([cells[batch.picture[row]][None], words], 1)
                alone = model.lm_head(model.model.language_model(inputs_embeds=whole).last_hidden_state)[0]
                mine = [k for k, (r, t) in enumerate(batch.at.tolist()) if r == row and t in here.tolist()]
                places = [cells.shape[1] + here.tolist().index(int(batch.at[k, 1])) for k in mine]
                torch.testing.assert_close(packed[mine], alone[places], atol=1e-4, rtol=1e-4)


def test_the_loss_covers_answers_and_their_ends_alone(pools, tokenizer):
    config = config_of()
    writer = Writer(config, tokenizer)
    batch = PackedBatches(config, pools, writer, sorted(pools[0].names))[0]
    questions = {(r, b) for r, row in enumerate(batch.blocks.tolist()) for b in row if b >= 0}
    assert int((batch.target == tokenizer.eos_token_id).sum()) == len(questions)
    coordinates = batch.target[batch.kind > 0]
    assert torch.equal(batch.first[batch.kind > 0] > 0, torch.ones_like(coordinates, dtype=torch.bool))
    reply = tokenizer.convert_tokens_to_ids("<reply>")
    starts = (batch.ids == reply).sum()
    assert int(starts) == len(questions)


def test_questions_of_one_picture_share_rows_without_a_longer_one(pools, tokenizer):
    config = config_of(batch_size=4, questions=8)
    batch = PackedBatches(config, pools, Writer(config, tokenizer), sorted(pools[0].names))[0]
    lengths = (batch.blocks >= 0).sum(1)
    ends = [int((row == question).sum()) for row in batch.blocks for question in set(row.tolist()) - {-1}]
    assert batch.ids.shape[1] == max(ends)  # a row is as long as the longest question
    for picture in set(batch.picture.tolist()):
        questions = [q for row in batch.blocks[batch.picture == picture].tolist() for q in set(row) - {-1}]
        assert len(questions) == len(set(questions)) >= 1
        first, *others = lengths[batch.picture == picture].tolist()
        assert all(first + other > batch.ids.shape[1] or len(others) == 0 for other in others[:1])


def test_some_kinds_are_asked_alone_at_first(pools, tokenizer):
    config = config_of(first=["order"], first_part=0.5)
    batches = PackedBatches(config, pools, Writer(config, tokenizer), sorted(pools[0].names))

    def kinds(step):
        return {one.said.family for k in range(20) for one in batches._row(step, np.random.default_rng(k))[2]}

    early, late = kinds(1), kinds(2)
    assert early == {"order"} < late
    with pytest.raises(InputError, match="first: ordre: kinds of requests are class, count"):
        config_of(first=["ordre"])


def test_words_begin_near_the_cells_that_they_name(tokenizer):
    config = config_of()
    numbers = [number_tokens(tokenizer, one, CANVAS) for one in DIALECTS]
    network = NanoVLM(build_model(config.network, tokenizer, numbers), numbers, 2)
    table = network.model.get_input_embeddings().weight
    before = table.detach().clone()
    name_things(network, tokenizer, ["disc", "pink gnu"])
    moved = {tokenizer.decode([k]) for k in (table != before).any(1).nonzero()[:, 0].tolist()}
    assert moved == {" disc", " discs", " red"}  # the others are no words of this vocabulary
    red = (table - before)[tokenizer.convert_tokens_to_ids(" red")]
    known = network.dense.weight[1:].detach()[2:]
    assert int((known @ red).argmax()) == COLOURS.index("red")


def test_matrices_are_damped_and_words_are_not(pools, tmp_path):
    task = NanoVLMTask(config_of(weight_decay=0.7), Path())
    network = torch.nn.ModuleDict({"embed_tokens": torch.nn.Embedding(20, 20), "up": torch.nn.Linear(20, 20)})
    optimiser = task.optimiser(network)
    decays = {id(one): group["weight_decay"] for group in optimiser.param_groups for one in group["params"]}
    assert decays[id(network["up"].weight)] == 0.7
    assert decays[id(network["embed_tokens"].weight)] == decays[id(network["up"].bias)] == 0.0


def test_a_batch_goes_to_a_device_whole(pools, tokenizer):
    config = config_of()
    batch = PackedBatches(config, pools, Writer(config, tokenizer), sorted(pools[0].names))[1].to("meta")
    values = [getattr(batch, field.name) for field in fields(batch)]
    tensors = [one for one in [*values, *batch.dense] if isinstance(one, torch.Tensor)]
    assert len(tensors) == 15
    assert {one.device.type for one in tensors} == {"meta"}
    assert batch.step == 1


def test_pictures_that_show_nothing_have_a_loss(pools, tokenizer):
    config = config_of(stage="dense")
    batch = PackedBatches(config, pools, Writer(config, tokenizer), sorted(pools[0].names))[0]
    numbers = [number_tokens(tokenizer, one, CANVAS) for one in DIALECTS]
    network = NanoVLM(build_model(config.network, tokenizer, numbers), numbers, 8)
    batch = replace(batch, dense=(torch.zeros_like(batch.dense[0]), *batch.dense[1:]))
    losses = network.dense_losses(network.cells(batch.pixels), batch)
    assert losses["all"] == 3 * losses["holds"] > 0
    losses["all"].backward()


def test_a_thing_at_the_far_edge_stays_in_the_picture(pools):
    picture = next(one for one in pools[0].training if len(one.names) > 1)
    edge = np.array([picture.side * (1 - 1e-3), 0.0, picture.side, picture.side])
    boxes = np.stack([edge] * len(picture.names))
    for asked in ask(picture, boxes, picture.spots, np.random.default_rng(0), 4):
        for prompt in asked.prompts:
            assert prompt.box == (CANVAS - 1, 0, CANVAS, CANVAS)


# -- runs -----------------------------------------------------------------------------------------


def fit(config, out, **options):
    return Trainer(NanoVLMTask(config, Path()), out, device="cpu", quiet=True, **options).fit()


def test_it_learns_to_see_then_to_answer_and_is_asked_like_any_other(tmp_path):
    seen = fit(config_of(stage="dense"), tmp_path / "dense")
    model = fit(config_of(initial=str(seen), frozen=0.5), tmp_path / "answers")
    prompter = VLMPrompter.from_config(
        VLMConfig(model=str(model), dialect="sjtu", template="nano-sjtu", canvas=(CANVAS, CANVAS), max_new_tokens=20)
    )
    (answer,) = prompter.ask([Image(np.zeros((50, 90, 3), np.uint8))], ["the red disc"])
    assert answer.outcome in set(Outcome)
    assert build_processor(prompter.processor.tokenizer, prompter.model).tokenizer.padding_side == "left"
    first, second = load_file(seen / "model.safetensors"), load_file(model / "model.safetensors")
    assert any(not torch.equal(first[name], second[name]) for name in first if "language_model" in name)


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    config = config_of(stage="dense")
    whole = load_file(fit(config, tmp_path / "whole") / "model.safetensors")
    steps = iter([True, False])

    class StoppedError(Exception):
        pass

    before = NanoVLMTask.loss

    def loss(self, network, batch):
        if batch.step == 2 and next(steps):
            raise StoppedError
        return before(self, network, batch)

    monkeypatch.setattr(NanoVLMTask, "loss", loss)
    with pytest.raises(StoppedError):
        fit(config, tmp_path / "stopped")
    again = load_file(fit(config, tmp_path / "stopped") / "model.safetensors")
    for name, weight in whole.items():
        torch.testing.assert_close(again[name], weight)


def test_a_model_of_another_make_up_is_refused(tmp_path):
    model = fit(config_of(stage="dense", steps=1, eval_every=1), tmp_path / "dense")
    other = replace(config_of(initial=str(model)).network, layers=1)
    with pytest.raises(InputError, match="another make-up"):
        fit(replace(config_of(initial=str(model)), network=other), tmp_path / "answers")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": {**NETWORK, "widths": [12, 16]}}, "multiples of 8"),
        ({"network": {**NETWORK, "heads": 3}}, "heads: an even number"),
        ({"network": {**NETWORK, "hidden_size": 40, "heads": 6}}, "heads: an even number"),
        ({"dialects": [["qwen2.5-vl", 1.0]]}, "only sjtu and think2seg have a template"),
        ({"dialects": [["sjtu", 2.0], ["think2seg", -1.0]]}, "parts of at least 0"),
        ({"dialects": []}, "parts of at least 0"),
    ],
)
def test_what_cannot_be_built_is_bad_input_before_anything_is_drawn(change, message):
    with pytest.raises(InputError, match=message):
        config_of(**change)


def test_a_model_to_begin_with_that_is_not_there_claims_no_folder(tmp_path):
    with pytest.raises(InputError, match="is no folder of a model"):
        fit(config_of(initial=str(tmp_path / "nowhere")), tmp_path / "run")
    assert not (tmp_path / "run").exists()
