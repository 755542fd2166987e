"""A vision-language model in this process as a prompter."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import StoppingCriteriaList

from fiducial.checkpoints import check_process, first_line
from fiducial.contracts import TextReply, paired
from fiducial.errors import InputError, ModelError
from fiducial.images import Image
from fiducial.language.answers import Answer
from fiducial.language.dialects import dialect as dialect_named
from fiducial.language.dialects import dialect_for_family
from fiducial.prompters.configs import DRAW, SEEDS_APART
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.showing import Picture, Question, Reply, Size, canvas_for, read_reply
from fiducial.prompters.templates import clean_instruction, control_tokens, read_template
from fiducial.prompters.vlm.loading import Loaded, load
from fiducial.prompters.vlm.stopping import CompleteReplies, decoded

IGNORED = -100
"""The label of tokens that are not learned."""


class VLMPrompter:
    """Asks a vision-language model where things are, and reads the coordinates that it writes.

    What the model writes is read in its dialect, in the frame of what it was really shown: the Qwen
    families count the pixels of a canvas whose size is read off the grid of patches that went into the
    model; the others write fractions of a picture that holds the whole image. Images are never
    cropped: LLaVA sees them padded to a square, and Qwen sees those whose one side is more than 200
    times the other, which its image processor refuses, padded to that ratio at the right or the bottom.

    By default the likeliest token is taken, without any penalty: coordinates repeat for good reasons, and a penalty
    would make an answer depend on what it is batched with. A reply ends where the model says so, where its dialect
    needs nothing more (``stop``; :meth:`Dialect.end`), or at ``max_new_tokens``: then it is ``truncated``, whatever
    could be read of it. The model's generation config is replaced.

    Raises:
        InputError: limits of the canvas that this family does not take.
    """

    def __init__(self, loaded: Loaded, config: VLMConfig) -> None:
        self.config = config
        self.model, self.processor = loaded.model, loaded.processor
        self.family, self.name = loaded.family, loaded.source
        kind = str(self.model.config.model_type)
        self.dialect = dialect_named(config.dialect) if config.dialect else dialect_for_family(kind)
        self.template = read_template(config.template or self.dialect.name)
        self.canvas, self.resample = canvas_for(config.canvas, self.dialect), config.resample
        self.family.limit_pixels(self.processor.image_processor, config.min_pixels, config.max_pixels)
        tokenizer = self.processor.tokenizer
        drawing = _drawing(config, self.model.generation_config)
        self._decoding = None if config.decode is None else config.decode.processor(self.model, tokenizer, drawing)
        self.model.generation_config = _generation_config(config, self.model.generation_config, tokenizer, drawing)
        self._stops = config.stop == "form" or (config.stop == "tags" and self.dialect.closing != "")
        self.control_tokens = control_tokens(tokenizer) | {self.processor.image_token}

    @classmethod
    def from_config(cls, config: VLMConfig) -> VLMPrompter:
        """Load a model by the ``model_type`` of its config; see :func:`fiducial.prompters.vlm.loading.load`."""
        return cls(load(config), config)

    @classmethod
    def from_pretrained(cls, model: str | Path, **options: Any) -> VLMPrompter:
        """Load a model; see :class:`fiducial.prompters.model_configs.VLMConfig` for the options."""
        return cls.from_config(VLMConfig(model=str(model), **options))

    @property
    def batch_size(self) -> int:
        """How many questions the model is asked together."""
        return self.config.batch_size

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Answer each instruction for the image beside it, in its pixels.

        Control tokens of the model are taken out of the instructions, which ``repairs`` says.
        """
        questions = [
            Question(image, *clean_instruction(words, self.control_tokens, image.name))
            for image, words in paired(images, instructions)
        ]
        # Alike lengths together waste little on padding; the largest first fail first.
        order = sorted(range(len(questions)), key=lambda index: self._cost(questions[index]), reverse=True)
        answers: dict[int, Answer] = {}
        for start in range(0, len(order), self.config.batch_size):
            some = order[start : start + self.config.batch_size]
            answers.update(zip(some, self._answer([questions[index] for index in some]), strict=True))
        return [answers[index] for index in range(len(questions))]

    def sampled(self, number: int) -> VLMPrompter:
        """Return the same prompter with the same model, its draws from another seed for each number."""
        if not self.config.varies:
            raise InputError(f"{self.name}: nothing is drawn: asking again changes nothing: {DRAW}")
        other = copy.copy(self)
        other.config = replace(self.config, seed=self.config.seed + SEEDS_APART * number)
        return other

    def converse(self, images: Sequence[Sequence[Image]], texts: Sequence[str]) -> list[TextReply]:
        """Reply to each text about the images beside it, in the model's own words; see :class:`Conversational`.

        Texts with as many images are asked together. Control tokens are taken out of the texts.
        """
        talks = [(list(shown), words) for shown, words in zip(images, texts, strict=True)]
        order = sorted(range(len(talks)), key=lambda index: (len(talks[index][0]), len(talks[index][1])), reverse=True)
        replies: dict[int, TextReply] = {}
        while order:
            count = len(talks[order[0]][0])
            some = [index for index in order[: self.config.batch_size] if len(talks[index][0]) == count]
            order = order[len(some) :]
            replies.update(zip(some, self._say([talks[index] for index in some]), strict=True))
        return [replies[index] for index in range(len(talks))]

    def _say(self, talks: list[tuple[list[Image], str]]) -> list[TextReply]:
        chats = [
            self.chat("", clean_instruction(words, self.control_tokens)[0], len(images)) for images, words in talks
        ]
        pictures = [self.show(image)[0].pixels for images, _ in talks for image in images]
        names = ", ".join(images[0].name for images, _ in talks if images) or "no image"
        found = self.generate(self.inputs(pictures, chats), names)
        return [TextReply(reply.text, reply.finished, reply.thinking) for reply in found]

    def _cost(self, question: Question) -> tuple[int, int]:
        """Order questions by the number of tokens that they will take, roughly."""
        fixed = self.canvas is not None or not self.family.takes_pixels
        return (0 if fixed else question.image.width * question.image.height), len(question.instruction)

    def _answer(self, questions: list[Question]) -> list[Answer]:
        shown = [self.show(question.image) for question in questions]
        pictures, foretold = [picture for picture, _ in shown], [canvas for _, canvas in shown]
        filled = (
            self.template.fill(question.instruction, canvas)
            for question, canvas in zip(questions, foretold, strict=True)
        )
        inputs = self.inputs([picture.pixels for picture in pictures], [self.chat(*turns) for turns in filled])
        canvases = self.family.shown_at(self.processor, pictures, inputs)
        if canvases != foretold:
            raise ModelError(f"{self.name}: its image processor made canvases of {canvases}, not {foretold}")
        replies = self.generate(inputs, ", ".join(question.image.name for question in questions))
        limit, suppress = f"max_new_tokens={self.config.max_new_tokens}", self.config.suppress
        return [
            read_reply(reply, self.dialect, picture, canvas, question, suppress, limit)
            for reply, question, picture, canvas in zip(replies, questions, pictures, canvases, strict=True)
        ]

    def show(self, image: Image) -> tuple[Picture, Size]:
        """Return the picture that the image processor is given, and the (width, height) at which the model sees it."""
        # The mean colour of the training images is seen as nothing.
        red, green, blue = (round(255 * float(mean)) for mean in self.processor.image_processor.image_mean)
        picture = self.family.picture(image, self.canvas, (red, green, blue), self.resample)
        return picture, self.family.shown_at(self.processor, [picture])[0]

    def inputs(self, pictures: Sequence[NDArray[np.uint8]], chats: Sequence[str]) -> Any:
        """Turn (h, w, 3) pictures and the chats about them into the model's tensors, padded at the left."""
        return self.processor(
            images=list(pictures) or None,
            text=list(chats),
            input_data_format="channels_last",  # an image 3 pixels high could be taken for its own transpose
            padding=True,
            add_special_tokens=not chats[0].startswith(self.processor.tokenizer.bos_token or "\0"),
            return_tensors="pt",
        )

    def answered(
        self, pictures: Sequence[NDArray[np.uint8]], chats: Sequence[str], answers: Sequence[str]
    ) -> tuple[dict[str, Any], torch.Tensor]:
        """Turn pictures, chats and the replies to them into tensors, padded at the right, as training needs them.

        Prompts become the very tensors of :meth:`inputs`, so that what is learned is what is asked later.

        Returns:
            The model's tensors, and labels (B, T): the ids of the replies' tokens, -100 everywhere else.
        """
        words = self.processor.tokenizer
        inputs = dict(self.inputs(pictures, chats))
        replies = [words(answer, add_special_tokens=False)["input_ids"] for answer in answers]
        prompt_ids, mask = inputs["input_ids"], inputs["attention_mask"].bool()
        lengths = [int(mask[row].sum()) + len(reply) for row, reply in enumerate(replies)]
        for key, value in list(inputs.items()):
            if isinstance(value, torch.Tensor) and value.shape == prompt_ids.shape:
                fill = words.pad_token_id if key == "input_ids" else 0
                whole = value.new_full((len(replies), max(lengths)), fill)
                for row, reply in enumerate(replies):
                    said = reply if key == "input_ids" else [int(key == "attention_mask")] * len(reply)
                    whole[row, : lengths[row]] = torch.cat([value[row][mask[row]], value.new_tensor(said)])
                inputs[key] = whole
        labels = inputs["input_ids"].new_full(inputs["input_ids"].shape, IGNORED)
        for row, reply in enumerate(replies):
            labels[row, lengths[row] - len(reply) : lengths[row]] = labels.new_tensor(reply)
        return inputs, labels

    def chat(self, system: str, user: str, images: int = 1) -> str:
        """Write the turns, "" for no system's, as the model's chat template has them, up to the reply."""
        turns = [{"role": "user", "content": [*[{"type": "image"}] * images, {"type": "text", "text": user}]}]
        if system:
            turns.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
        text: str = self.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        places = text.count(self.processor.image_token)
        if places != images:
            shown = "one image" if images == 1 else f"{images} images"
            raise InputError(f"{self.name}: its chat template made {places} places for {shown}")
        return text

    def generate(self, inputs: Any, names: str) -> list[Reply]:
        """Let the model reply to every prompt of a batch, padded at the left; ``names`` of the images name errors."""
        check_process()
        start = inputs["input_ids"].shape[1]
        complete = CompleteReplies(self.dialect, self.processor.tokenizer, start)
        try:
            with torch.inference_mode(), _seeded(self.config, self.model.device):
                moved = inputs.to(self.model.device, dtype=self.model.dtype)
                output = self.model.generate(
                    **moved,
                    generation_config=self.model.generation_config,
                    stopping_criteria=StoppingCriteriaList([complete] if self._stops else []),
                    **self._chosen_by(start),
                )
        except (RuntimeError, MemoryError) as error:
            raise ModelError(f"{self.name}, asked about {names}: {_diagnosis(error)}") from error
        rows = output[:, start:].tolist()
        return [
            Reply(complete.texts[row]) if row in complete.texts else self.reply(ids) for row, ids in enumerate(rows)
        ]

    def _chosen_by(self, start: int) -> dict[str, Any]:
        """Return what ``generate`` is told of the rule by which tokens are chosen, where it is not the model's own."""
        if self._decoding is None:
            return {}
        chosen = self.model.generation_config
        return {"logits_processor": [self._decoding.begin(start, [*chosen.eos_token_id, chosen.pad_token_id])]}

    @property
    def decoding_counts(self) -> dict[str, int]:
        """How often ``decode`` was asked for a token, and how often it deferred or changed it; empty without it."""
        return {} if self._decoding is None else dict(self._decoding.counts)

    def reply(self, ids: Sequence[int]) -> Reply:
        """Read the tokens that the model wrote, up to the first one that ends a reply."""
        ends = set(self.model.generation_config.eos_token_id)
        end = next((index for index, token in enumerate(ids) if token in ends), None)
        return Reply(decoded(self.processor.tokenizer, list(ids[:end])), finished=end is not None)


def _drawing(config: VLMConfig, own: Any) -> dict[str, Any] | None:
    """Say how scores are narrowed before a token is drawn, None where none is; ``own`` came with the checkpoint."""
    if not config.do_sample:
        return None
    return {"temperature": config.temperature or 1.0, "top_p": own.top_p, "top_k": own.top_k}


def _generation_config(config: VLMConfig, own: Any, tokenizer: Any, drawing: dict[str, Any] | None) -> Any:
    """Write down for transformers how tokens are chosen; ``own`` came with the checkpoint."""
    from transformers import GenerationConfig

    ends = [own.eos_token_id] if isinstance(own.eos_token_id, int) else list(own.eos_token_id or ())
    ends += [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    if drawing is not None and config.decode is not None:  # which narrows the scores itself, and comes before these
        drawing = {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
    return GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=config.max_new_tokens,
        do_sample=config.do_sample,
        repetition_penalty=1.0,
        num_beams=1,
        eos_token_id=sorted(set(ends)),
        pad_token_id=tokenizer.pad_token_id,
        **(drawing or {}),
    )


@contextmanager
def _seeded(config: VLMConfig, device: torch.device) -> Iterator[None]:
    if not config.do_sample:
        yield
        return
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        torch.manual_seed(config.seed)
        yield


def _diagnosis(error: BaseException) -> str:
    reason = first_line(error)
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "memory" in reason.lower():
        return (
            f"not enough memory ({reason}): try a smaller batch_size, a smaller max_pixels or canvas, "
            "dtype='bfloat16', or quantize='int8'"
        )
    return f"generation failed ({reason}): try dtype='float32', or another device"
