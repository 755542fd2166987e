"""A vision-language model behind an OpenAI-compatible server as a prompter: vLLM, SGLang, Ollama, hosted ones."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fiducial.contracts import TextReply, paired
from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.language.answers import Answer, Outcome
from fiducial.language.dialects import DIALECTS, Dialect, dialect_for_family
from fiducial.language.dialects import dialect as dialect_named
from fiducial.language.dialects.drafts import thinks_on
from fiducial.language.dialects.json_grammar import JsonGrammar, ListGrammar
from fiducial.prompters.chat_client import (
    ChatClient,
    EndpointError,
    find_key,
    read_address,
    retry,
    run_apart,
)
from fiducial.prompters.configs import DRAW, SEEDS_APART
from fiducial.prompters.model_configs import EndpointConfig
from fiducial.prompters.showing import Picture, Question, Reply, ServerSizing, read_reply
from fiducial.prompters.templates import PromptTemplate, clean_instruction, control_words, read_template
from fiducial.remote import Key, excerpt

AUTOMATIC = "auto"
ENOUGH = 3
"""So many requests of a batch need to say that nobody gets through; one alone may be about its own picture."""
_JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class _Model:
    """The server's model, and how it is talked to."""

    name: str
    template: PromptTemplate
    sizing: ServerSizing
    form: Mapping[str, Any] | None
    closing: str  # at which the server is asked to end a reply, or ""


Q = TypeVar("Q")
A = TypeVar("A")
_Ask = Callable[[ChatClient, _Model, Q, int], Awaitable[A | EndpointError]]
"""Asks one question, the how manieth it is, and returns what came of it."""


class EndpointPrompter:
    """Asks a vision-language model behind an OpenAI-compatible server where things are.

    The words around the instruction and the reading of the reply are those of the VLM prompter. Each image goes to
    ``URL/chat/completions`` inside the request, as a ``data:`` URI: no URL and no path is ever sent, so a server can be
    made to fetch nothing. The size at which it is sent is that of :class:`fiducial.prompters.showing.ServerSizing`;
    set ``min_pixels`` and ``max_pixels`` where the server was started with narrower bounds than the checkpoint's own.

    The key comes from the environment and is never kept: each call of :meth:`ask` reads it. It is never sent in
    the clear to another machine unless ``allow_insecure`` says so; without a key such a server may be asked.

    A reply that stopped at ``max_new_tokens`` is ``truncated``, whatever could be read of it. A request that gave no
    reply is ``failed``, its text says why, and the others stand. Where the dialect ends with a tag, the server is asked
    to stop at it (``stop``); servers cut off what they stop at, so it is put back: the reply is read, and kept, as the
    model wrote it. A model that wrote the tag while it was thinking is asked once more, without.

    Raises:
        InputError: options that do not go together, a dialect that cannot be told from the model's name, a url that is
            none, or a key that would travel in the clear.

    Example:
        >>> EndpointPrompter(EndpointConfig(model="Qwen/Qwen2.5-VL-7B-Instruct", url="http://localhost:8000/v1/"))
        EndpointPrompter('Qwen/Qwen2.5-VL-7B-Instruct', url='http://localhost:8000/v1')
    """

    def __init__(self, config: EndpointConfig, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.config = config
        self.model = "" if config.model == AUTOMATIC else config.model
        self.address = read_address(config.url)
        self._sleep = sleep
        self._key()  # what is wrong with it is said before the first question
        drawing = {"seed": config.seed} if config.temperature else {}
        choosing = {} if config.temperature is None else {"temperature": config.temperature}
        self._fields = {**config.extra_body, config.token_limit: config.max_new_tokens, **choosing, **drawing}
        # The same is done once more when the server has told its model's name.
        self.resample = config.resample
        self._found = self._described(self.model) if self.model or config.dialect else None
        sizing = self._found.sizing if self._found else None
        self.canvas = sizing.size(*sizing.canvas) if sizing and sizing.canvas else config.canvas

    @property
    def concurrency(self) -> int:
        """How many questions the server is asked at once."""
        return self.config.concurrency

    def __repr__(self) -> str:
        return f"EndpointPrompter({self.model or AUTOMATIC!r}, url={self.address.url!r})"

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Answer each instruction for the image beside it, in its pixels; up to ``concurrency`` requests run at once.

        What a tokenizer may read as a control token is taken out of the instructions, which ``repairs`` says.

        Raises:
            InputError: a server with several models where none was named.
            EndpointError: no request got further than the configuration, all for one cause: no connection, a key that
                is refused, no such model.
        """
        questions = [
            Question(image, *clean_instruction(words, control_words(words), image.name))
            for image, words in paired(images, instructions)
        ]
        if not questions:
            return []
        results = run_apart(self._ask_all, questions, self._answer)
        return [
            Answer(Outcome.FAILED, Prompts(question.image.frame), text=str(result), repairs=question.notes)
            if isinstance(result, EndpointError)
            else result
            for question, result in zip(questions, results, strict=True)
        ]

    def sampled(self, number: int) -> EndpointPrompter:
        """Return the same prompter, its requests with another seed for each number."""
        if not self.config.varies:
            raise InputError(f"{self.model or AUTOMATIC}: nothing is drawn: asking again changes nothing: {DRAW}")
        return EndpointPrompter(replace(self.config, seed=self.config.seed + SEEDS_APART * number), sleep=self._sleep)

    def converse(self, images: Sequence[Sequence[Image]], texts: Sequence[str]) -> list[TextReply]:
        """Reply to each text about the images beside it, in the model's own words; see :class:`Conversational`.

        Images are sent at the size of those that are asked about. Errors are those of :meth:`ask`.
        """
        talks = [
            (tuple(shown), clean_instruction(words, control_words(words))[0])
            for shown, words in zip(images, texts, strict=True)
        ]
        if not talks:
            return []
        results = run_apart(self._ask_all, talks, self._say)
        return [
            TextReply("", failure=str(result)) if isinstance(result, EndpointError) else result for result in results
        ]

    async def _ask_all(self, questions: list[Q], ask: _Ask[Q, A]) -> list[A | EndpointError]:
        """Ask, but spare the server the rest once three said that nobody gets through and none got further.

        Raises:
            EndpointError: nobody got through, all for one cause.
        """
        async with ChatClient(self.address, self._key(), timeout=self.config.timeout) as client:
            if self._found is None or not self._found.name:
                self._found = self._described(self.model or await self._only_model(client))
            model, limit = self._found, asyncio.Semaphore(self.config.concurrency)
            results: dict[int, A | EndpointError] = {}
            refusals: list[EndpointError] = []

            async def answer(place: int) -> None:
                async with limit:
                    if len(refusals) >= ENOUGH and len(refusals) == len(results):
                        return
                    results[place] = result = await ask(client, model, questions[place], place)
                    if isinstance(result, EndpointError) and result.for_all:
                        refusals.append(result)

            await asyncio.gather(*map(answer, range(len(questions))))
            if len(refusals) < len(results):
                # Some request did get through after all, so those held back deserve their chance.
                await asyncio.gather(*(answer(place) for place in range(len(questions)) if place not in results))
        found = [results.get(place) or refusals[0] for place in range(len(questions))]
        errors = [result for result in found if isinstance(result, EndpointError)]
        if len(errors) == len(found) and len({error.cause for error in errors}) == 1 and errors[0].for_all:
            raise errors[0]
        return found

    async def _say(
        self, client: ChatClient, model: _Model, talk: tuple[tuple[Image, ...], str], place: int
    ) -> TextReply | EndpointError:
        images, words = talk

        def request() -> bytes:
            shown = [data_uri(model.sizing.picture(image), self.config.image_format) for image in images]
            turns = messages("", words, *shown)
            return json.dumps({"model": model.name, "messages": turns, **self._fields}).encode()

        body = await asyncio.to_thread(request)

        async def attempt(seconds: float) -> tuple[Reply, bool]:
            return _parse(await client.ask("/chat/completions", body, seconds=seconds), "")

        try:
            reply, _ = await self._retried(attempt, str(place))
        except EndpointError as error:
            return error
        return TextReply(reply.text, reply.finished, reply.thinking)

    async def _answer(
        self, client: ChatClient, model: _Model, question: Question, place: int
    ) -> Answer | EndpointError:
        try:
            picture, reply, closed = await self._reply(client, model, question, place)
            if closed and (thinks_on(reply.text) or (reply.thinking and not reply.text)):
                picture, reply, _ = await self._reply(client, replace(model, closing=""), question, place)
        except EndpointError as error:
            return error
        limit = f"max_new_tokens={self.config.max_new_tokens}, or where the server's context ends"
        dialect = model.sizing.dialect
        return read_reply(reply, dialect, picture, picture.size, question, self.config.suppress, limit)

    async def _reply(
        self, client: ChatClient, model: _Model, question: Question, place: int
    ) -> tuple[Picture, Reply, bool]:
        """Return the picture as it was sent, the reply, and whether it was ended at the closing text."""
        # Pictures are written in a thread, so that the others' time does not run out meanwhile.
        picture, body = await asyncio.to_thread(self._request, model, question)

        async def attempt(seconds: float) -> tuple[Reply, bool]:
            value = await client.ask("/chat/completions", body, seconds=seconds, structured=self.config.structured)
            return _parse(value, model.closing)

        return picture, *await self._retried(attempt, str(place))

    def _request(self, model: _Model, question: Question) -> tuple[Picture, bytes]:
        """Return the picture as it is sent, and the body of the request."""
        picture = model.sizing.picture(question.image)
        system, user = model.template.fill(question.instruction, picture.size)
        turns = messages(system, user, data_uri(picture, self.config.image_format))
        form = {} if model.form is None else {"response_format": model.form}
        stop = {"stop": [model.closing]} if model.closing else {}
        return picture, json.dumps({"model": model.name, "messages": turns, **stop, **self._fields, **form}).encode()

    async def _only_model(self, client: ChatClient) -> str:
        value = await self._retried(lambda seconds: client.ask("/models", seconds=seconds), "models")
        listed = value.get("data") if isinstance(value, Mapping) else None
        entries = listed if isinstance(listed, list) else []
        names = [str(entry["id"]) for entry in entries if isinstance(entry, Mapping) and entry.get("id")]
        if len(names) != 1:
            known = excerpt(", ".join(sorted(names))) or "none"
            raise InputError(f"the server at {self.address.url} has {len(names)} models, so name one of them: {known}")
        return names[0]

    def _retried(self, attempt: Callable[[float], Awaitable[Any]], question: str) -> Awaitable[Any]:
        seed = f"{self.config.seed}:{question}"
        return retry(attempt, retries=self.config.retries, deadline=self.config.deadline, seed=seed, sleep=self._sleep)

    def _described(self, name: str) -> _Model:
        config = self.config
        dialect = dialect_named(config.dialect) if config.dialect else _dialect_of(name)
        sizing = ServerSizing(dialect, config.canvas, config.min_pixels, config.max_pixels, config.resample)
        form = response_format(dialect) if config.structured else None
        closing = "" if config.stop == "never" or "stop" in config.extra_body else dialect.closing
        return _Model(name, read_template(config.template or dialect.name), sizing, form, closing)

    def _key(self) -> Key:
        return find_key(self.address, self.config.key_variable, allow_insecure=self.config.allow_insecure)


def _dialect_of(model: str) -> Dialect:
    try:
        return dialect_for_family(model)
    except UnknownNameError:
        raise InputError(
            f"the name {model!r} does not tell how the model writes coordinates: set dialect to one of "
            f"{', '.join(sorted(DIALECTS))}"
        ) from None


# -- what is sent and what comes back -------------------------------------------------------------------


def data_uri(picture: Picture, image_format: str) -> str:
    """Write a picture into a ``data:`` URI: pixels only, so that the server has nothing to fetch."""
    from PIL import Image as PillowImage

    file = io.BytesIO()
    options: dict[str, Any] = {"quality": _JPEG_QUALITY} if image_format == "jpeg" else {"compress_level": 3}
    PillowImage.fromarray(picture.pixels).save(file, format=image_format.upper(), **options)
    return f"data:image/{image_format};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def messages(system: str, user: str, *pictures: str) -> list[dict[str, Any]]:
    """Write the turns of a chat: the system's, unless it is "", and the user's with the pictures before the words."""
    shown = [{"type": "image_url", "image_url": {"url": picture}} for picture in pictures]
    content: list[dict[str, Any]] = [*shown, {"type": "text", "text": user}]
    turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
    return [{"role": "system", "content": system}, *turns] if system else turns


def response_format(dialect: Dialect) -> dict[str, Any]:
    """Return the ``response_format`` of a request that wants the dialect's form and nothing else.

    The form is a list at the top, as the dialect writes it; vLLM, SGLang and Ollama take that. Where a dialect has
    labels each item needs one. The numbers are bounded where the dialect counts whole steps of the picture, so that
    they cannot leave it.

    Raises:
        InputError: the dialect writes no JSON, or writes thinking before it, which a schema would forbid.

    Example:
        >>> from fiducial.language.dialects import dialect
        >>> schema = response_format(dialect("qwen3-vl"))["json_schema"]["schema"]
        >>> [sorted(kind["properties"]) for kind in schema["items"]["anyOf"]]
        [['bbox_2d', 'label'], ['label', 'point_2d']]
    """
    schema = _list_of(_item(dialect))
    return {"type": "json_schema", "json_schema": {"name": "prompts", "strict": True, "schema": schema}}


def _item(dialect: Dialect) -> dict[str, Any]:
    grammar = dialect.grammar
    if isinstance(grammar, ListGrammar) and not any(grammar.marks):
        return _list_of({"type": "number"}, 4)
    if not isinstance(grammar, JsonGrammar):
        raise InputError(f"dialect {dialect.name!r} writes no JSON: structured output cannot hold it")
    if grammar.tags or grammar.fence == "required" or grammar.single:
        raise InputError(
            f"dialect {dialect.name!r} writes more than one JSON list (thinking, tags, a fence): structured output "
            "would forbid that; take it without, or another dialect"
        )
    number: dict[str, Any] = {"type": "number" if grammar.decimals else "integer"}
    if dialect.extent is not None:
        number |= {"minimum": 0, "maximum": int(dialect.extent)}
    point = _list_of(number, 2)
    box = {grammar.box_key: _list_of(number, 4)}
    points = {key.name: _list_of(point, key.count) if key.nested else point for key in grammar.points}
    kinds = [box, *({name: rule} for name, rule in points.items())] if grammar.either else [box | points]
    label = {grammar.label_key: {"type": "string"}} if grammar.label_key else {}
    items = [
        {"type": "object", "properties": one | label, "required": [*one, *label], "additionalProperties": False}
        for one in kinds
    ]
    return {"anyOf": items} if grammar.either else items[0]


def _list_of(rule: dict[str, Any], count: int | None = None) -> dict[str, Any]:
    counted = {} if count is None else {"minItems": count, "maxItems": count}
    return {"type": "array", "items": rule, **counted}


def _parse(value: Any, closing: str) -> tuple[Reply, bool]:
    """Read a chat completion from the JSON value that the server sent, and whether it was ended at the closing text."""
    if not isinstance(value, Mapping):
        raise EndpointError(f"the server replied with JSON that is no chat completion ({type(value).__name__})")
    choices = value.get("choices")
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        error = value.get("error")
        said = error.get("message", error) if isinstance(error, Mapping) else error
        what = f"with an error: {excerpt(str(said))}" if error else "without any choice"
        raise EndpointError(f"the server replied {what}")
    choice = choices[0] if isinstance(choices[0], Mapping) else {}
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise EndpointError("the server replied with a choice that holds no message")
    reason, content = choice.get("finish_reason"), message.get("content")
    if refusal := _joined(message.get("refusal")) or _joined(content, "refusal", "refusal", " "):
        raise EndpointError(f"the model refused: {excerpt(refusal)}")
    if reason == "content_filter":
        raise EndpointError("the server withheld the reply (finish_reason content_filter)")
    text = _joined(content)
    if not text and message.get("tool_calls"):
        raise EndpointError("the model called a tool instead of replying: switch the server's tool choice off")
    thinking = _joined(message.get("reasoning_content")) or _joined(message.get("reasoning"))
    kept = bool(closing) and text.rstrip().endswith(closing)
    cut = bool(closing) and not kept and reason == "stop" and _cut_off(closing, choice, text or thinking)
    text += closing if cut and text else ""
    return Reply(text, finished=reason != "length", thinking=thinking), kept or cut


def _cut_off(closing: str, choice: Mapping[str, Any], written: str) -> bool:
    """Tell whether a server took a closing tag off at which it stopped; otherwise the model ended there.

    vLLM and SGLang say so. Of the others it is thought where the answer was opened and not closed, as OpenAI describes
    its interface.
    """
    for key in ("stop_reason", "matched_stop"):
        if key in choice:
            return bool(choice[key] == closing)
    return written.rfind(closing.replace("</", "<")) > written.rfind(closing)


def _joined(content: Any, kind: str = "text", key: str = "text", between: str = "") -> str:
    """Return the text of a content, which is a string or a list of parts of several kinds."""
    if isinstance(content, str):
        return content if kind == "text" else ""
    parts = content if isinstance(content, list) else []
    texts = (part.get(key) for part in parts if isinstance(part, Mapping) and part.get("type", "text") == kind)
    return between.join(text for text in texts if isinstance(text, str))
