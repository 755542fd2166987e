"""Replies that a server ends at the dialect's closing tag; and vLLM with an AWQ checkpoint, as it answers."""

import pytest

from fiducial.errors import InputError
from fiducial.language.answers import Outcome

ITEMS = '[{"bbox_2d": [210, 210, 630, 420], "point_2d": [420, 315]}]'
REPLY = f"<think>It is brown.</think>\n<answer>\n{ITEMS}\n</answer>"
DRAFT = f"<think>I put it into <answer></answer>: {ITEMS}</think>\n<answer>\n{ITEMS}\n</answer>"
BOX = (50, 30, 150, 60)


class Writing:
    """A server whose model would write a text: it stops where it is told to, as OpenAI's interface says.

    Args:
        text: what the model would write, to its own end.
        told: the key under which the server says at what it stopped, None for a server that does not say.
        keeps: whether what it stopped at stays in the reply.
        limit: characters that stand for ``max_tokens``.
        parser: whether thinking is taken out of the reply, as vLLM's reasoning parsers do.
    """

    def __init__(self, completion, text, *, told="stop_reason", keeps=False, limit=10_000, parser=False):
        self.completion, self.text, self.told = completion, text, told
        self.keeps, self.limit, self.parser = keeps, limit, parser

    def __call__(self, asked):
        text, reason, at = self.text[: self.limit], "stop", None
        found = [(text.index(stop), stop) for stop in asked.body.get("stop", []) if stop in text]
        if found:
            place, at = min(found)
            text = text[: place + (len(at) if self.keeps else 0)]
        elif len(self.text) > self.limit:
            reason = "length"
        more = {}
        if self.parser:
            thinking, closed, text = text.removeprefix("<think>").partition("</think>")
            text, more = (text if closed else None), {"reasoning_content": thinking}
        reply = self.completion(text, finish_reason=reason, **more)
        reply["model"] = asked.body["model"]
        if self.told:
            reply["choices"][0][self.told] = at
        return reply


@pytest.fixture
def ask(make, picture):
    return lambda **options: make("visionreasoner", **options).ask([picture()], ["the dog"])[0]


SERVERS = [
    {"told": "stop_reason"},
    {"told": "matched_stop"},
    {"told": None},
    {"told": "stop_reason", "keeps": True},
    {"told": None, "keeps": True},
]


@pytest.mark.parametrize("server_is", SERVERS, ids=str)
@pytest.mark.parametrize("after", ["", "\n\nIs there anything else? <answer>[]</answer>"])
def test_the_closing_tag_is_asked_for_and_put_back(server, ask, written, server_is, after):
    server.reply = Writing(written, REPLY + after, **server_is)
    answer = ask()
    assert server.asked[0].body["stop"] == ["</answer>"]
    assert (answer.outcome, answer.raw, answer.repairs) == (Outcome.FOUND, REPLY, ())
    assert answer.prompts[0].box == pytest.approx(BOX)
    assert len(server.asked) == 1


@pytest.mark.parametrize("told", ["stop_reason", "matched_stop"])
def test_nothing_is_put_back_where_the_model_ended_itself(server, ask, written, told):
    server.reply = Writing(written, REPLY.removesuffix("</answer>"), told=told)
    answer = ask()
    assert not answer.raw.endswith("</answer>")
    assert "answer not closed" in answer.repairs
    server.reply = Writing(written, "There is no dog.", told=None)
    assert ask().raw == "There is no dog."


@pytest.mark.parametrize("server_is", SERVERS, ids=str)
def test_a_tag_in_the_thinking_costs_one_more_request_and_no_answer(server, ask, written, server_is):
    server.reply = Writing(written, DRAFT, **server_is)
    answer = ask()
    assert ["stop" in asked.body for asked in server.asked] == [True, False]
    assert answer.raw == DRAFT
    assert answer.outcome is Outcome.FOUND
    assert answer.prompts[0].box == pytest.approx(BOX)
    first, second = ({**asked.body, "stop": None} for asked in server.asked)
    assert first == second


def test_thinking_that_the_server_keeps_apart(server, ask, written):
    server.reply = Writing(written, REPLY, parser=True)
    answer = ask()
    assert (answer.outcome, answer.thinking) == (Outcome.FOUND, "It is brown.")
    assert answer.raw.endswith("</answer>")
    assert len(server.asked) == 1
    server.reply = Writing(written, DRAFT, parser=True)
    again = ask()
    assert again.prompts == answer.prompts
    assert len(server.asked) == 3


def test_a_reply_cut_at_the_limit_gets_no_tag_and_stays_truncated(server, ask, written):
    for told in ("stop_reason", None):
        server.reply = Writing(written, REPLY, told=told, limit=len(REPLY) - len("\n</answer>"))
        answer = ask()
        assert answer.outcome is Outcome.TRUNCATED
        assert answer.raw == REPLY.removesuffix("\n</answer>")
        assert len(answer.prompts) == 1


def test_who_wants_no_stop_gets_none(server, make, ask, picture, written):
    server.reply = Writing(written, REPLY)
    assert ask(stop="never").raw == REPLY
    own = ask(extra_body={"stop": ["\n\n"]})
    assert (own.outcome, own.raw) == (Outcome.FOUND, REPLY)
    make("qwen2.5-vl").ask([picture()], ["the dog"])  # a list has no closing text of its own
    assert [asked.body.get("stop") for asked in server.asked] == [None, ["\n\n"], None]
    with pytest.raises(InputError, match="stop: 'form'"):
        make("visionreasoner", stop="form")


# -- an AWQ checkpoint behind vLLM --------------------------------------------------------------------

AWQ = "Qwen/Qwen2.5-VL-7B-Instruct-AWQ"


def vllm(content, reason="stop", at=None):
    """A chat completion with the fields that vLLM writes."""
    message = {"role": "assistant", "content": content, "reasoning_content": None, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason, "stop_reason": at}
    usage = {"prompt_tokens": 412, "total_tokens": 437, "completion_tokens": 25, "prompt_tokens_details": None}
    more = {"service_tier": None, "system_fingerprint": None, "prompt_logprobs": None, "kv_transfer_params": None}
    named = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": AWQ}
    return {**named, "choices": [choice], "usage": usage, **more}


FENCED = '```json\n[\n\t{"bbox_2d": [49, 28, 147, 56], "label": "dog"}\n]\n```'


@pytest.mark.parametrize("model", [AWQ, "auto"])
def test_an_awq_checkpoint_is_asked_like_any_other(server, make, picture, model):
    """Its dialect, and so the size of the picture, is told by its name; nothing in the request is about its weights."""
    server.models, server.reply = [AWQ], lambda asked: vllm(FENCED)
    answer = make(model).ask([picture()], ["the dog"])[0]
    assert (answer.outcome, answer.repairs) == (Outcome.FOUND, ())
    assert answer.prompts[0].box == pytest.approx(BOX)
    body = server.asked[-1].body
    assert body["model"] == AWQ
    assert server.asked[-1].picture.shape == (112, 196, 3)
    assert set(body) == {"model", "messages", "max_tokens", "temperature"}


def test_an_awq_checkpoint_that_ran_into_the_limit(server, make, picture):
    server.reply = lambda asked: vllm(FENCED[:-6] + ',\n\t{"bbox_2d": [49, ', "length")
    answer = make(AWQ, max_new_tokens=25).ask([picture()], ["the dog"])[0]
    assert (answer.outcome, len(answer.prompts)) == (Outcome.TRUNCATED, 1)
    assert answer.repairs[-1].startswith("the reply was cut at max_new_tokens=25")


def test_an_awq_checkpoint_of_a_thinking_model(server, make, picture):
    server.reply = lambda asked: vllm(REPLY.removesuffix("</answer>"), at="</answer>")
    answer = make("my-reasoner-AWQ", dialect="visionreasoner").ask([picture()], ["the dog"])[0]
    assert (answer.outcome, answer.raw, answer.thinking) == (Outcome.FOUND, REPLY, "It is brown.")
