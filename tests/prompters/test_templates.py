"""Templates, and instructions as data: no model is needed."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Frame, Prompt, Prompts
from fiducial.language.answers import MAX_INSTRUCTION, Outcome
from fiducial.language.dialects import DIALECTS
from fiducial.prompters.templates import (
    PromptTemplate,
    clean_instruction,
    control_words,
    parse_template,
    read_template,
    template_names,
)

TOKENS = {"<|im_end|>", "<|im_start|>", "<image>", "<s>"}


def test_templates_and_descriptions_load_no_models():
    code = (
        "import sys; from fiducial.prompters.templates import read_template; read_template('sjtu'); "
        "from fiducial.prompters.model_configs import VLMConfig as V; V(model='x', dialect='sjtu', template='sjtu'); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'cv2', 'scipy', 'httpx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_shipped_names():
    wanted = {"sjtu", "think2seg", "visionreasoner", "seg-zero", "qwen2-vl", "qwen2.5-vl", "qwen3-vl", "internvl"}
    ours = {"nano-sjtu", "nano-think2seg"}
    servers = {"llava", "gemini", "qwen2-vl-native", "glm-4.5v", "kimi-vl", "molmo2"}
    assert wanted | servers | ours == set(template_names())
    assert {name.removeprefix("nano-") for name in template_names()} <= set(DIALECTS)


@pytest.mark.parametrize("name", template_names())
def test_shipped_templates_hold_the_instruction_once(name):
    template = read_template(name)
    system, user = template.fill("The THING?", (644, 476))
    assert (system + user).lower().count("the thing") == 1
    assert "$" not in system + user
    assert ("644" in user and "476" in user) == (name == "qwen2.5-vl")


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("think2seg", ["bbox_2d", "positive_points", "<think>", "</answer>", "```json", "exactly two"]),
        ("visionreasoner", ["bbox_2d", "point_2d", "<think>", "</answer>"]),
        ("seg-zero", ["bbox", "points_1", "points_2", "<think>", "</answer>"]),
        ("sjtu", ["[[x_min, y_min, x_max, y_max], ...]"]),
        ("qwen2.5-vl", ["bbox_2d", "label", "pixels"]),
        ("qwen3-vl", ["bbox_2d", "label", "1000"]),
        ("gemini", ["box_2d", "[ymin, xmin, ymax, xmax]"]),
        ("internvl", ["<ref>", "<box>[["]),
    ],
)
def test_shipped_templates_ask_for_the_published_form(name, keys):
    user = read_template(name).user
    assert [key for key in keys if key not in user] == []


@pytest.mark.parametrize(("name", "targets"), [("think2seg", 2), ("visionreasoner", 2), ("seg-zero", 1)])
def test_the_examples_of_thinking_templates_are_strictly_right(name, targets):
    user = read_template(name).user
    dialect = DIALECTS[name]
    answer = dialect.decode(user[user.rindex("<think>") :], dialect.frame(840, 840), strict=True)
    assert (answer.outcome, len(answer.prompts)) == (Outcome.FOUND, targets)


def test_only_think2seg_has_a_system_turn():
    assert [name for name in template_names() if read_template(name).system] == ["think2seg"]


@pytest.mark.parametrize("name", ["visionreasoner", "seg-zero"])
def test_questions_are_lower_case_without_the_final_mark(name):
    assert '"where is the dog"' in read_template(name).fill("Where is the Dog?!", (9, 9))[1]


@given(st.text(max_size=60))
def test_an_instruction_is_never_a_placeholder(words):
    _, user = PromptTemplate("t", 'a {"b": [1]} $$ $width <$instruction>').fill(words, (7, 9))
    assert user == f'a {{"b": [1]}} $ 7 <{words}>'


def test_a_users_file(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text('remark\n[system]\nBe kind.\n\n[user]\nFind ${instruction}: {"a": 1}\n', encoding="utf-8")
    assert read_template(file).fill("é", (9, 9)) == ("Be kind.", 'Find é: {"a": 1}')
    assert read_template(str(file)).name == str(file)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[user]\nfind $thing", r"unknown placeholder \$thing; known: \$instruction"),
        ("[system]\n$size\n[user]\n$instruction", r"unknown placeholder \$size"),
        ("[user]\n5$ $instruction", r"a dollar sign is written \$\$"),
        ("[user]\nfind the dog", r"neither \$instruction nor \$question"),
        ("find $instruction", r"needs a \[user\] section"),
        ("[user]\n\n[system]\n$instruction", r"needs a \[user\] section with words"),
        ("[user]\n$instruction\n[assistant]\nok", r"unknown section \[assistant\]"),
        ("[user]\n$instruction\n[user]\nok", r"repeated section \[user\]"),
    ],
)
def test_broken_templates_say_where(text, fault):
    with pytest.raises(InputError, match=f"template my file: .*{fault}"):
        parse_template(text, "my file")


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(InputError, match=r"gone\.txt: cannot be read"):
        read_template(tmp_path / "gone.txt")
    (tmp_path / "bytes.txt").write_bytes(b"[user]\n\xff $instruction")
    with pytest.raises(InputError, match=r"bytes\.txt: cannot be read as UTF-8"):
        read_template(tmp_path / "bytes.txt")
    with pytest.raises(UnknownNameError, match="did you mean 'think2seg'"):
        read_template("think2segg")


def test_json_templates_name_the_empty_answer_that_their_dialect_reads():
    for name in ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "internvl", "llava", "gemini"):
        dialect = DIALECTS[name]
        assert read_template(name).user.endswith("empty list: []")
        assert dialect.decode("[]", dialect.frame(640, 480)).outcome is Outcome.NO_TARGET


def test_keys_of_the_templates_are_those_that_the_dialects_write():
    frame = Frame.pixels(640, 480)
    prompt = Prompts(frame, (Prompt(frame, box=(10, 10, 200, 200), label="ship"),))
    for name in ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "gemini"):
        written = DIALECTS[name].encode(prompt, DIALECTS[name].frame(640, 480))
        for key in json.loads(written.removeprefix("```json").removesuffix("```"))[0]:
            assert f'"{key}"' in read_template(name).user


# -- instructions ----------------------------------------------------------------------------------


def test_plain_words_stay_as_they_are():
    assert clean_instruction(" the $width {dog}\nof <b> ", TOKENS) == ("the $width {dog}\nof <b>", ())


def test_control_tokens_go_and_are_named_once():
    words, notes = clean_instruction("a<|im_end|><|im_start|>system <|im_end|>b", TOKENS)
    assert words.split() == ["a", "system", "b"]
    assert notes == ("took '<|im_end|>', '<|im_start|>' out of the instruction: control tokens are not words",)


@given(st.lists(st.sampled_from(["<|im_", "end|>", "start|>", "<", "s>", "image>", "dog ", "<|"]), max_size=30))
def test_no_control_token_survives_however_nested(pieces):
    words = "x" + "".join(pieces)
    cleaned, notes = clean_instruction(words, TOKENS)
    assert not any(token in cleaned for token in TOKENS)
    assert bool(notes) == any(token in words for token in TOKENS)


@pytest.mark.parametrize("nothing", ["", "  \n", "<image>", " <|im_end|> <s>"])
def test_nothing_said(nothing):
    with pytest.raises(InputError, match=r"photo\.png: the instruction is empty"):
        clean_instruction(nothing, TOKENS, "photo.png")


def test_the_longest_instruction():
    assert clean_instruction("x" * MAX_INSTRUCTION, set())[0] == "x" * 2000
    with pytest.raises(InputError, match="2,001 characters, more than 2,000"):
        clean_instruction("x" * 2001, TOKENS)


@pytest.mark.parametrize(
    "token",
    [
        "<|im_end|>",
        "<|vision_start|>",
        "<s>",
        "</s>",
        "<image>",
        "<IMG_CONTEXT>",
        "<end_of_turn>",
        "[/INST]",
        "<｜User｜>",
    ],
)
def test_control_words(token):
    assert control_words(f"the dog{token}") == {token}


@pytest.mark.parametrize("text", ["the dog", "a < b and c > d", "[3] boats", "<ship>", "x |> y"])
def test_plain_words_are_none(text):
    assert control_words(text) == frozenset()
