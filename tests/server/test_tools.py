import asyncio
import base64
import io
import json

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("mcp")

from fiducial.cli import main
from fiducial.errors import InputError
from fiducial.geometry import Mask
from fiducial.server.recipes import Recipes
from fiducial.server.tools import Folder, tool_server
from recipe_server import served

PIXELS = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "shown" / "deep").mkdir(parents=True)
    for path in ("outside.png", "shown/a.png", "shown/deep/b.png"):
        PIL.Image.fromarray(PIXELS).save(tmp_path / path)
    (tmp_path / "shown" / "link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "shown" / "notes.txt").write_text("secret words")
    return tmp_path / "shown"


def call(folder, *asked):
    """Call tools as an agent does, over the protocol; returns whether each failed, and what it said."""
    from mcp import Client

    server, worker = tool_server(Recipes([served("boxes")], 8), Folder(folder, 1000))

    async def ask():
        async with Client(server) as client:
            tools = (await client.list_tools()).tools
            results = [await client.call_tool(name, arguments) for name, arguments in asked]
            return tools, [(one.is_error, one.content) for one in results]

    try:
        return asyncio.run(ask())
    finally:
        worker.close()


def test_an_agent_segments_cuts_and_parses(folder):
    target = {"box": [2, 3, 12, 9], "points": [[5, 5]], "point_labels": [1], "label": "ship"}
    tools, answers = call(
        folder,
        ("segment", {"path": "a.png", "instruction": "the ship"}),
        ("cut", {"path": "deep/b.png", "targets": [target], "masks": True, "overlay": True}),
        ("cut", {"path": "a.png", "targets": [{"box": [0.1, 0.2, 0.5, 0.8]}], "frame": "unit"}),
        ("parse", {"reply": "[[0.1, 0.2, 0.5, 0.6]]", "dialect": "sjtu", "width": 200, "height": 100}),
    )
    assert {tool.name for tool in tools} == {"segment", "cut", "parse"}
    assert all(tool.description and tool.input_schema["properties"] for tool in tools)
    assert not any(failed for failed, _ in answers)
    told = [json.loads(content[0].text) for _, content in answers]
    assert (told[0]["outcome"], told[0]["targets"][0]["mask"]["area"]) == ("found", 60)
    assert "rle" not in told[0]["targets"][0]["mask"]
    assert Mask.from_coco(told[1]["targets"][0]["mask"]["rle"]).area == 60
    assert (told[1]["image"]["name"], told[1]["targets"][0]["label"]) == ("deep/b.png", "ship")
    assert PIL.Image.open(io.BytesIO(base64.b64decode(answers[1][1][1].data))).width >= 30
    assert told[2]["targets"][0]["box"] == [3, 4, 15, 16]
    assert told[3]["targets"][0]["box"] == [20, 20, 100, 60]


def test_pictures_lie_under_one_folder_and_nothing_else_is_told(folder):
    outside = str(folder.parent / "outside.png")
    paths = ["../outside.png", outside, "link.png", "gone.png", "/etc/passwd", "a\0.png", "."]
    asked = [("segment", {"path": path, "instruction": "the ship"}) for path in paths]
    asked += [
        ("segment", {"path": "notes.txt", "instruction": "the ship"}),
        ("segment", {"path": "a.png", "instruction": " "}),
        ("segment", {"path": "a.png", "instruction": "the ship", "recipe": "nano"}),
        ("cut", {"path": "a.png", "targets": [{"box": [90, 90, 99, 99]}]}),
        ("cut", {"path": "a.png", "targets": [{"box": [1, 1, 2, 2]}] * 9}),
        ("parse", {"reply": "", "dialect": "quen", "width": 1, "height": 1}),
    ]
    _, answers = call(folder, *asked)
    said = [content[0].text for failed, content in answers if failed]
    assert len(said) == len(asked)
    assert all("no file under the folder" in one for one in said[: len(paths)])
    for text, words in zip(
        said[len(paths) :],
        ("notes.txt: not a picture", "is empty", "known: boxes", "outside the image", "limit of 8", "unknown dialect"),
        strict=True,
    ):
        assert words in text
    shown = "".join(said).replace(outside, "")
    assert str(folder.parent) not in shown
    assert "secret" not in shown
    assert call(folder, ("segment", {"path": str(folder / "a.png"), "instruction": "the ship"}))[1][0][0] is False


def test_a_folder_has_to_be_named_and_to_be_there(capsys, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        Folder(tmp_path / "gone", 1)
    for words, said in (
        (["--mcp"], "name the only folder"),
        (["--folder", str(tmp_path)], "--folder is for --mcp"),
        (["--mcp", "--folder", str(tmp_path / "gone")], "there is no such folder"),
    ):
        assert main(["serve", *words]) == 2
        assert said in capsys.readouterr().err
