"""A vision-language model in this process as a prompter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fiducial.checkpoints import pick_device
from fiducial.errors import InputError, ModelError
from fiducial.images import Image
from fiducial.language.answers import Answer
from fiducial.language.dialects import Dialect, dialect_for_family
from fiducial.language.dialects import dialect as dialect_named
from fiducial.prompters.showing import Colour, Question, Reply, Size, checked_canvas, read_reply
from fiducial.prompters.templates import PromptTemplate, clean_instruction, control_tokens, read_template
from fiducial.prompters.vlm.families import Family, family_of
from fiducial.prompters.vlm.loading import Quantisation, load, quantise_language_tower

MAX_NEW_TOKENS = 1024
BATCH_SIZE = 4


class VLMPrompter:
    """Asks a vision-language model where things are, and reads the coordinates that it writes.

    What the model writes is read in its dialect, in the frame of what it was really shown: the Qwen
    families count the pixels of a canvas whose size is read off the grid of patches that went into the
    model; the others write fractions of a picture that holds the whole image. Images are never
    cropped: LLaVA sees them padded to a square, and Qwen sees those whose one side is more than 200
    times the other, which its image processor refuses, padded to that ratio at the right or the
    bottom. Padding is undone exactly, being no more than another frame.

    A reply that stopped at ``max_new_tokens`` is ``truncated``, whatever could be read of it.

    Args:
        model: a loaded model of a known family; its generation config is replaced.
        processor: its processor, as :func:`fiducial.prompters.vlm.loading.load_processor` builds it.
        dialect: how the model writes coordinates.
        template: the words around the instruction.
        decoding: how tokens are chosen.
        batch_size: most questions put to the model at once; memory grows with it.
        canvas: (width, height) in pixels to which every image is stretched before the image
            processor sees it; None takes the dialect's square, if it has one (840 x 840 for Think2Seg), and
            otherwise leaves the size to the image processor.
        suppress: IoU above which a box goes that overlaps a larger one; None keeps all.
        name: what to call the model in errors.

    Raises:
        InputError: a batch size or canvas below 1.
        UnknownNameError: a model of no known family.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        dialect: Dialect,
        template: PromptTemplate,
        decoding: Decoding | None = None,
        batch_size: int = BATCH_SIZE,
        canvas: Sequence[int] | None = None,
        suppress: float | None = None,
        name: str = "the model",
    ) -> None:
        if batch_size < 1:
            raise InputError(f"batch_size needs to be at least 1, got {batch_size}")
        if suppress is not None and not 0 <= suppress <= 1:
            raise InputError(f"suppress lies in 0..1, got {suppress}")
        self.family: Family = family_of(model.config.model_type)
        self.model = model.eval()
        self.processor = processor
        self.dialect = dialect
        self.template = template
        self.decoding = decoding or Decoding(MAX_NEW_TOKENS)
        self.batch_size = batch_size
        self.canvas = checked_canvas(canvas, dialect)
        self.suppress = suppress
        self.name = name
        self.model.generation_config = self.decoding.config(model.generation_config, processor.tokenizer)
        self._control_tokens = control_tokens(processor.tokenizer) | {processor.image_token}

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        dialect: str | None = None,
        template: str | Path | None = None,
        device: str = "auto",
        dtype: str = "auto",
        quantize: Quantisation | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        batch_size: int = BATCH_SIZE,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        canvas: Sequence[int] | None = None,
        suppress: float | None = None,
        do_sample: bool = False,
        temperature: float | None = None,
        seed: int = 0,
        local_files_only: bool = False,
        revision: str | None = None,
    ) -> VLMPrompter:
        """Load a model by the ``model_type`` of its config; only safetensors are read.

        Args:
            model: a local folder, or an id of the hub.
            dialect: how the model writes coordinates; default: that of its family.
            template: a shipped template's name, or a ``.txt`` file; default: that of the dialect.
            device: ``"auto"`` (an accelerator if there is one), ``"cpu"``, ``"cuda"``, ...
            dtype: ``"auto"`` (that of the checkpoint), ``"float32"``, ``"bfloat16"`` or ``"float16"``.
            quantize: ``"int8"`` or ``"int4"`` weights in the language tower; the vision tower keeps its own.
            max_new_tokens: the most tokens of a reply.
            batch_size: most questions put to the model at once.
            min_pixels: least number of pixels of the canvas (Qwen families).
            max_pixels: greatest number of pixels of the canvas (Qwen families).
            canvas: (width, height) in pixels to which every image is stretched; see the class.
            suppress: see the class.
            do_sample: draw tokens, instead of taking the likeliest.
            temperature: of the draws; default 1.
            seed: of the draws; every call of :meth:`ask` starts each batch from it.
            local_files_only: never ask the network.
            revision: branch, tag or commit on the hub.

        Raises:
            HubError: files are neither here nor to be had.
            InputError: no such device, dtype, dialect, template or family, or options that do not fit.
            MissingExtraError: ``quantize`` without torchao.
            ModelError: the checkpoint lacks weights, or they do not fit the device's memory.
        """
        decoding = Decoding(max_new_tokens, do_sample, temperature, seed)
        target = pick_device(device)
        words = None if template is None else read_template(template)
        spoken = None if dialect is None else dialect_named(dialect)
        loaded = load(model, dtype=dtype, local_files_only=local_files_only, revision=revision)
        _limit_pixels(loaded.processor.image_processor, loaded.family, min_pixels, max_pixels)
        spoken = spoken or dialect_for_family(loaded.model.config.model_type)
        if quantize is not None:
            quantise_language_tower(loaded.model, quantize)
        return cls(
            _moved(loaded.model, target, loaded.source),
            loaded.processor,
            dialect=spoken,
            template=words or read_template(spoken.name),
            decoding=decoding,
            batch_size=batch_size,
            canvas=canvas,
            suppress=suppress,
            name=loaded.source,
        )

    def ask(self, images: Sequence[Image], instructions: Sequence[str]) -> list[Answer]:
        """Answer each instruction for the image beside it.

        Args:
            images: the images.
            instructions: one per image, up to 2,000 characters each. Control tokens of the model
                are taken out, which ``repairs`` says.

        Returns:
            One answer per image, in order, its prompts in the pixel frame of that image.

        Raises:
            InputError: another number of instructions than of images, or an instruction that is
                empty or too long.
            ModelError: the model failed.
        """
        if len(images) != len(instructions):
            raise InputError(f"{len(images)} images need as many instructions, got {len(instructions)}")
        questions = [
            Question(image, *clean_instruction(words, self._control_tokens, image.name))
            for image, words in zip(images, instructions, strict=True)
        ]
        # Alike lengths together waste little on padding; the largest first fail first.
        order = sorted(range(len(questions)), key=lambda place: self._cost(questions[place]), reverse=True)
        answers: dict[int, Answer] = {}
        for start in range(0, len(order), self.batch_size):
            places = order[start : start + self.batch_size]
            answers.update(zip(places, self._answer([questions[place] for place in places]), strict=True))
        return [answers[place] for place in range(len(questions))]

    def _cost(self, question: Question) -> tuple[int, int]:
        """Order questions by the number of tokens that they will take, roughly."""
        fixed = self.canvas is not None or not self.family.takes_pixels
        return (0 if fixed else question.image.width * question.image.height), len(question.instruction)

    def _answer(self, questions: list[Question]) -> list[Answer]:
        colour = _padding_colour(self.processor.image_processor)
        pictures = [self.family.picture(question.image, self.canvas, colour) for question in questions]
        foretold = self.family.shown_at(self.processor, pictures)
        texts = [self._chat(question.instruction, canvas) for question, canvas in zip(questions, foretold, strict=True)]
        inputs = self.processor(
            images=[picture.pixels for picture in pictures],
            text=texts,
            input_data_format="channels_last",  # an image 3 pixels high could be taken for its own transpose
            padding=True,
            add_special_tokens=not texts[0].startswith(self.processor.tokenizer.bos_token or "\0"),
            return_tensors="pt",
        )
        canvases = self.family.shown_at(self.processor, pictures, inputs)
        if canvases != foretold:
            raise ModelError(f"{self.name}: its image processor made canvases of {canvases}, not {foretold}")
        what = f"{self.name}, asked about {', '.join(question.image.name for question in questions)}"
        limit = self.decoding.max_new_tokens
        replies = generate(self.model, inputs, self.processor.tokenizer, self.decoding, what)
        return [
            read_reply(
                reply, self.dialect, picture, canvas, question, suppress=self.suppress, limit=f"max_new_tokens={limit}"
            )
            for reply, question, picture, canvas in zip(replies, questions, pictures, canvases, strict=True)
        ]

    def _chat(self, instruction: str, canvas: Size) -> str:
        system, user = self.template.fill(instruction, canvas)
        turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": user}]}]
        if system:
            turns.insert(0, {"role": "system", "content": [{"type": "text", "text": system}]})
        text: str = self.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        places = text.count(self.processor.image_token)
        if places != 1:
            raise InputError(f"{self.name}: its chat template made {places} places for one image")
        return text


def _limit_pixels(image_processor: Any, family: Family, least: int | None, greatest: int | None) -> None:
    if least is None and greatest is None:
        return
    if not family.takes_pixels:
        raise InputError(f"{family.name} takes no min_pixels or max_pixels: the size of its canvas is fixed")
    size = image_processor.size
    low = int(size["shortest_edge"]) if least is None else least
    high = int(size["longest_edge"]) if greatest is None else greatest
    if not 1 <= low <= high:
        raise InputError(f"the canvas needs 1 <= min_pixels <= max_pixels, got {low} and {high}")
    image_processor.size = type(size)(shortest_edge=low, longest_edge=high)


def _padding_colour(image_processor: Any) -> Colour:
    """Return the mean colour of the model's training images, which it sees as nothing."""
    red, green, blue = (round(255 * float(mean)) for mean in image_processor.image_mean)
    return red, green, blue


def _moved(model: Any, device: Any, source: str) -> Any:
    try:
        return model.to(device)
    except RuntimeError as error:
        raise ModelError(
            f"{source}: the model does not fit {device} ({error}): try quantize='int8', dtype='bfloat16' "
            "or device='cpu'"
        ) from error


# -- how a model is made to speak, and whether it came to its end ----------------------------------------


@dataclass(frozen=True, slots=True)
class Decoding:
    """How the next token is chosen.

    By default the likeliest token is taken, without any penalty: coordinates repeat for good
    reasons, and a penalty would make an answer depend on what it is batched with.

    Args:
        max_new_tokens: the most tokens of a reply, at least 1.
        do_sample: draw tokens instead; top-p and top-k are then those of the checkpoint.
        temperature: above 0, when sampling; default 1.
        seed: of the draws; every call starts from it.

    Raises:
        InputError: an option out of its range, or a temperature where nothing is drawn.
    """

    max_new_tokens: int
    do_sample: bool = False
    temperature: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens needs to be at least 1, got {self.max_new_tokens}")
        if self.temperature is not None and not self.do_sample:
            raise InputError("a temperature changes nothing while do_sample is off")
        if self.temperature is not None and self.temperature <= 0:
            raise InputError(f"the temperature needs to be above 0, got {self.temperature}: do_sample=False takes 0")

    def config(self, own: Any, tokenizer: Any) -> Any:
        """Write this down for transformers.

        Args:
            own: the generation config that came with the checkpoint.
            tokenizer: the model's tokenizer, whose end token ends a reply too.
        """
        from transformers import GenerationConfig

        drawing = {}
        if self.do_sample:
            drawing = {"temperature": self.temperature or 1.0, "top_p": own.top_p, "top_k": own.top_k}
        return GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=self.max_new_tokens,
            do_sample=self.do_sample,
            repetition_penalty=1.0,
            num_beams=1,
            eos_token_id=end_tokens(own, tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            **drawing,
        )


def end_tokens(own: Any, tokenizer: Any) -> list[int]:
    """List the ids that end a reply: those of the checkpoint's generation config and of its tokenizer."""
    stated = own.eos_token_id
    ids = [stated] if isinstance(stated, int) else list(stated or ())
    if tokenizer.eos_token_id is not None:
        ids.append(tokenizer.eos_token_id)
    return sorted(set(ids))


def generate(model: Any, inputs: Any, tokenizer: Any, decoding: Decoding, what: str) -> list[Reply]:
    """Let a model reply to every prompt of a batch.

    Args:
        model: a vision-language model of transformers; its ``generation_config`` says how.
        inputs: padded at the left, on any device.
        tokenizer: the model's tokenizer.
        decoding: how tokens are chosen.
        what: names model and images in errors.

    Raises:
        ModelError: the model failed, such as for want of memory.
    """
    try:
        with torch.inference_mode(), _seeded(decoding, model.device):
            moved = inputs.to(model.device, dtype=model.dtype)
            output = model.generate(**moved, generation_config=model.generation_config)
    except (RuntimeError, MemoryError) as error:
        raise ModelError(f"{what}: {_diagnosis(error)}") from error
    ends = set(model.generation_config.eos_token_id)
    return [_reply(row, ends, tokenizer) for row in output[:, moved["input_ids"].shape[1] :].cpu()]


def _reply(row: Tensor, ends: set[int], tokenizer: Any) -> Reply:
    ids = row.tolist()
    end = next((place for place, token in enumerate(ids) if token in ends), None)
    # Box marks are special tokens in some families, so special tokens are not skipped.
    text = tokenizer.decode(ids[:end], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return Reply(text, finished=end is not None)


@contextmanager
def _seeded(decoding: Decoding, device: torch.device) -> Iterator[None]:
    if not decoding.do_sample:
        yield
        return
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        torch.manual_seed(decoding.seed)
        yield


def _diagnosis(error: BaseException) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    words = reason.lower()
    short = isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "memory" in words
    if short:
        return (
            f"not enough memory ({reason}): try a smaller batch_size, a smaller max_pixels or canvas, "
            "dtype='bfloat16', or quantize='int8'"
        )
    return f"generation failed ({reason}): try dtype='float32', or another device"
