"""A prompter asked several times: as an option of a recipe, with models that draw."""

import json
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

import fiducial
from fiducial.cli import main
from fiducial.config import read_part
from fiducial.contracts import Prompter, SamplingPrompter
from fiducial.errors import InputError
from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.language.answers import Answer, Outcome
from fiducial.prompters.classic import ClassicPrompter
from fiducial.prompters.configs import SelfConsistencyConfig
from fiducial.prompters.endpoint import EndpointPrompter
from fiducial.prompters.model_configs import EndpointConfig
from fiducial.prompters.self_consistency import SelfConsistentPrompter
from fiducial.prompters.vlm import VLMPrompter
from fiducial.recipes import resolve
from tiny.vlm import make_say, tiny_llava

pytestmark = pytest.mark.usefixtures("one_thread")

IMAGE = Image(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8), name="noise.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_llava(tmp_path_factory.mktemp("llava"))


class Drawing:
    """Finds one box, wider with each draw."""

    canvas = (40, 30)

    def __init__(self, number=0):
        self.number = number

    def sampled(self, number):
        return Drawing(number)

    def ask(self, images, instructions):
        width = 10 + self.number
        return [
            Answer(Outcome.FOUND, Prompts.from_boxes(image.frame, [(0, 0, width, 10)]), text=words)
            for image, words in zip(images, instructions, strict=True)
        ]


def test_answers_of_each_question_are_fused():
    prompter = SelfConsistentPrompter(Drawing(), SelfConsistencyConfig(samples=5))
    assert isinstance(prompter, Prompter)
    assert prompter.canvas == (40, 30)
    assert prompter.template is None
    first, second = prompter.ask([IMAGE, IMAGE], ["a", "b"])
    assert (first.text, second.text) == ("a", "b")
    assert first.prompts[0].box == (0, 0, 12, 10)
    assert first.prompts[0].score == pytest.approx((10 / 12 + 11 / 12 + 1 + 12 / 13 + 12 / 14) / 5)
    assert SelfConsistencyConfig(samples=1).wrap(Drawing()).ask([IMAGE], ["a"])[0].prompts[0].score is None


def test_a_model_draws_anew_each_time_and_the_same_in_the_next_run(folder):
    told = {"device": "cpu", "max_new_tokens": 6, "do_sample": True, "temperature": 2.0, "stop": "never"}
    prompter = VLMPrompter.from_pretrained(folder, **told)
    assert isinstance(prompter, SamplingPrompter)
    (answer,) = SelfConsistentPrompter(prompter, SelfConsistencyConfig(samples=3)).ask([IMAGE], ["dog"])
    replies = [prompter.sampled(number).ask([IMAGE], ["dog"])[0].raw for number in range(3)]
    assert answer.raw == "\n\n".join(f"[{number}] {raw}" for number, raw in enumerate(replies, start=1))
    assert len({*replies}) == 3
    assert replies[0] == prompter.ask([IMAGE], ["dog"])[0].raw
    assert prompter.sampled(2).model is prompter.model


def test_what_draws_nothing_is_asked_once(folder):
    with pytest.raises(InputError, match=r"nothing is drawn.*set prompter\.do_sample=true"):
        VLMPrompter.from_pretrained(folder, device="cpu").sampled(1)
    with pytest.raises(InputError, match="a ClassicPrompter draws nothing"):
        SelfConsistentPrompter(ClassicPrompter(), SelfConsistencyConfig())
    with pytest.raises(InputError, match="prompter 'classic' draws nothing: asking 3 times changes nothing"):
        resolve("classic", options={"self_consistency.samples": 3})
    with pytest.raises(InputError, match=r"prompter\.do_sample=true.*prompter\.temperature=0\.7"):
        resolve("sjtu", options={"self_consistency.samples": 3})
    assert resolve("classic", options={"self_consistency.samples": 1}).self_consistency.samples == 1


def test_an_endpoint_is_asked_with_other_seeds():
    prompter = EndpointPrompter(EndpointConfig(model="Qwen/Qwen2.5-VL-7B-Instruct", temperature=0.7, seed=5))
    seeds = [prompter.sampled(number)._fields["seed"] for number in range(3)]
    assert seeds[0] == 5
    assert len({*seeds}) == 3
    with pytest.raises(InputError, match="nothing is drawn"):
        EndpointPrompter(EndpointConfig(model="Qwen/Qwen2.5-VL-7B-Instruct")).sampled(1)


def test_a_recipe_asks_several_times(folder, monkeypatch):
    pipe = fiducial.load(
        "sjtu",
        prompter=f"vlm:{folder}?device=cpu&do_sample=true",
        segmenter="nano",
        options={"self_consistency.samples": 2, "self_consistency.iou": 0.4, "segmenter.device": "cpu"},
    )
    assert pipe.prompter.config == SelfConsistencyConfig(samples=2, iou=0.4)
    calls = make_say(monkeypatch, pipe.prompter.prompter, {"the ship": "[[0.1, 0.3, 0.5, 0.75]]"})
    result = pipe(IMAGE, "the ship")
    assert len(calls) == 2
    assert result.prompts[0].score == 1
    assert len(result.masks) == 1
    assert "target 1: in 2 of 2 replies, agreement 1.00" in result.answer.repairs


def test_recipes_say_it_in_yaml(tmp_path):
    path = tmp_path / "mine.yaml"
    words = "prompter: {name: llava, do_sample: true, decode: {name: semantic, k: 3}}\nsegmenter: nano\n"
    path.write_text(words + "self_consistency: {samples: 4, quorum: 0.6}\n")
    recipe = resolve(path)
    assert recipe.self_consistency == SelfConsistencyConfig(samples=4, quorum=0.6)
    assert recipe.prompter == read_part("prompter", "llava?do_sample=true&decode=semantic?k=3")
    assert recipe.as_json()["self_consistency"] == {"samples": 4, "iou": 0.5, "quorum": 0.6}
    again = resolve(path, options={"self_consistency.samples": 2})
    assert again.self_consistency == replace(recipe.self_consistency, samples=2)


def test_the_command_line(folder, tmp_path, capsys):
    picture = tmp_path / "noise.png"
    PIL.Image.fromarray(IMAGE.pixels).save(picture)
    words = ["segment", str(picture), "the ship", "--json", "--recipe", "sjtu", "--segmenter", "nano"]
    words += ["--device", "cpu", "--prompter", f"vlm:{folder}?max_new_tokens=4"]
    choose = ["--decode", "semantic?top_m=4", "--set", f"prompter.decode.cache={tmp_path / 'tables'}"]
    assert main([*words, *choose, "--samples", "2", "--set", "prompter.do_sample=true"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["repairs"][-1] == "2 of 2 replies could not be read" or result["prompts"]
    assert len([*(tmp_path / "tables").rglob("*.safetensors")]) == 1
    assert main([*words, "--decode", "semantics"]) == 2
    assert "unknown decoding" in capsys.readouterr().err
    assert main([*words, "--samples", "2"]) == 2
    assert "prompter.do_sample=true" in capsys.readouterr().err
    assert main(["segment", str(picture), "the ship", "--recipe", "classic", "--decode", "semantic"]) == 2
    assert "decode" in capsys.readouterr().err
