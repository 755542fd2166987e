"""The oracle prompter: lookups, files, and what it says when it does not know."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fiducial.contracts import Prompter
from fiducial.errors import InputError
from fiducial.geometry import Frame, Prompts
from fiducial.images import Image
from fiducial.language import Answer, Outcome
from fiducial.prompters.oracle import FixedPrompter, OraclePrompter

IMAGE = Image(np.zeros((100, 200, 3), np.uint8), name="pictures/harbour.png")
UNIT = Prompts.from_boxes(Frame.unit(), [(0.1, 0.2, 0.5, 0.6)], labels=["ship"], scores=[0.5])
COCO = {
    "images": [
        {"id": 1, "file_name": "harbour.png", "width": 400, "height": 200},
        {"id": 2, "file_name": "empty.png", "width": 10, "height": 10},
    ],
    "categories": [{"id": 7, "name": "ship"}, {"id": 8, "name": "storage_tank"}, {"id": 9, "name": "bus"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [20, 40, 60, 80]},
        {"id": 2, "image_id": 1, "category_id": 8, "bbox": [200, 20, 100, 20]},
        {"id": 3, "image_id": 1, "category_id": 7, "bbox": [0, 0, 5, 5], "iscrowd": 1},
    ],
}
RECORD = {
    "image": "harbour.png",
    "width": 200,
    "height": 100,
    "instruction": "the ship",
    "prompts": [{"box": [1, 2, 3, 4]}],
}


def one(oracle, instruction="the ship", image=IMAGE):
    return oracle.ask([image], [instruction])[0]


def written(tmp_path, content, name="known.jsonl"):
    path = tmp_path / name
    text = content if isinstance(content, str) else "\n".join(json.dumps(record) for record in content)
    path.write_text(text, encoding="utf-8")
    return path


class TestMapping:
    def test_it_is_a_prompter(self):
        assert isinstance(OraclePrompter({}), Prompter)

    @pytest.mark.parametrize("key", ["harbour.png", "pictures/harbour.png", "other/harbour.png", IMAGE.digest])
    def test_an_image_is_known_by_name_file_name_or_digest(self, key):
        answer = one(OraclePrompter({key: UNIT}))
        assert answer.outcome is Outcome.FOUND
        assert answer.prompts.frame == IMAGE.frame
        assert answer.prompts[0].box == (20, 20, 100, 60)
        assert (answer.prompts[0].label, answer.prompts[0].score) == ("ship", 0.5)
        assert answer.text == f"1 known prompt for {key!r}."

    def test_a_file_name_that_two_images_share_names_neither(self):
        oracle = OraclePrompter({"a/harbour.png": UNIT, "b/harbour.png": UNIT})
        assert one(oracle).outcome is Outcome.FAILED

    def test_instructions_match_whatever_their_case_and_spacing(self):
        other = Prompts.from_boxes(Frame.thousand(), [(0, 0, 500, 500)])
        oracle = OraclePrompter({"harbour.png": {"The ship": UNIT, "the pier": other}})
        assert one(oracle, " the  SHIP ").prompts[0].box == (20, 20, 100, 60)
        assert one(oracle, "the pier").prompts[0].box == (0, 0, 100, 50)

    def test_an_empty_list_is_no_target(self):
        answer = one(OraclePrompter({"harbour.png": Prompts(Frame.unit())}))
        assert answer.outcome is Outcome.NO_TARGET
        assert len(answer.prompts) == 0

    def test_an_unknown_image_fails_and_says_what_is_known(self):
        answer = one(OraclePrompter({f"{k}.png": UNIT for k in range(7)}))
        assert answer.outcome is Outcome.FAILED
        assert answer.prompts == Prompts(IMAGE.frame)
        assert answer.text == (
            "no prompts are known for the image 'pictures/harbour.png'; "
            "known images: '0.png', '1.png', '2.png', '3.png', '4.png' and 2 more"
        )
        assert one(OraclePrompter({})).text.endswith("known images: none")

    def test_an_unknown_instruction_fails_and_says_what_is_known(self):
        answer = one(OraclePrompter({"harbour.png": {"the pier": UNIT}}))
        assert answer.outcome is Outcome.FAILED
        assert answer.text.endswith("'the ship' in 'harbour.png'; known instructions: 'the pier'")

    def test_batches_keep_their_order(self):
        oracle = OraclePrompter({"harbour.png": UNIT})
        stranger = Image(IMAGE.pixels[:50].copy(), name="x")
        answers = oracle.ask([stranger, IMAGE], ["a", "b"])
        assert [answer.outcome for answer in answers] == [Outcome.FAILED, Outcome.FOUND]

    def test_the_digest_comes_before_any_name(self):
        other = Prompts.from_boxes(Frame.unit(), [(0.5, 0.5, 1, 1)])
        for names in (("harbour.png",), ("pictures/harbour.png",), ("harbour.png", "pictures/harbour.png")):
            oracle = OraclePrompter({**dict.fromkeys(names, other), IMAGE.digest: UNIT})
            assert one(oracle).prompts[0].box == (20, 20, 100, 60)

    def test_two_pictures_of_one_file_name_are_not_mixed_up(self):
        stranger = Image(np.full((100, 200, 3), 9, np.uint8), name="elsewhere/harbour.png")
        for order in ([IMAGE, stranger], [stranger, IMAGE]):
            answers = OraclePrompter({"harbour.png": UNIT}).ask(order, ["the ship"] * 2)
            assert [answer.outcome for answer in answers] == [Outcome.FAILED] * 2
            assert answers[0].text == (
                f"the known name 'harbour.png' fits two different pictures, {order[0].name!r} and {order[1].name!r}: "
                "write their whole names or their digests in the known prompts"
            )
        oracle = OraclePrompter({"harbour.png": UNIT})
        assert one(oracle).outcome is Outcome.FOUND
        assert one(oracle, image=stranger).outcome is Outcome.FAILED  # also in a later call

    def test_one_picture_under_two_names_is_one_picture(self):
        copy = Image(IMAGE.pixels, name="copies/harbour.png")
        answers = OraclePrompter({"harbour.png": UNIT}).ask([IMAGE, copy], ["the ship"] * 2)
        assert [answer.outcome for answer in answers] == [Outcome.FOUND] * 2

    def test_the_whole_name_stays_with_its_picture(self):
        stranger = Image(np.full((100, 200, 3), 9, np.uint8), name="elsewhere/harbour.png")
        answers = OraclePrompter({IMAGE.name: UNIT}).ask([stranger, IMAGE], ["the ship"] * 2)
        assert [answer.outcome for answer in answers] == [Outcome.FAILED, Outcome.FOUND]

    def test_another_picture_of_the_same_whole_name_is_said(self):
        double = Image(np.zeros((200, 400, 3), np.uint8), name=IMAGE.name)
        first, second = OraclePrompter({"harbour.png": UNIT}).ask([IMAGE, double], ["the ship"] * 2)
        assert first.text == "1 known prompt for 'harbour.png'."
        assert second.text.endswith("A different picture named 'pictures/harbour.png' was asked about before.")
        assert second.outcome is Outcome.FOUND

    def test_wrong_input(self):
        with pytest.raises(InputError, match=r"1 images need .* got 0"):
            OraclePrompter({}).ask([IMAGE], [])


class TestRecords:
    def test_own_records_come_back(self, tmp_path):
        prompts = Prompts.from_boxes(IMAGE.frame, [(1, 2, 30, 40)], labels=["ship"], scores=[0.25])
        prompts = Prompts(IMAGE.frame, (prompts[0].with_points([(5, 6), (0, 0)], [1, 0]),))
        record = {
            "image": IMAGE.name,
            "width": 200,
            "height": 100,
            "instruction": "the ship",
            "prompts": prompts.as_json(),
        }
        for path in (
            written(tmp_path, [record]),
            written(tmp_path, json.dumps([record], indent=2), "list.json"),
            written(tmp_path, json.dumps(record, indent=2), "one.json"),
            written(tmp_path, [record, {**record, "image": "other"}], "lines.json"),
        ):
            assert one(OraclePrompter.from_file(path)).prompts == prompts

    def test_a_picture_of_another_size_is_scaled_but_not_of_other_proportions(self, tmp_path):
        oracle = OraclePrompter.from_file(written(tmp_path, [RECORD]))
        double = Image(np.zeros((200, 400, 3), np.uint8), name="harbour.png")
        square = Image(np.zeros((200, 200, 3), np.uint8), name="harbour.png")
        assert one(oracle, image=double).prompts[0].box == (2, 4, 6, 8)
        answer = one(oracle, image=square)
        assert answer.outcome is Outcome.FAILED
        assert answer.text == "the prompts of 'harbour.png' were made for 200 x 100 pixels, the image has 200 x 200"

    def test_a_frame_may_stand_in_for_the_size(self, tmp_path):
        record = {"image": "harbour.png", "frame": [0, 0, 1, 1], "prompts": [{"points": [[0.5, 0.25]]}]}
        assert one(OraclePrompter.from_file(written(tmp_path, [record]))).prompts[0].points == ((100, 25),)

    @pytest.mark.parametrize(
        ("outcome", "expected"), [("failed", "failed"), ("malformed", "malformed"), (None, "no_target")]
    )
    def test_how_an_empty_answer_ended_is_kept(self, tmp_path, outcome, expected):
        record = {**RECORD, "prompts": [], "outcome": outcome}
        assert one(OraclePrompter.from_file(written(tmp_path, [record]))).outcome == expected

    def test_prompts_added_by_hand_are_found(self, tmp_path):
        record = {**RECORD, "outcome": "no_target"}
        assert one(OraclePrompter.from_file(written(tmp_path, [record]))).outcome is Outcome.FOUND

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"prompts": [{"box": [3, 2, 1, 4]}]}, "line 2, prompt 1: a box needs x1 < x2"),
            ({"prompts": [{"box": [1, 2, 3]}]}, "line 2, prompt 1: a box needs 4 finite numbers"),
            ({"prompts": [{"box": [1, 2, 3, 10**400]}]}, "line 2: not valid JSON: a number of 401 digits"),
            ({"prompts": [{}]}, "line 2, prompt 1: a prompt needs a box or at least one point"),
            ({"prompts": [7]}, "line 2, prompt 1: needs an object with 'box' or 'points', got int"),
            ({"prompts": [{"points": 3}]}, "line 2, prompt 1: points "),
            ({"prompts": [{"points": [[1, 2]], "point_labels": [2]}]}, "point labels are 1"),
            ({"prompts": [{"points": [[1, 2]], "point_labels": [1, 1]}]}, "1 points but 2 point labels"),
            ({"prompts": [{"box": [1, 2, 3, 4], "label": 3}]}, "needs a text as label"),
            ({"prompts": [{"box": [1, 2, 3, 4], "score": "high"}]}, "line 2, prompt 1: a score needs"),
            ({"prompts": {}}, "line 2: 'prompts' needs to be a list, got dict"),
            ({"image": 3}, "line 2: 'image' and 'instruction' need to be text"),
            ({"width": 0}, "line 2: 'width' and 'height' need to be positive numbers, got 0 and 100"),
            ({"width": True}, "need to be positive numbers, got True"),
            ({"frame": [0, 0, 1]}, "line 2: 'frame' needs four numbers"),
            ({"frame": [0, 0, 0, 1]}, "line 2: a frame needs an extent"),
            ({"outcome": "lost"}, "line 2: unknown outcome 'lost': known: found, no_target"),
            ({"image": "first.png", "instruction": "THE ship"}, "line 2: the image 'first.png' has an answer"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_line(self, tmp_path, change, message):
        path = written(tmp_path, [{**RECORD, "image": "first.png"}, {**RECORD, **change}])
        with pytest.raises(InputError) as error:
            OraclePrompter.from_file(path)
        assert message in str(error.value)
        assert str(error.value).startswith(str(path))

    @pytest.mark.parametrize("key", ["image", "prompts", "width", "height"])
    def test_missing_keys_are_named(self, tmp_path, key):
        record = {k: v for k, v in RECORD.items() if k != key}
        with pytest.raises(InputError, match=rf"'{key}' is missing \(there is: "):
            OraclePrompter.from_file(written(tmp_path, [record]))

    def test_broken_files(self, tmp_path):
        with pytest.raises(InputError, match="no such file"):
            OraclePrompter.from_file(tmp_path / "nowhere.json")
        with pytest.raises(InputError, match="cannot be read"):
            OraclePrompter.from_file(tmp_path)
        with pytest.raises(InputError, match="line 2: not valid JSON"):
            OraclePrompter.from_file(written(tmp_path, json.dumps(RECORD) + "\n{oops"))
        with pytest.raises(InputError, match=r"not valid JSON: .*line 2 column 1"):
            OraclePrompter.from_file(written(tmp_path, "{\noops", "broken.json"))
        with pytest.raises(InputError, match="entry 1: needs an object with 'image' and 'prompts', got int"):
            OraclePrompter.from_file(written(tmp_path, "[3]", "list.json"))
        (tmp_path / "latin.json").write_bytes(b'{"image": "\xe9"}')
        with pytest.raises(InputError, match="not UTF-8"):
            OraclePrompter.from_file(tmp_path / "latin.json")

    def test_an_empty_file_of_lines_knows_nothing(self, tmp_path):
        assert one(OraclePrompter.from_file(written(tmp_path, "\n"))).text.endswith("known images: none")
        with pytest.raises(InputError, match="'image' is missing"):
            OraclePrompter.from_file(written(tmp_path, "{}", "one.json"))


class TestCoco:
    def oracle(self, tmp_path, **changes):
        return OraclePrompter.from_file(written(tmp_path, json.dumps({**COCO, **changes}), "instances.json"))

    @pytest.mark.parametrize(
        ("instruction", "labels"),
        [
            ("all ships", ["ship"]),
            ("Ship.", ["ship"]),
            ("every storage tank", ["storage_tank"]),
            ("ships and storage tanks", ["ship", "storage_tank"]),
            ("everything", ["ship", "storage_tank"]),
        ],
    )
    def test_the_instruction_picks_the_category_that_it_names(self, tmp_path, instruction, labels):
        answer = one(self.oracle(tmp_path), instruction)
        assert [prompt.label for prompt in answer.prompts] == labels

    def test_boxes_are_scaled_to_the_image(self, tmp_path):
        assert one(self.oracle(tmp_path), "ships").prompts[0].box == (10, 20, 40, 60)

    def test_a_category_without_boxes_and_an_image_without_any_are_no_target(self, tmp_path):
        oracle = self.oracle(tmp_path)
        answer = one(oracle, "the buses")
        assert answer.outcome is Outcome.NO_TARGET
        assert answer.text == "0 known prompts of bus for 'harbour.png'."
        assert one(oracle, "ships", Image(np.zeros((10, 10, 3), np.uint8), "empty.png")).outcome is Outcome.NO_TARGET

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"images": 3}, "no list 'images'"),
            ({"categories": None}, "category 7 is not listed"),
            ({"annotations": [1]}, "needs an image_id, got 1"),
            ({"annotations": [{"image_id": 1, "bbox": [0, 0, 1, 1]}]}, "category None is not listed"),
            ({"annotations": [{"image_id": 5, "category_id": 7}]}, "annotation 0 belongs to image 5"),
            ({"annotations": [{"image_id": 1, "category_id": 7, "bbox": [0, 0, 1]}]}, "annotation 0 has no box"),
            ({"annotations": [{"image_id": 1, "category_id": 7, "bbox": [0, 0, 0, 1]}]}, "annotation 0 has no box"),
            ({"images": [{"id": 1, "file_name": "a", "width": 0, "height": 1}]}, "image 1 has no name, or no extent"),
        ],
    )
    def test_what_is_wrong_is_named_with_its_place(self, tmp_path, changes, message):
        with pytest.raises(InputError) as error:
            self.oracle(tmp_path, **changes)
        assert message in str(error.value)


def test_a_fixed_prompter_answers_in_the_frame_it_is_asked_about():
    fixed = FixedPrompter(Answer(Outcome.FOUND, Prompts.from_boxes(Frame.pixels(32, 24), [(8, 6, 24, 18)])))
    small = Image(np.zeros((12, 16, 3), np.uint8))
    assert fixed.ask([small], ["it"])[0].prompts[0].box == (4, 3, 12, 9)
