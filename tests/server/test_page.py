"""The page in a real browser: an instruction is typed, coordinates are dragged, and the mask follows."""

import re

import pytest

from page_browser import Seen, scene_truth

NAMES = """() => {
    const texts = (elements) => [...elements].map((element) => element?.textContent ?? "").join(" ");
    const by = (one) => (one.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => document.getElementById(id));
    const name = (one) => one.ariaLabel || texts(one.labels ?? []) || texts(by(one)) || one.textContent;
    const controls = [...document.querySelectorAll("button, input, select, textarea, [tabindex]")];
    const shown = controls.filter((one) => one.checkVisibility());
    return shown.map((one) => [name(one), one.outerHTML.slice(0, 100)]);
}"""
"""What is read out for each element that takes keys, roughly as accessible names are computed, and the element."""


def test_an_instruction_is_answered_and_whatever_takes_keys_has_a_name(seen):
    seen.open_scene("ships")
    assert seen.page.input_value("#instruction") == "the three largest ships"
    seen.ask()
    answer = seen.page.inner_text("#answer")
    assert "found" in answer
    assert "3 largest of 8 ships" in answer
    assert seen.page.locator(".targets .choose").count() == 3
    assert re.match(
        r"score 0\.\d+ · [\d,]+ px · mask 0\.\d+ · model$", seen.page.inner_text(".targets .about .small >> nth=0")
    )
    seen.select(0)
    controls = seen.page.evaluate(NAMES)
    assert len(controls) > 30
    assert [shown for name, shown in controls if not name.strip()] == []
    seen.ask("the seventh dragon")
    assert "dragon" in seen.page.inner_text("#answer")
    assert seen.page.locator(".targets .choose").count() == 0


def test_dragging_a_corner_to_where_it_belongs_brings_the_mask_nearer_to_the_truth(seen):
    seen.open_scene("ships")
    seen.ask()
    before = seen.iou()
    seen.select(1)
    was = seen.fields()
    assert seen.sources() == ["model"] * 4
    true = max(
        (mask.box for mask in scene_truth("ships")[0]), key=lambda box: -abs(box[0] - was[0]) - abs(box[1] - was[1])
    )
    sent = []
    seen.page.on("request", lambda request: sent.append(request) if request.url.endswith("/v1/cut") else None)
    seen.drag(seen.handle("se"), seen.on_screen(*true[2:]), steps=10)
    after = seen.iou()
    now = seen.fields()
    assert now[:2] == was[:2]
    assert now[2:] == pytest.approx(true[2:], abs=2)
    assert after > before + 0.03
    assert seen.sources() == ["model", "model", "person", "person"]
    assert "moved by you" in seen.page.inner_text(".target.selected .about .small")
    assert seen.count("#coordinates .selected .edge.person") == 2
    assert seen.count("#coordinates .selected .ghost") == 1

    assert 1 <= len(sent) <= 10
    for request in sent:  # coordinates of the one that moves, and no pixels
        asked = request.post_data_json
        assert set(asked["image"]) == {"digest"}
        assert len(asked["prompts"]["targets"]) == 1
        assert len(request.post_data) < 1000

    seen.page.keyboard.press("Control+z")
    assert seen.fields() == was
    assert seen.sources() == ["model"] * 4
    assert seen.iou() == before
    seen.page.keyboard.press("Control+Shift+Z")
    assert seen.fields() == now
    assert seen.iou() == after
    seen.page.click("#undo")
    seen.page.click("#undo")  # back before the answer
    assert seen.page.locator(".targets .choose").count() == 0
    assert seen.page.is_disabled("#undo")


def test_boxes_edges_and_whole_targets_move_and_go(seen):
    seen.open_scene("crosses")
    seen.page.keyboard.press("Escape")
    seen.page.keyboard.press("b")
    seen.drag(seen.on_screen(60, 70), seen.on_screen(120, 150))
    seen.settle()
    assert seen.fields() == pytest.approx([60, 70, 120, 150], abs=1.5)
    assert seen.sources() == ["person"] * 4
    assert "drawn by you" in seen.page.inner_text(".target.selected .about .small")
    start = seen.fields()
    x, y = seen.handle("n")
    seen.drag((x, y), seen.on_screen(90, 50))
    moved = seen.fields()
    assert moved[1] == pytest.approx(50, abs=1.5)
    assert [moved[0], *moved[2:]] == [start[0], *start[2:]]
    seen.drag(seen.on_screen(90, 100), seen.on_screen(110, 100))
    assert seen.fields() == pytest.approx([moved[0] + 20, moved[1], moved[2] + 20, moved[3]], abs=1.5)
    x, y = seen.handle("w")
    seen.page.mouse.move(x, y)
    seen.page.mouse.down()
    seen.page.mouse.move(x - 40, y, steps=3)
    before = seen.fields()
    seen.page.keyboard.press("Escape")  # takes back what the pointer does
    seen.page.mouse.up()
    assert seen.fields()[0] > before[0] + 5
    seen.settle()
    seen.page.keyboard.press("Delete")
    assert seen.page.locator(".targets .choose").count() == 0
    seen.page.keyboard.press("Control+z")
    assert seen.page.locator(".targets .choose").count() == 1


def test_points_are_added_turned_dragged_and_deleted(seen):
    seen.open_scene("crosses")
    seen.page.keyboard.press("Escape")
    seen.page.keyboard.press("p")
    seen.page.mouse.click(*seen.on_screen(128, 118))
    seen.settle()
    assert seen.count("#coordinates .point.on") == 1
    assert seen.page.locator(".target.selected").count() >= 1
    seen.page.keyboard.press("n")
    seen.page.mouse.click(*seen.on_screen(60, 60))
    seen.settle()
    assert seen.count("#coordinates .point.beside") == 1
    seen.page.keyboard.press("v")
    seen.drag(seen.on_screen(60, 60), seen.on_screen(80, 90))
    x, y = (float(one.input_value()) for one in seen.page.locator(".numbers.point >> nth=1").locator("input").all())
    assert (x, y) == pytest.approx((80, 90), abs=1.5)
    seen.page.keyboard.press("Space")  # the dragged point has the focus
    assert seen.count("#coordinates .point.on") == 2
    seen.page.keyboard.press("Delete")
    assert seen.count("#coordinates .point") == 1
    seen.settle()


def test_everything_goes_by_keys_alone(seen):
    keys = seen.page.keyboard
    scene = seen.page.locator("[data-scene=vehicles]")
    scene.wait_for()
    for _ in range(40):
        keys.press("Tab")
        if scene.evaluate("one => one === document.activeElement"):
            break
    keys.press("Enter")
    seen.page.wait_for_selector("#chooser", state="hidden")
    assert seen.page.evaluate("document.activeElement.id") == "instruction"
    keys.press("Enter")
    seen.page.wait_for_selector("#answer .outcome")
    seen.settle()
    before = seen.iou()
    assert before < 0.6  # one of two vehicles was found
    keys.press("Escape")
    keys.press("]")
    assert "top left corner of target 1" in seen.page.evaluate("document.activeElement.getAttribute('aria-label')")
    was = seen.fields()
    keys.press("ArrowLeft")
    keys.press("Shift+ArrowUp")
    assert seen.fields() == pytest.approx([was[0] - 1, was[1] - 10, *was[2:]], abs=0.1)
    keys.press("Control+z")  # what is done to one handle in a row is one step
    assert seen.fields() == was

    # The second vehicle: a box in the middle of what is in sight, taken to its place by its corners.
    true = min((mask.box for mask in scene_truth("vehicles")[0]), key=lambda box: box[0])
    keys.press("b")
    keys.press("Enter")
    assert "top left corner of target 2" in seen.page.evaluate("document.activeElement.getAttribute('aria-label')")
    for corner, goal in (("nw", true[:2]), ("se", true[2:])):
        seen.page.focus(f"#coordinates .handle.{corner}") if corner == "se" else None
        at = seen.fields()[:2] if corner == "nw" else seen.fields()[2:]
        for axis, (negative, positive) in enumerate((("ArrowLeft", "ArrowRight"), ("ArrowUp", "ArrowDown"))):
            steps = round(goal[axis] - at[axis])
            arrow = positive if steps > 0 else negative
            for _ in range(abs(steps) // 10):
                keys.press(f"Shift+{arrow}")
            for _ in range(abs(steps) % 10):
                keys.press(arrow)
    assert seen.iou() > before + 0.2
    keys.press("Delete")
    assert seen.page.locator(".targets .choose").count() == 1
    keys.press("?")
    assert seen.page.is_visible("#help-dialog")
    keys.press("Escape")
    assert seen.page.is_hidden("#help-dialog")


def test_zoom_and_pan_leave_coordinates_alone_and_layers_are_put_away(seen):
    seen.open_scene("ships")
    seen.ask()
    seen.select(0)
    was, shown = seen.fields(), seen.page.inner_text("#fact-zoom")
    seen.page.mouse.move(*seen.on_screen(300, 200))
    seen.page.mouse.wheel(0, -400)
    closer = seen.page.inner_text("#fact-zoom")
    assert int(closer.split()[0]) > int(shown.split()[0]) * 1.3
    seen.page.click('[data-tool="pan"]')
    x, y = seen.on_screen(300, 200)
    seen.drag((x, y), (x + 50, y + 30))
    assert seen.on_screen(300, 200) == pytest.approx((x + 50, y + 30), abs=2)
    assert seen.fields() == was
    seen.page.keyboard.press("0")
    assert seen.page.inner_text("#fact-zoom") == shown

    def pixels():
        return seen.page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() =>"
            " done([...document.querySelectorAll('#stage > canvas')].map(one => one.toDataURL()).join()))))"
        )

    plain = pixels()
    for key in ("g", "m"):
        seen.page.keyboard.press("Escape")
        seen.page.keyboard.press(key)
        assert pixels() != plain
        seen.page.keyboard.press(key)
        assert pixels() == plain


def test_a_telephone_needs_no_sideways_scrolling(browser, page_url):
    seen = Seen(browser, page_url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)

    def width():
        return seen.page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")

    seen.page.wait_for_selector("[data-scene]")
    assert width() == 390
    seen.open_scene("ships")
    seen.ask()
    seen.page.locator(".targets .choose").nth(1).tap()
    seen.page.locator(".target.selected input").first.wait_for()
    assert width() == 390
    small = seen.page.evaluate(
        "[...document.querySelectorAll('button')].filter(b => b.offsetParent && !b.matches('.link'))"
        ".map(b => [b.textContent, b.getBoundingClientRect()]).filter(([, r]) => r.width < 32 || r.height < 32)"
        ".map(([name]) => name)"
    )
    assert small == []
    assert seen.errors == []
    seen.close()
