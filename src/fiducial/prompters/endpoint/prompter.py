"""A vision-language model behind an OpenAI-compatible server as a prompter."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from fiducial.errors import InputError, UnknownNameError
from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.language.answers import Answer, Outcome
from fiducial.language.dialects import DIALECTS, Dialect, dialect_for_family
from fiducial.language.dialects import dialect as dialect_named
from fiducial.prompters.endpoint.client import KEY_VARIABLE, Client, find_key, load_httpx, read_address
from fiducial.prompters.endpoint.payload import (
    ImageFormat,
    Reply,
    Showing,
    control_words,
    data_uri,
    messages,
    read_reply,
)
from fiducial.prompters.endpoint.retrying import Backoff, Breaker, EndpointError
from fiducial.prompters.endpoint.schema import response_format
from fiducial.prompters.vlm.instructions import clean_instruction
from fiducial.prompters.vlm.showing import Picture, on_image
from fiducial.prompters.vlm.templates import PromptTemplate, read_template

MAX_NEW_TOKENS = 1024
AUTOMATIC = "auto"
TokenLimit = Literal["max_tokens", "max_completion_tokens"]
_OURS = ("model", "messages", "temperature", "seed", "n", "stream", "response_format", *get_args(TokenLimit))


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """One question: its place in the batch, the image, the instruction without control tokens, and notes on it."""

    place: int
    image: Image
    instruction: str
    notes: tuple[str, ...]


_Ask = Callable[[_Request], Answer | EndpointError]


@dataclass(frozen=True, slots=True)
class _Voice:
    """Whom to ask, and how it speaks."""

    model: str
    template: PromptTemplate
    showing: Showing
    form: Mapping[str, Any] | None

    @property
    def dialect(self) -> Dialect:
        return self.showing.dialect


class EndpointPrompter:
    """Asks a vision-language model behind an OpenAI-compatible server where things are.

    The words around the instruction and the reading of the reply are those of the VLM prompter. Each image goes to
    ``URL/chat/completions`` inside the request, as a ``data:`` URI: no URL and no path is ever sent, so a server can be
    made to fetch nothing.

    A server resizes pictures and does not tell. Qwen2.5-VL counts pixels of the resized picture, so for its dialect we
    resize first, to a size that the server's own rule (``smart_resize``) leaves alone: sides that are multiples of
    28, an area within ``min_pixels`` and ``max_pixels``. Set these where the server was started with narrower bounds
    than the checkpoint's own. Dialects of fractions and thousandths do not depend on it; they are sent at their own
    size up to ``max_pixels``. Very narrow images, and all that LLaVA would crop, are padded, which is undone exactly.

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
        timeout: seconds for one request.
        deadline: seconds for one question, all attempts and waits together.
        concurrency: the most requests at once, per call of :meth:`ask`.
        retries: most attempts after the first, for statuses 429, 500, 502, 503 and 504, lost connections and timeouts.
        key_variable: the environment variable that holds the key; "" sends none. For OpenAI's own hosts, and for no
            other, OPENAI_API_KEY is looked at too.
        allow_insecure: send the key over plain http to another machine too.
        token_limit: what the server calls ``max_new_tokens``; OpenAI's newer models want ``"max_completion_tokens"``.
        extra_body: further fields of every request, such as ``{"skip_special_tokens": False}``.
        backoff: how to wait, in place of ``retries`` and ``seed``.

    Raises:
        InputError: an option out of its range, a dialect that cannot be told from the model's name, a url that is none,
            or a key that would travel in the clear.
        MissingExtraError: httpx is not installed.
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
        timeout: float = 120.0,
        deadline: float = 600.0,
        concurrency: int = 8,
        retries: int = 4,
        key_variable: str | None = KEY_VARIABLE,
        allow_insecure: bool = False,
        token_limit: TokenLimit = "max_tokens",
        extra_body: Mapping[str, Any] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        _check_choice("image_format", image_format, get_args(ImageFormat))
        _check_choice("token_limit", token_limit, get_args(TokenLimit))
        _check_counts(max_new_tokens=max_new_tokens, concurrency=concurrency)
        _check_seconds(timeout=timeout, deadline=deadline)
        if temperature is not None and not (_is_number(temperature) and 0 <= temperature < math.inf):
            raise InputError(
                f"the temperature needs to be at least 0, got {temperature!r}; null leaves it to the server"
            )
        load_httpx()
        self.model = "" if model == AUTOMATIC else model
        self.address = read_address(url)
        self.image_format: ImageFormat = image_format
        self.max_new_tokens = max_new_tokens
        self.structured = structured
        self.timeout = timeout
        self.deadline = deadline
        self.concurrency = concurrency
        self.backoff = backoff or Backoff(retries, seed=seed)
        self._key_variable = key_variable
        self._allow_insecure = allow_insecure
        find_key(
            self.address, key_variable, allow_insecure=allow_insecure
        )  # what is wrong is said before the first question
        self._dialect = dialect_named(dialect) if isinstance(dialect, str) else dialect
        self._template = (
            template if template is None or isinstance(template, PromptTemplate) else read_template(template)
        )
        self._sizes = (None if canvas is None else tuple(canvas), min_pixels, max_pixels)
        drawing = {"seed": seed} if temperature else {}
        choosing = {} if temperature is None else {"temperature": temperature}
        self._fields = {**_checked_extra(extra_body), token_limit: max_new_tokens, **choosing, **drawing}
        self._found: _Voice | None = None
        if self.model or self._dialect:
            # The same is done once more when the server has told its model's name.
            self._voice_of(self.model)

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
        requests = [
            _Request(place, image, *clean_instruction(words, control_words(words), image.name))
            for place, (image, words) in enumerate(zip(images, instructions, strict=True))
        ]
        if not requests:
            return []
        key = find_key(self.address, self._key_variable, allow_insecure=self._allow_insecure)
        with Client(self.address, key, timeout=self.timeout, connections=self.concurrency) as client:
            results = self._all(client, self._voice(client), requests)
        errors = [result for result in results if isinstance(result, EndpointError)]
        causes = {error.cause for error in errors}
        if len(errors) == len(results) and len(causes) == 1 and errors[0].cause.configured:
            raise errors[0]
        return [
            _failed(request, result) if isinstance(result, EndpointError) else result
            for request, result in zip(requests, results, strict=True)
        ]

    # -- whom to ask --------------------------------------------------------------------------------------

    def _voice(self, client: Client) -> _Voice:
        """Return whom to ask; the server is asked for its model once, where none was named."""
        if self._found is None:
            self._found = self._voice_of(self.model or self._only_model(client))
        return self._found

    def _voice_of(self, model: str) -> _Voice:
        spoken = self._dialect or _dialect_of(model)
        canvas, least, most = self._sizes
        return _Voice(
            model,
            self._template or read_template(spoken.name),
            Showing(spoken, canvas, least, most),  # type: ignore[arg-type]  # its length is checked there
            response_format(spoken) if self.structured else None,
        )

    def _only_model(self, client: Client) -> str:
        value = self.backoff.run(
            lambda seconds: client.get("/models", seconds=seconds), deadline=self.deadline, question="models"
        )
        listed = value.get("data") if isinstance(value, Mapping) else None
        entries = listed if isinstance(listed, list) else []
        names = [str(entry["id"]) for entry in entries if isinstance(entry, Mapping) and entry.get("id")]
        if len(names) != 1:
            known = ", ".join(sorted(names)) or "none"
            raise InputError(f"the server at {self.address.url} has {len(names)} models, so name one of them: {known}")
        return names[0]

    # -- asking -------------------------------------------------------------------------------------------

    def _all(self, client: Client, voice: _Voice, requests: list[_Request]) -> list[Answer | EndpointError]:
        breaker = Breaker()
        skipped: set[int] = set()

        def one(request: _Request) -> Answer | EndpointError:
            if (error := breaker.stopped) is not None:
                skipped.add(request.place)
                return error
            result = self._one(client, voice, request, breaker)
            breaker.note(result if isinstance(result, EndpointError) else None)
            return result

        results = self._round(one, requests, breaker)
        if breaker.passed and skipped:
            # Some request did get through after all, so the others deserve their chance.
            again = [requests[place] for place in sorted(skipped)]
            for request, result in zip(again, self._round(one, again, breaker), strict=True):
                results[request.place] = result
        return results

    def _round(self, one: _Ask, requests: list[_Request], breaker: Breaker) -> list[Answer | EndpointError]:
        pool = ThreadPoolExecutor(min(self.concurrency, len(requests)), thread_name_prefix="fiducial-endpoint")
        try:
            return list(pool.map(one, requests))
        except BaseException:
            breaker.halt()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _one(self, client: Client, voice: _Voice, request: _Request, breaker: Breaker) -> Answer | EndpointError:
        picture = voice.showing.picture(request.image)
        body = self._body(voice, request, picture)

        def attempt(seconds: float) -> Reply:
            breaker.check()
            value = client.post("/chat/completions", body, seconds=seconds, structured=self.structured)
            return read_reply(value)

        try:
            reply = self.backoff.run(attempt, deadline=self.deadline, question=str(request.place))
        except EndpointError as error:
            return error
        return self._read(reply, voice, request, picture)

    def _body(self, voice: _Voice, request: _Request, picture: Picture) -> bytes:
        system, user = voice.template.fill(request.instruction, picture.size)
        turns = messages(system, user, data_uri(picture, self.image_format))
        form = {} if voice.form is None else {"response_format": voice.form}
        return json.dumps({"model": voice.model, "messages": turns, **self._fields, **form}).encode()

    def _read(self, reply: Reply, voice: _Voice, request: _Request, picture: Picture) -> Answer:
        # Read in the frame of the picture, padding and all, at the size that was sent: that is what the model saw.
        frame = voice.dialect.frame(*picture.shape, picture.size)
        answer = on_image(voice.dialect.decode(reply.text, frame), picture, request.image)
        thinking = "\n\n".join(filter(None, (reply.thinking, answer.thinking)))
        answer = replace(answer, thinking=thinking, repairs=request.notes + answer.repairs)
        if reply.finished:
            return answer
        note = f"the reply was cut at max_new_tokens={self.max_new_tokens}, or where the server's context ends"
        return replace(answer, outcome=Outcome.TRUNCATED, repairs=(*answer.repairs, note))


def _failed(request: _Request, error: EndpointError) -> Answer:
    return Answer(Outcome.FAILED, Prompts(request.image.frame), text=str(error), repairs=request.notes)


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


def _check_counts(**options: Any) -> None:
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{option} needs to be a whole number, at least 1, got {value!r}")


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
