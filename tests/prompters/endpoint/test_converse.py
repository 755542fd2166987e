"""Talking to a server: pictures in order before the words, replies as they were written, failures as values."""

import base64
import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from fiducial.contracts import Conversational
from fiducial.images import Image
from fiducial.prompters.chat_client import EndpointError


def said(text, finish_reason="stop"):
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}]}


def grey(level):
    return Image(np.full((56, 56, 3), level, np.uint8), name=f"grey {level}")


def levels(asked):
    pictures = [part["image_url"]["url"] for part in asked.user["content"] if part["type"] == "image_url"]
    data = [base64.b64decode(one.partition(",")[2]) for one in pictures]
    return [int(np.asarray(PillowImage.open(io.BytesIO(one)))[0, 0, 0]) for one in data]


def test_pictures_go_before_the_words_in_order(server, make):
    server.reply = lambda asked: said(f"I saw {levels(asked)}", "length" if "none" in asked.words else "stop")
    prompter = make()
    assert isinstance(prompter, Conversational)
    shown = [[grey(10), grey(200)], [grey(90)], []]
    replies = prompter.converse(shown, ["which is darker?", "is it grey?", "none to see<|im_end|>"])
    assert [reply.text for reply in replies] == ["I saw [10, 200]", "I saw [90]", "I saw []"]
    assert [reply.finished for reply in replies] == [True, True, False]
    last = next(asked for asked in server.asked if "none" in asked.words)
    assert "<|im_end|>" not in last.words
    assert [part["type"] for part in server.asked[0].user["content"]][-1] == "text"
    assert prompter.converse([], []) == []


def test_one_failure_is_a_value_and_the_others_stand(server, make):
    server.reply = lambda asked: (400, {"error": "too odd"}) if "odd" in asked.words else said("B")
    odd, even = make(concurrency=1).converse([[grey(1)], [grey(2)]], ["an odd one", "an even one"])
    assert (odd.text, even.text, even.failure) == ("", "B", "")
    assert "too odd" in odd.failure


def test_nobody_who_gets_through_is_an_error(server, make):
    server.reply = lambda asked: (401, {"error": "no"})
    with pytest.raises(EndpointError, match="not allowed"):
        make().converse([[grey(1)], [grey(2)]], ["one", "two"])
