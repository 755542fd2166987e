"""A vision-language model behind an OpenAI-compatible server as a prompter: vLLM, SGLang, Ollama, hosted ones."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.language.answers import Answer, Outcome
from fiducial.language.dialects import DIALECTS, Dialect, dialect_for_family
from fiducial.language.dialects import dialect as dialect_named
from fiducial.language.dialects.json_grammar import JsonGrammar, ListGrammar
from fiducial.prompters.chat_client import (
    KEY_VARIABLE,
    ChatClient,
    EndpointError,
    excerpt,
    find_key,
    read_address,
    retry,
    run_apart,
)
from fiducial.prompters.showing import Picture, Question, Reply, ServerSizing, Size, read_reply
from fiducial.prompters.templates import PromptTemplate, clean_instruction, control_words, read_template

MAX_NEW_TOKENS = 1024
AUTOMATIC = "auto"
ENOUGH = 3
"""So many requests of a batch need to say that nobody gets through; one alone may be about its own picture."""
ImageFormat = Literal["png", "jpeg"]
TokenLimit = Literal["max_tokens", "max_completion_tokens"]
_JPEG_QUALITY = 95
_OURS = ("model", "messages", "temperature", "seed", "n", "stream", "response_format", *get_args(TokenLimit))


@dataclass(frozen=True, slots=True)
class _Model:
    """The server's model, and how it is talked to."""

    name: str
    template: PromptTemplate
    sizing: ServerSizing
    form: Mapping[str, Any] | None


class EndpointPrompter:
    """Asks a vision-language model behind an OpenAI-compatible server where things are.

    The words around the instruction and the reading of the reply are those of the VLM prompter. Each image goes to
    ``URL/chat/completions`` inside the request, as a ``data:`` URI: no URL and no path is ever sent, so a server can be
    made to fetch nothing. The size at which it is sent is that of :class:`fiducial.prompters.showing.ServerSizing`;
    set ``min_pixels`` and ``max_pixels`` where the server was started with narrower bounds than the checkpoint's own.

    The key comes from the environment and is never kept: each call of :meth:`ask` reads it. It is never sent in
    the clear to another machine unless ``allow_insecure`` says so; without a key such a server may be asked.

    A reply that stopped at ``max_new_tokens`` is ``truncated``, whatever could be read of it. A request that gave no
    reply is ``failed``, its text says why, and the others stand.

    Args:
        model: the model's name on the server; ``""`` or ``"auto"`` takes the only one that the server has.
        url: such as ``http://localhost:8000/v1``, which is the default where the environment's FIDUCIAL_ENDPOINT names
            no other.
        dialect: how the model writes coordinates; default: that of the family that the model's name begins with.
        template: a shipped template's name, or a ``.txt`` file; default: that of the dialect.
        canvas: (width, height) in pixels to which every image is stretched; None takes the dialect's square, if it
            has one, and otherwise keeps the aspect.
        min_pixels: least number of pixels of a picture (dialects of Qwen's models).
        max_pixels: greatest number of pixels of a picture; default 1280 patches of 28 x 28 pixels, about a million.
        image_format: ``"png"``, or ``"jpeg"`` (quality 95), which is smaller.
        max_new_tokens: the most tokens of a reply.
        temperature: 0 takes the likeliest token; None leaves it to the server.
        seed: of the server's draws, where the temperature is above 0, and of the waits between attempts.
        structured: make the server hold the model to the dialect's JSON.
        suppress: IoU above which a box goes that overlaps a larger one; None keeps all.
        timeout: seconds for one request.
        deadline: seconds for one question, all attempts and waits together.
        concurrency: the most requests at once, per call of :meth:`ask`.
        retries: most attempts after the first, for statuses 429, 500, 502, 503 and 504, lost connections and timeouts.
        key_variable: the environment variable that holds the key; "" sends none. For OpenAI's own hosts, and for no
            other, OPENAI_API_KEY is looked at too.
        allow_insecure: send the key over plain http to another machine too.
        token_limit: what the server calls ``max_new_tokens``; OpenAI's newer models want ``"max_completion_tokens"``.
        extra_body: further fields of every request, such as ``{"skip_special_tokens": False}``.
        sleep: waits between attempts.

    Raises:
        InputError: an option out of its range, a dialect that cannot be told from the model's name, a url that is none,
            or a key that would travel in the clear.
        UnknownNameError: no such dialect or template.

    Example:
        >>> EndpointPrompter("Qwen/Qwen2.5-VL-7B-Instruct", url="http://localhost:8000/v1/")
        EndpointPrompter('Qwen/Qwen2.5-VL-7B-Instruct', url='http://localhost:8000/v1')
    """

    def __init__(
        self,
        model: str = "",
        *,
        url: str | None = None,
        dialect: str | Dialect | None = None,
        template: str | Path | PromptTemplate | None = None,
        canvas: Sequence[int] | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        image_format: ImageFormat = "png",
        max_new_tokens: int = MAX_NEW_TOKENS,
        temperature: float | None = 0.0,
        seed: int = 0,
        structured: bool = False,
        suppress: float | None = None,
        timeout: float = 120.0,
        deadline: float = 600.0,
        concurrency: int = 8,
        retries: int = 4,
        key_variable: str | None = KEY_VARIABLE,
        allow_insecure: bool = False,
        token_limit: TokenLimit = "max_tokens",
        extra_body: Mapping[str, Any] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        _check_choice("image_format", image_format, get_args(ImageFormat))
        _check_choice("token_limit", token_limit, get_args(TokenLimit))
        _check_counts(1, max_new_tokens=max_new_tokens, concurrency=concurrency)
        _check_counts(0, retries=retries)
        _check_seconds(timeout=timeout, deadline=deadline)
        if temperature is not None and not (_is_number(temperature) and 0 <= temperature < math.inf):
            raise InputError(
                f"the temperature needs to be at least 0, got {temperature!r}; null leaves it to the server"
            )
        if suppress is not None and not 0 <= suppress <= 1:
            raise InputError(f"suppress lies in 0..1, got {suppress}")
        self.model = "" if model == AUTOMATIC else model
        self.address = read_address(url)
        self.image_format: ImageFormat = image_format
        self.max_new_tokens = max_new_tokens
        self.structured = structured
        self.suppress = suppress
        self.timeout = timeout
        self.deadline = deadline
        self.concurrency = concurrency
        self.retries = retries
        self._seed = seed
        self._sleep = sleep
        self._key_variable = key_variable
        self._allow_insecure = allow_insecure
        self._key()  # what is wrong with it is said before the first question
        self._dialect = dialect_named(dialect) if isinstance(dialect, str) else dialect
        self._template = read_template(template) if isinstance(template, (str, Path)) else template
        self._sizes = (None if canvas is None else tuple(canvas), min_pixels, max_pixels)
        drawing = {"seed": seed} if temperature else {}
        choosing = {} if temperature is None else {"temperature": temperature}
        self._fields = {**_checked_extra(extra_body), token_limit: max_new_tokens, **choosing, **drawing}
        # The same is done once more when the server has told its model's name.
        self._found = self._described(self.model) if self.model or self._dialect else None
        sizing = self._found.sizing if self._found else None
        sent = sizing.size(*sizing.canvas) if sizing and sizing.canvas else self._sizes[0]
        self.canvas: Size | None = sent  # type: ignore[assignment]  # its length was checked, or will be

    def __repr__(self) -> str:
        return f"EndpointPrompter({self.model or AUTOMATIC!r}, url={self.address.url!r})"

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Answer each instruction for the image beside it; up to ``concurrency`` requests run at once.

        Args:
            images: the images.
            instructions: one per image, up to 2,000 characters each. What a tokenizer may read as a control token is
                taken out, which ``repairs`` says.

        Returns:
            One answer per image, in order, its prompts in the pixel frame of that image.

        Raises:
            InputError: another number of instructions than of images, an instruction that is empty or too long, or
                a server with several models where none was named.
            EndpointError: no request got further than the configuration, all for one cause: no connection, a key that
                is refused, no such model.
        """
        if len(images) != len(instructions):
            raise InputError(f"{len(images)} images need as many instructions, got {len(instructions)}")
        questions = [
            Question(image, *clean_instruction(words, control_words(words), image.name))
            for image, words in zip(images, instructions, strict=True)
        ]
        if not questions:
            return []
        results = run_apart(self._ask_all, questions)
        errors = [result for result in results if isinstance(result, EndpointError)]
        if len(errors) == len(results) and len({error.cause for error in errors}) == 1 and errors[0].for_all:
            raise errors[0]
        return [
            Answer(Outcome.FAILED, Prompts(question.image.frame), text=str(result), repairs=question.notes)
            if isinstance(result, EndpointError)
            else result
            for question, result in zip(questions, results, strict=True)
        ]

    async def _ask_all(self, questions: list[Question]) -> list[Answer | EndpointError]:
        """Ask, but spare the server the rest once three said that nobody gets through and none got further."""
        async with ChatClient(self.address, self._key(), timeout=self.timeout) as client:
            if self._found is None or not self._found.name:
                self._found = self._described(self.model or await self._only_model(client))
            model, limit = self._found, asyncio.Semaphore(self.concurrency)
            results: dict[int, Answer | EndpointError] = {}
            refusals: list[EndpointError] = []

            async def answer(place: int) -> None:
                async with limit:
                    if len(refusals) >= ENOUGH and len(refusals) == len(results):
                        return
                    results[place] = result = await self._answer(client, model, questions[place], place)
                    if isinstance(result, EndpointError) and result.for_all:
                        refusals.append(result)

            await asyncio.gather(*map(answer, range(len(questions))))
            if len(refusals) < len(results):
                # Some request did get through after all, so those held back deserve their chance.
                await asyncio.gather(*(answer(place) for place in range(len(questions)) if place not in results))
        return [results.get(place) or refusals[0] for place in range(len(questions))]

    async def _answer(
        self, client: ChatClient, model: _Model, question: Question, place: int
    ) -> Answer | EndpointError:
        # Pictures are written in a thread, so that the others' time does not run out meanwhile.
        picture, body = await asyncio.to_thread(self._request, model, question)

        async def attempt(seconds: float) -> Reply:
            return _parse(await client.ask("/chat/completions", body, seconds=seconds, structured=self.structured))

        try:
            reply = await self._retried(attempt, str(place))
        except EndpointError as error:
            return error
        limit = f"max_new_tokens={self.max_new_tokens}, or where the server's context ends"
        dialect = model.sizing.dialect
        return read_reply(reply, dialect, picture, picture.size, question, suppress=self.suppress, limit=limit)

    def _request(self, model: _Model, question: Question) -> tuple[Picture, bytes]:
        """Return the picture as it is sent, and the body of the request."""
        picture = model.sizing.picture(question.image)
        system, user = model.template.fill(question.instruction, picture.size)
        turns = messages(system, user, data_uri(picture, self.image_format))
        form = {} if model.form is None else {"response_format": model.form}
        return picture, json.dumps({"model": model.name, "messages": turns, **self._fields, **form}).encode()

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
        seed = f"{self._seed}:{question}"
        return retry(attempt, retries=self.retries, deadline=self.deadline, seed=seed, sleep=self._sleep)

    def _described(self, name: str) -> _Model:
        dialect = self._dialect or _dialect_of(name)
        sizing = ServerSizing(dialect, *self._sizes)  # type: ignore[arg-type]  # the canvas is checked there
        template = self._template or read_template(dialect.name)
        return _Model(name, template, sizing, response_format(dialect) if self.structured else None)

    def _key(self) -> Any:
        return find_key(self.address, self._key_variable, allow_insecure=self._allow_insecure)


def _dialect_of(model: str) -> Dialect:
    try:
        return dialect_for_family(model)
    except UnknownNameError:
        raise InputError(
            f"the name {model!r} does not tell how the model writes coordinates: set dialect to one of "
            f"{', '.join(sorted(DIALECTS))}"
        ) from None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_choice(option: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise UnknownNameError(option, str(value), known)


def _check_counts(least: int, **options: Any) -> None:
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{option} needs to be a whole number, at least {least}, got {value!r}")


def _check_seconds(**options: Any) -> None:
    for option, value in options.items():
        if not _is_number(value) or not 0 < value < math.inf:
            raise InputError(f"{option} needs to be a number of seconds above 0, got {value!r}")


def _checked_extra(extra: Mapping[str, Any] | None) -> dict[str, Any]:
    fields = dict(extra or {})
    if taken := sorted(fields.keys() & set(_OURS)):
        raise InputError(f"extra_body cannot set {', '.join(taken)}: the prompter's own options do")
    try:
        json.dumps(fields, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"extra_body needs plain JSON values ({error})") from None
    return fields


# -- what is sent and what comes back -------------------------------------------------------------------


def data_uri(picture: Picture, image_format: ImageFormat) -> str:
    """Write a picture into a ``data:`` URI: pixels only, so that the server has nothing to fetch."""
    from PIL import Image as PillowImage

    file = io.BytesIO()
    options: dict[str, Any] = {"quality": _JPEG_QUALITY} if image_format == "jpeg" else {"compress_level": 3}
    PillowImage.fromarray(picture.pixels).save(file, format=image_format.upper(), **options)
    return f"data:image/{image_format};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def messages(system: str, user: str, picture: str) -> list[dict[str, Any]]:
    """Write the turns of a chat: the system's, unless it is "", and the user's with the picture before the words."""
    content = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": user}]
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
    if isinstance(grammar, ListGrammar):
        return _list_of({"type": "number"}, 4)
    if not isinstance(grammar, JsonGrammar):
        raise InputError(f"dialect {dialect.name!r} writes no JSON: structured output cannot hold it")
    if grammar.tags or grammar.fence == "required" or grammar.single:
        raise InputError(
            f"dialect {dialect.name!r} writes more than one JSON list (thinking, tags, a fence): structured output "
            "would forbid that; take it without, or another dialect"
        )
    number: dict[str, Any] = {"type": "integer"}
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


def _parse(value: Any) -> Reply:
    """Read a chat completion from the JSON value that the server sent."""
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
    return Reply(text, finished=reason != "length", thinking=thinking)


def _joined(content: Any, kind: str = "text", key: str = "text", between: str = "") -> str:
    """Return the text of a content, which is a string or a list of parts of several kinds."""
    if isinstance(content, str):
        return content if kind == "text" else ""
    parts = content if isinstance(content, list) else []
    texts = (part.get(key) for part in parts if isinstance(part, Mapping) and part.get("type", "text") == kind)
    return between.join(text for text in texts if isinstance(text, str))
