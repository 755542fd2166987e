"""The second look: what the joint model found reaches its words, in training and in generation."""

import numpy as np
import pytest
import torch

from fiducial.config import build, read_part
from fiducial.errors import InputError
from fiducial.geometry import Frame, Mask
from fiducial.images import Image
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.vlm.loading import load
from fiducial.reasoner.model import as_batch, encoder_pixels
from fiducial.reasoner.prompter import asker_of, on_device
from fiducial.reasoner.sight import coordinates_of
from tiny.reasoner import tiny_network, tiny_reasoner
from tiny.vlm import BUILDERS

PICTURES = [Image(np.random.default_rng(seed).integers(0, 255, (40, 60, 3), np.uint8)) for seed in (0, 1)]


def asked(loaded, network):
    asker = asker_of(loaded, max_new_tokens=4)
    pictures = [asker.show(image)[0].pixels for image in PICTURES]
    inputs, labels = asker.answered(pictures, [asker.chat("", "Where is it?")] * 2, ["In the middle.", "Nowhere."])
    pixels = [encoder_pixels(image, network.config.size) for image in PICTURES]
    cpu = torch.device("cpu")
    return on_device(inputs, cpu, loaded.model.dtype), labels, as_batch(pixels, cpu)


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    return load(VLMConfig(model=str(BUILDERS["llava"](tmp_path_factory.mktemp("model") / "llava")), device="cpu"))


def test_coordinates_are_those_of_the_mask():
    random = np.random.default_rng(3)
    covered = torch.from_numpy((random.random((4, 16, 16)) > 0.97).astype(np.float32))
    covered[3] = 0
    found = coordinates_of(covered).numpy()
    centred, pixels = Frame.centred(), Frame.pixels(16, 16)
    for told, dense in zip(found, covered.numpy() > 0.5, strict=True):
        mask = Mask.from_dense(dense)
        if mask.box is None:
            assert not told.any()
            continue
        left, top, right, bottom = mask.box
        corners = pixels.points_to([(left, bottom), (right, top)], centred).ravel()
        middle = np.add(np.argwhere(dense).mean(0)[::-1], 0.5)
        expected = [1.0, (mask.area / 256) ** 0.5, *pixels.points_to([middle], centred)[0], *corners]
        np.testing.assert_allclose(told, expected, atol=1e-6)


def test_at_first_it_changes_nothing_and_then_the_words_alone(llava):
    plain, seeing = tiny_network(llava.model).eval(), tiny_network(llava.model, words_see_mask=True).eval()
    # All that both have begins alike.
    seeing.load_state_dict({**seeing.state_dict(), **plain.state_dict()})
    inputs, labels, pixels = asked(llava, plain)
    one, other = plain(inputs, labels, pixels), seeing(inputs, labels, pixels)
    torch.testing.assert_close(other.answer_loss, one.answer_loss)
    torch.testing.assert_close(other.sentences, one.sentences)
    assert one.coordinates is None
    assert other.coordinates.shape == (2, 8)
    with torch.no_grad():
        seeing.sight.joined.weight.normal_(0, 3)
    told = seeing(inputs, labels, pixels)
    torch.testing.assert_close(told.logits, one.logits)
    torch.testing.assert_close(told.presence, one.presence)
    assert not torch.allclose(told.answer_loss, one.answer_loss, atol=1e-3)
    assert not torch.allclose(told.sentences, one.sentences, atol=1e-3)
    # The language model itself is as it was.
    torch.testing.assert_close(seeing.states(inputs), plain.states(inputs))


def test_words_teach_the_sight_and_leave_the_mask_alone(llava):
    network = tiny_network(llava.model, words_see_mask=True)
    inputs, labels, pixels = asked(llava, network)
    network(inputs, labels, pixels).answer_loss.backward()
    assert network.sight.joined.weight.grad.abs().max() > 0
    assert all(one.grad is None for half in (network.encoder, network.decoder) for one in half.parameters())


def test_in_training_the_words_are_told_the_true_mask(llava):
    network = tiny_network(llava.model, words_see_mask=True).eval()
    inputs, labels, pixels = asked(llava, network)
    with torch.no_grad():
        network.sight.joined.weight.normal_(0, 3)
    truth = torch.zeros(2, network.config.grid, network.config.grid)
    truth[:, :3, :3] = 1.0
    found, told = network(inputs, labels, pixels), network(inputs, labels, pixels, truth)
    torch.testing.assert_close(told.logits, found.logits)
    assert not torch.allclose(told.answer_loss, found.answer_loss, atol=1e-3)
    mirrored = network(inputs, labels, pixels, truth.flip(2))
    assert not torch.allclose(told.answer_loss, mirrored.answer_loss, atol=1e-3)
    # Without looking for masks the words are the same, and no gradient goes into the layers below.
    words, points = network.said(inputs, labels, truth)
    torch.testing.assert_close(words, told.answer_loss)
    torch.testing.assert_close(points, told.points)
    network.zero_grad()
    words.backward()
    assert network.sight.joined.weight.grad.abs().max() > 0
    assert all(one.grad is None for one in network.base.model.language_model.layers.parameters())


def test_generation_reads_what_training_read(tmp_path):
    folder = tiny_reasoner(tmp_path / "model", words_see_mask=True)
    told = {"name": "cg-reasoner", "model": str(folder), "device": "cpu", "max_new_tokens": 3, "presence": 0.0}
    prompter = build(read_part("prompter", told))
    network, asker = prompter.network, prompter.asker
    with torch.no_grad():
        network.sight.joined.weight.normal_(0, 1)
    questions = ["Where is the polyp?", "Is there any tumour in this picture, and where?"]  # padded at the left
    raw = [answer.raw for answer in prompter.ask(PICTURES, questions)]
    alone = [prompter.ask([one], [words])[0].raw for one, words in zip(PICTURES, questions, strict=True)]
    assert raw == alone
    # The first token of each is the likeliest behind the states of a second look.
    pictures = [asker.show(one)[0].pixels for one in PICTURES]
    inputs, labels = asker.answered(pictures, [asker.chat("", words) for words in questions], ["", ""])
    pixels = as_batch([encoder_pixels(one, network.config.size) for one in PICTURES], torch.device("cpu"))
    with torch.inference_mode():
        found = network(inputs, labels, pixels)
        with network.telling(found.coordinates):
            states = network.states(inputs)
        last = inputs["attention_mask"].sum(1) - 1
        first = network.base.get_output_embeddings()(states[torch.arange(2), last]).argmax(-1).tolist()
    for text, token in zip(raw, first, strict=True):
        assert text.strip().startswith(asker.processor.tokenizer.decode([token], skip_special_tokens=True).strip())


def test_states_of_the_answer_cannot_prompt_a_mask_that_the_answer_is_about(llava):
    with pytest.raises(InputError, match="the mask is drawn before the words"):
        tiny_network(llava.model, words_see_mask=True, states="answer")
