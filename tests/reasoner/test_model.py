"""The joint model: whose states count, what is learned of the answer, and what comes back from a folder."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from fiducial.errors import InputError
from fiducial.images import Image
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.vlm.loading import load
from fiducial.prompters.vlm.prompter import IGNORED
from fiducial.reasoner.model import as_batch, encoder_pixels, load_reasoner, to_image_size
from fiducial.reasoner.prompter import asker_of, on_device
from tiny.reasoner import tiny_network, tiny_reasoner
from tiny.vlm import BUILDERS

PICTURE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
ANSWERS = ["It is in the upper left.", "Nothing is there, none at all."]


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    folder = BUILDERS["llava"](tmp_path_factory.mktemp("model") / "llava")
    return load(VLMConfig(model=str(folder), device="cpu"))


def asked(loaded, answers):
    asker = asker_of(loaded, max_new_tokens=4)
    image = Image(PICTURE)
    pictures = [asker.show(image)[0].pixels] * len(answers)
    chats = [asker.chat("", words) for words in ("Where is the polyp?", "Where?")[: len(answers)]]
    inputs, labels = asker.answered(pictures, chats, answers)
    return on_device(inputs, torch.device("cpu"), loaded.model.dtype), labels


def pixels(network, count):
    return as_batch([encoder_pixels(Image(PICTURE), network.config.size)] * count, torch.device("cpu"))


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava", "internvl"])
def test_the_answers_tokens_alone_are_learned_as_transformers_would(tmp_path, family):
    loaded = load(VLMConfig(model=str(BUILDERS[family](tmp_path / family)), device="cpu"))
    network = tiny_network(loaded.model, kinds=["a", "b", "c"]).eval()
    inputs, labels = asked(loaded, ANSWERS)
    found = network(inputs, labels, pixels(network, 2))
    whole = loaded.model(**inputs, labels=labels, output_hidden_states=True)
    torch.testing.assert_close(found.answer_loss, whole.loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.states(inputs), whole.hidden_states[-1], rtol=1e-4, atol=1e-5)
    words = loaded.processor.tokenizer
    said = [words.decode(row[row != IGNORED]) for row in labels]
    assert said == ANSWERS
    assert found.logits.shape == (2, network.config.grid, network.config.grid)
    assert found.presence.shape == (2,)
    assert found.points.shape == (2, 2)
    assert found.points.abs().max() <= 1
    assert found.kinds.shape == (2, 3)
    torch.testing.assert_close(found.sentences.norm(dim=1), torch.ones(2))


def test_only_the_wanted_states_count(llava):
    inputs, labels = asked(llava, ANSWERS)
    counts = {
        which: tiny_network(llava.model, states=which).counted(inputs, labels)
        for which in ("question", "prompt", "answer")
    }
    there = inputs["attention_mask"].bool()
    assert torch.equal(counts["answer"], there)
    assert torch.equal(counts["prompt"], there & (labels == IGNORED))
    words = llava.processor.tokenizer.decode(inputs["input_ids"][0][counts["question"][0]])
    assert "Where is the polyp?" in words
    assert "ASSISTANT:" in words
    assert "<image>" not in words
    assert "upper left" not in words


def test_a_mask_does_not_depend_on_the_answer_unless_its_states_count(llava):
    for which, same in (("question", True), ("prompt", True), ("answer", False)):
        network = tiny_network(llava.model, states=which).eval()
        with torch.inference_mode():
            bare, told = (
                network(*asked(llava, [answer]), pixels(network, 1)).logits for answer in ("", "In the upper left.")
            )
        assert torch.allclose(bare, told, atol=1e-5) is same
        assert network(*asked(llava, [""]), pixels(network, 1)).answer_loss is None


def test_padding_changes_nothing(llava):
    network = tiny_network(llava.model).eval()
    with torch.inference_mode():
        both = network(*asked(llava, ANSWERS), pixels(network, 2))
        first = network(*asked(llava, ANSWERS[:1]), pixels(network, 1))
    torch.testing.assert_close(both.logits[:1], first.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both.points[:1], first.points, rtol=1e-4, atol=1e-5)


def test_a_checkpoint_holds_what_is_trained_and_loads_strictly(llava):
    llava.model.requires_grad_(False)
    layer = llava.model.get_output_embeddings()
    layer.requires_grad_(True)
    network = tiny_network(llava.model)
    state = network.state_dict()
    assert [name for name in state if name.startswith("language.")] == ["language.lm_head.weight"]
    before = {name: value.clone() for name, value in state.items()}
    layer.requires_grad_(False)
    assert network.state_dict().keys() == state.keys()  # what was to be trained when it was made
    with torch.no_grad():
        layer.weight.add_(1)
    network.load_state_dict(before)
    torch.testing.assert_close(layer.weight.detach(), before["language.lm_head.weight"])
    with pytest.raises(RuntimeError, match="missing"):
        network.load_state_dict({name: value for name, value in before.items() if "presence" not in name})
    with pytest.raises(RuntimeError, match="unknown"):
        network.load_state_dict({**before, "more": torch.zeros(1)})


def test_the_head_is_frozen_and_stays_in_evaluation_mode(llava):
    network = tiny_network(llava.model).train()
    assert not any(weight.requires_grad for weight in network.head.parameters())
    assert network.training
    assert not network.head.training


def test_what_was_saved_comes_back(tmp_path):
    folder = tiny_reasoner(tmp_path / "joint", kinds=["a", "b"])
    loaded = load(VLMConfig(model=str(folder / "language"), device="cpu"))
    network, notes = load_reasoner(folder, loaded.model)
    assert notes["step"] == 3
    assert network.config.kinds == ("a", "b")
    made = tiny_network(loaded.model, kinds=["a", "b"]).eval()
    with torch.inference_mode():
        ones = [one(*asked(loaded, ANSWERS), pixels(one, 2)) for one in (network, made)]
    # nearly: how numbers are added up may depend on where weights lie in memory
    torch.testing.assert_close(ones[0].logits, ones[1].logits)
    torch.testing.assert_close(ones[0].points, ones[1].points)


def test_folders_that_hold_no_joint_model_are_named(tmp_path):
    with pytest.raises(InputError, match=r"lacks reasoner\.json, reasoner\.safetensors, language"):
        load_reasoner(tmp_path, None)
    folder = tiny_reasoner(tmp_path / "joint")
    loaded = load(VLMConfig(model=str(folder / "language"), device="cpu"))
    settings = json.loads((folder / "reasoner.json").read_text())
    (folder / "reasoner.json").write_text(json.dumps({**settings, "head_hidden_size": 9}))
    with pytest.raises(InputError, match="holds no weights of this joint model"):
        load_reasoner(folder, loaded.model)
    (folder / "reasoner.json").write_text(json.dumps({**settings, "format": "other"}))
    with pytest.raises(InputError, match="is of format 'other'"):
        load_reasoner(folder, loaded.model)


def test_logits_come_to_the_images_size_as_a_whole():
    logits = torch.tensor([[-1.0, 1.0], [-1.0, 1.0]])
    found = to_image_size(logits, 3, 8)
    assert found.shape == (3, 8)
    assert (found[:, :4] < 0).all()
    assert (found[:, 4:] > 0).all()
    torch.testing.assert_close(found, functional.interpolate(logits[None, None], (3, 8), mode="bilinear")[0, 0])
