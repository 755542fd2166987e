"""A key is in nothing that is written, printed, logged or raised; and the command line works the whole way."""

import json
import logging
import pickle
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PillowImage

from fiducial import plugins
from fiducial.cli import main
from fiducial.prompters.endpoint import EndpointError

MARKER = "sk-marker/0123456789"


@pytest.fixture
def file(tmp_path):
    """A red square on grey."""
    pixels = np.full((120, 200, 3), 90, np.uint8)
    pixels[30:60, 50:150] = (220, 30, 30)
    path = tmp_path / "square.png"
    PillowImage.fromarray(pixels).save(path)
    return path


def echoing(handler_asked):
    """Say the headers back wherever a server could."""
    return {
        "choices": [
            {
                "message": {"content": f"[[0.25, 0.25, 0.75, 0.5]] {handler_asked.headers}", "reasoning": MARKER},
                "finish_reason": "stop",
            }
        ]
    }


def everything(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_the_key_is_in_nothing_that_a_run_leaves(server, file, tmp_path, monkeypatch, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("FIDUCIAL_API_KEY", MARKER)
    server.reply = echoing
    out = tmp_path / "out"
    words = ["segment", str(file), "the red square", "--recipe", "classic", "--prompter", "endpoint:my-model"]
    words += ["--set", f"prompter.url={server.url}", "--set", "prompter.dialect=sjtu", "--segmenter", "grabcut"]
    assert main([*words, "--out", str(out), "--format", "png,mask,json,coco"]) == 0
    assert main([*words, "--json"]) == 0
    assert server.asked[0].headers["Authorization"] == f"Bearer {MARKER}"
    printed = "".join(capfd.readouterr())
    assert "[key]" in printed
    left = everything(out)
    assert b"[key]" in left
    assert server.url.encode() in left
    for text in (printed, caplog.text, left.decode("latin-1")):
        assert MARKER not in text
        assert "marker" not in text
    record = json.loads(printed.strip().splitlines()[-1])
    assert record["outcome"] == "found"


def test_the_key_is_in_no_failure(server, file, tmp_path, monkeypatch, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("FIDUCIAL_API_KEY", MARKER)
    escaped = MARKER.replace("/", "\\/")
    server.reply = lambda asked: (401, f'{{"error": "no such key: {escaped}"}}')
    out = tmp_path / "out"
    words = ["segment", str(file), "the red square", "--recipe", "classic", "--prompter", "endpoint:my-model"]
    words += ["--set", f"prompter.url={server.url}", "--set", "prompter.dialect=sjtu", "--out", str(out)]
    assert main(words) == 1
    printed = "".join(capfd.readouterr())
    assert "the key of the environment variable FIDUCIAL_API_KEY was sent (no such key: [key])" in printed
    for text in (printed, caplog.text, everything(out).decode("latin-1")):
        assert "marker" not in text


def test_the_key_is_in_no_prompter_and_no_error(server, make, picture, monkeypatch):
    monkeypatch.setenv("FIDUCIAL_API_KEY", MARKER)
    prompter = make(dialect="sjtu")
    escaped = MARKER.replace("/", "\\/")
    server.script = [(200, f'{{"choices": [{{"message": {{"content": "{escaped}"}}}}]}}')]
    answer = prompter.ask([picture()], ["x"])[0]
    assert answer.raw == "[key]"
    assert "marker" not in repr(prompter) + str(vars(prompter))
    server.script = [(302, "", {"Location": f"https://a/{MARKER}"})]
    with pytest.raises(EndpointError) as caught:
        prompter.ask([picture()], ["x"])
    assert "marker" not in str(caught.value)
    assert "[key]" in str(caught.value)
    chain = caught.value
    while chain is not None:
        assert "marker" not in repr(chain)
        chain = chain.__cause__ or chain.__context__
    assert b"marker" not in pickle.dumps(prompter.address)


def test_a_key_that_is_set_later_is_used(server, make, picture, monkeypatch):
    prompter = make(dialect="sjtu")
    prompter.ask([picture()], ["x"])
    monkeypatch.setenv("FIDUCIAL_API_KEY", MARKER)
    prompter.ask([picture()], ["x"])
    assert [asked.headers.get("Authorization") for asked in server.asked] == [None, f"Bearer {MARKER}"]


def test_a_recipe_may_name_an_endpoint(server, file, tmp_path, capfd):
    server.reply = lambda asked: echoing(replace_headers(asked))
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "prompter:\n"
        "  name: endpoint\n"
        "  model: auto\n"
        f"  url: {server.url}\n"
        "  dialect: sjtu\n"
        "  canvas: [512, 512]\n"
        "segmenter: grabcut\n"
    )
    assert main(["segment", str(file), "the red square", "--recipe", str(recipe), "--out", str(tmp_path / "out")]) == 0
    assert "1 target" in capfd.readouterr().out
    assert server.asked[1].picture.shape == (512, 512, 3)
    assert server.asked[1].body["model"] == "Qwen/Qwen2.5-VL-7B-Instruct"


def test_unknown_options_are_one_line():
    part = plugins.find("prompter", "endpoint")
    from fiducial.errors import InputError

    with pytest.raises(InputError, match="was given an option that it does not know"):
        part.build("qwen2.5-vl", api_key="sk")
    with pytest.raises(InputError, match="needs a model"):
        part.build()
    assert replace(part, extra="").build("auto")


def replace_headers(asked):
    asked.headers = {}
    return asked
