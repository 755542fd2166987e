"""The page in a real browser: coordinates as text both ways, replies, files in and out, refiners, the key."""

import io
import json
import zipfile

import numpy as np
import PIL.Image
import pytest

from fiducial.geometry import Mask
from fiducial.overlays.colours import PALETTE
from page_browser import Seen, scene_truth, serving

HOSTILE = '<img src=x onerror="alert(1)"><b>ship</b>'


@pytest.fixture
def answered(seen):
    """The page with three ships found, the second selected."""
    seen.open_scene("ships")
    seen.ask()
    seen.select(1)
    return seen


def read_text(seen):
    """The live text as JSON, when it has followed."""
    return json.loads(seen.text().strip().removeprefix("```json").removesuffix("```"))


def typed(seen, text):
    """Replace the live text by typing, and wait until it was read."""
    seen.page.fill("#text", text)
    seen.page.wait_for_function("() => document.querySelector('#text-said').textContent.startsWith('read ')")
    seen.settle()


def test_files_are_what_is_shown(answered):
    data, name = answered.download("coco")
    assert name == "ships.png.coco.json"
    coco = json.loads(data)
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (512, 512)
    assert [one["name"] for one in coco["categories"]] == ["ship"]
    masks = [Mask.from_coco(one["segmentation"], 512, 512) for one in coco["annotations"]]
    assert [mask.area for mask in masks] == [one["area"] for one in coco["annotations"]]
    union = masks[0].union(*masks[1:])
    assert union.iou(scene_truth("ships")[1]) == pytest.approx(answered.iou(), abs=0.001)

    overlay, _ = answered.download("overlay")
    assert PIL.Image.open(io.BytesIO(overlay)).width >= 512
    masks, name = answered.download("masks")
    assert name.endswith(".zip")
    pictures = zipfile.ZipFile(io.BytesIO(masks))
    union = next(one for one in pictures.namelist() if one.endswith(".mask.png"))
    with PIL.Image.open(io.BytesIO(pictures.read(union))) as picture:
        assert Mask.from_dense(np.asarray(picture)).iou(scene_truth("ships")[1]) == pytest.approx(
            answered.iou(), abs=0.001
        )
    labelme, _ = answered.download("labelme")
    assert {one["label"] for one in json.loads(labelme)["shapes"]} == {"ship"}

    x, y = answered.handle("e")
    answered.drag((x, y), (x + 25, y))
    moved = answered.fields()
    data, _ = answered.download("json")
    values = json.loads(data)
    assert values["prompts"][1]["box"] == pytest.approx(moved, abs=0.06)  # the page shows a digit after the point
    assert values["provenance"][1]["box"] == ["model", "model", "person", "model"]
    assert values["provenance"][0]["box"] == ["model"] * 4
    assert values["provenance"][1]["wrote"]["box"][2] < moved[2]
    assert values["instruction"] == "the three largest ships"


def test_text_moves_boxes_boxes_move_the_text_and_nonsense_moves_nothing(answered):
    answered.page.select_option("#dialect", "qwen3-vl")
    answered.page.wait_for_function("() => document.querySelector('#dialect-said').textContent.includes('thousandths')")
    answered.page.wait_for_function(
        "() => !document.querySelector('#text').value.includes('[155, ')"
    )  # in pixels before
    boxes = [one["bbox_2d"] for one in read_text(answered)]
    was = answered.fields()
    x2 = boxes[1][2] + 40
    typed(answered, answered.text().replace(json.dumps(boxes[1]), json.dumps([*boxes[1][:2], x2, boxes[1][3]])))
    assert answered.fields() == pytest.approx([*was[:2], x2 * 0.512, was[3]], abs=0.1)
    assert answered.sources() == ["model", "model", "person", "model"]  # what the text only rounds is the model's still
    answered.page.keyboard.press("Escape")
    answered.page.keyboard.press("Control+z")
    assert answered.fields() == was
    x, y = answered.handle("w")
    answered.drag((x, y), (x - 50, y))
    answered.settle()
    answered.page.wait_for_function(f"() => !document.querySelector('#text').value.includes('{boxes[1][0]},')")
    assert read_text(answered)[1]["bbox_2d"][0] == pytest.approx(answered.fields()[0] / 0.512, abs=1)

    was = answered.fields()
    answered.page.fill("#text", "what do I know")
    answered.page.wait_for_selector("#text-said.failure:not(:empty)")
    assert answered.fields() == was
    answered.page.locator("#text").blur()
    answered.page.wait_for_function("() => document.querySelector('#text').value.includes('bbox_2d')")


def test_a_reply_is_mended_and_taken_with_a_hostile_label_as_text(answered):
    answered.page.click("#reply")
    reply = (
        f"<think>Two ships.</think> Sure: [{{'bbox_2d': [20, 30, 120, 90], 'label': {HOSTILE!r}}}, {{'bbox_2d': [1, 2"
    )
    answered.page.fill("#reply-text", reply)
    answered.page.wait_for_selector("#reply-said .repair")
    told = answered.page.inner_text("#reply-said")
    assert "truncated" in told
    assert "Two ships." in told
    assert "quotation marks" in told
    assert HOSTILE in told
    answered.page.click("#reply-take")
    answered.settle()
    assert answered.page.inner_text(".targets .label") == HOSTILE
    assert HOSTILE[:20] in answered.page.locator("#coordinates .name").text_content()
    assert answered.count("img, #coordinates b, .targets b") == 0
    assert "reply broke off" in answered.page.inner_text("#answer")
    answered.select(0)
    assert answered.page.input_value(".target.selected input.name") == HOSTILE
    data, _ = answered.download("coco")
    assert json.loads(data)["categories"][0]["name"] == HOSTILE


def test_numbers_are_typed_and_refiners_report(answered):
    was = answered.fields()
    field = answered.page.locator(".target.selected .numbers input").nth(0)
    field.fill("140.5")
    field.press("Enter")
    assert answered.fields() == [140.5, *was[1:]]
    field.fill("9999")
    field.press("Tab")
    assert answered.fields() == [140.5, *was[1:]]

    before = answered.count("#coordinates .added")
    answered.page.check('#refiners input[value="cfpg"]')
    answered.page.check('#refiners input[value="mbo"]')
    answered.settle()
    reports = answered.page.locator(".target.selected .report")
    assert [one.split(" ")[0] for one in reports.all_inner_texts()] == ["cfpg", "mbo"]
    assert answered.count("#coordinates .added") > before == 0
    data, _ = answered.download("json")
    assert "refiner" in {who for one in json.loads(data)["provenance"] for who in one["points"]}
    answered.page.uncheck('#refiners input[value="cfpg"]')
    answered.page.uncheck('#refiners input[value="mbo"]')
    answered.settle()
    assert answered.count("#coordinates .added") == 0


def photograph(path):
    rng = np.random.default_rng(3)
    PIL.Image.fromarray(rng.integers(0, 255, (90, 140, 3), dtype=np.uint8)).save(path)
    return path


def test_a_picture_is_chosen_dropped_and_pasted_and_what_is_none_refused(seen, tmp_path):
    path = photograph(tmp_path / "mine.jpg")
    seen.page.set_input_files("#file", path)
    seen.page.wait_for_selector("#chooser", state="hidden")
    assert "mine.jpg" in seen.page.inner_text("#fact-name")
    assert "140 × 90" in seen.page.inner_text("#fact-name")
    other = list(photograph(tmp_path / "other.png").read_bytes())
    for kind, carrier in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        seen.page.evaluate(
            """([kind, carrier, bytes]) => {
                const files = new DataTransfer();
                files.items.add(new File([new Uint8Array(bytes)], `${kind}.png`, { type: "image/png" }));
                const event = new Event(kind, { bubbles: true, cancelable: true });
                Object.defineProperty(event, carrier, { value: files });
                document.body.dispatchEvent(event);
            }""",
            [kind, carrier, other],
        )
        seen.page.wait_for_function(f"() => document.querySelector('#fact-name').textContent.includes('{kind}.png')")

    (tmp_path / "no.png").write_text("no picture")
    seen.page.set_input_files("#file", tmp_path / "no.png")
    seen.page.wait_for_selector("#problem:not([hidden])")
    assert "no.png" in seen.page.inner_text("#problem-text")
    assert "paste.png" in seen.page.inner_text("#fact-name")
    seen.errors = [one for one in seen.errors if "422" not in one]  # the browser notes the refusal itself


def test_the_key_is_asked_for(browser):
    with serving(key="open sesame") as url:
        seen = Seen(browser, url)
        seen.page.fill("#token", "wrong")
        seen.page.press("#token", "Enter")
        seen.page.wait_for_function(
            "() => document.querySelector('#token-said').textContent.startsWith('That was not it')"
        )
        seen.page.fill("#token", "open sesame")
        seen.page.press("#token", "Enter")
        seen.open_scene("ships")
        seen.settle()
        seen.close()


def test_codes_and_colours_are_those_of_the_package(seen):
    rng = np.random.default_rng(7)
    for _ in range(20):
        height, width = (int(side) for side in rng.integers(1, 40, 2))
        dense = rng.random((height, width)) < rng.random()
        mask = Mask.from_dense(dense)
        found = seen.page.evaluate(
            """async (code) => {
                const { Mask } = await import("/page/masks.js");
                const mask = new Mask(code);
                return { area: mask.area, box: mask.box, pixels: [...mask.patch.pixels] };
            }""",
            mask.to_coco(),
        )
        assert found["area"] == mask.area
        assert found["box"] == (None if mask.box is None else [*mask.box])
        assert found["pixels"] == mask.to_patch()[0].astype(int).ravel().tolist()
    palette = seen.page.evaluate('import("/page/colours.js").then((module) => module.PALETTE)')
    assert [tuple(bytes.fromhex(one)) for one in palette] == [*PALETTE]
