"""What a small vision-language model learns from: pictures, and questions made anew at every step.

A picture of the pool is seen under the eight symmetries of the square, and its questions are made of the things as they
then lie, so that "left" means left. Several questions stand behind one picture; each sees the picture and itself alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fiducial.geometry import Frame, Prompt
from fiducial.language.candidates import COLOURS
from fiducial.language.dialects import Dialect
from fiducial.language.dialects import dialect as dialect_named
from fiducial.language.phrases import resolve
from fiducial.prompters.templates import read_template
from fiducial.synthetic.expressions import FAMILIES, Said, say
from fiducial.training.nano_vlm_configs import NanoVLMConfig
from fiducial.training.nano_vlm_pictures import Pool, PoolPicture
from fiducial.training.nano_vlm_rows import middles, rows_of, told
from fiducial.training.nano_vlm_words import NumberTokens, number_tokens, written
from fiducial.training.sft_samples import explained, left_to_right, points_written
from fiducial.training.sources import shares
from fiducial.training.trainer import StepBatches

STRIDE = 16
NO_CLASS = -100
_MAX_TARGETS = 8


# -- questions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a picture as it lies, with the truth in pixels of the canvas."""

    said: Said
    thinking: str
    prompts: tuple[Prompt, ...]  # from left to right; boxes and spots are whole pixels
    row: tuple[tuple[int, int], ...] = ()  # whole pixels of the places with which the thinking begins


def ask(
    picture: PoolPicture,
    boxes: NDArray[np.float64],
    spots: NDArray[np.float64],
    random: np.random.Generator,
    count: int,
    families: Sequence[str] = tuple(FAMILIES),
    thinking: str = "sentence",
) -> list[Asked]:
    """Make questions about a picture whose things lie where boxes (N, 4) and spots (N, K, 2) say.

    ``thinking`` is what :attr:`NanoVLMConfig.thinking` can be.
    """
    canvas = picture.pixels.shape[0]
    view = picture.view(boxes)
    absent = [picture.absent[int(k)] for k in random.permutation(len(picture.absent))]
    found = []
    for said in say(view, random, count, vocabulary=absent, families=families):
        chosen = [view.things[index].box for index in said.chosen]
        if len(chosen) > _MAX_TARGETS:
            continue
        candidates = view.candidates(coloured=True)
        resolution = resolve(said.instruction, candidates, view.frame, rest=True)
        rows = rows_of(resolution) if thinking == "row" else []
        row = [middles(one, boxes / picture.side * canvas, canvas) for one in rows]
        prompts = []
        for index in said.chosen:
            box, points = boxes[index] / picture.side * canvas, spots[index] / picture.side * canvas
            some = [0, 1 + int(random.integers(len(points) - 1))]
            whole = np.rint(box)
            whole[:2] = np.minimum(whole[:2], canvas - 1)  # a thing is never thinner than one pixel
            whole[2:] = np.maximum(whole[2:], whole[:2] + 1)
            prompts.append(
                Prompt(
                    Frame.pixels(canvas, canvas),
                    box=tuple(whole.tolist()),
                    points=tuple((float(int(x)), float(int(y))) for x, y in points[some]),
                    point_labels=(1, 1),
                )
            )
        sentence = explained(resolution if chosen else None, chosen, view.frame)
        spoken = f"{told(row)} {sentence}" if row else sentence
        places = tuple(place for one in row for place in one)
        found.append(Asked(said, spoken, tuple(left_to_right(prompts)), places))
    return found


# -- batches --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class PackedBatch:
    """B pictures of n cells, and R rows of T tokens with the questions about them; M tokens are to be learned.

    Args:
        step: the number of the step.
        pixels: (B, S, S, 3) uint8.
        dense: (B, n) whether a cell holds a thing, (B, n) which name, (B, n) which colour, (B, n, 4) its box in pixels
            of the canvas; :data:`NO_CLASS` where nothing is known.
        visible: (B, V) which cells are shown, in order.
        picture: (R,) the picture that a row is about.
        ids, positions, blocks: (R, T) tokens, their places behind the picture, and the question each belongs to; -1
            for padding.
        at: (M, 2) row and place of the tokens that are followed by what is learned.
        target: (M,) the tokens that follow.
        kind: (M,) 0 for words, 1 for points, 2 for edges of boxes, 3 for middles told in the thinking.
        first: (M,) the id of pixel 0 among the tokens of each coordinate's kind; 0 for words.
        pointed: (Q, 3) row, place, and cell of a target's middle among the visible ones: of the token before an answer
            for all its targets, and of the token before each edge of a box for that box's; so for each middle.
    """

    step: int
    pixels: Tensor
    dense: tuple[Tensor, Tensor, Tensor, Tensor]
    visible: Tensor
    picture: Tensor
    ids: Tensor
    positions: Tensor
    blocks: Tensor
    at: Tensor
    target: Tensor
    kind: Tensor
    first: Tensor
    pointed: Tensor

    def to(self, device: torch.device | str) -> PackedBatch:
        """Return the batch on a device."""
        moved: dict[str, Any] = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        holds, names, colours, boxes = (part.to(device) for part in self.dense)
        return replace(self, dense=(holds, names, colours, boxes), **moved)


@dataclass(frozen=True, slots=True)
class Told:
    """A question and its answer as tokens; ``kinds`` says what each of the answer's is, see :class:`PackedBatch`.

    An answer in words has no prompts.
    """

    prompts: tuple[Prompt, ...]
    dialect: int
    question: list[int]
    answer: list[int]
    kinds: list[int]
    row: tuple[tuple[int, int], ...] = ()

    @property
    def whole(self) -> list[int]:
        """Everything but the last token, which nothing follows."""
        return self.question + self.answer[:-1]

    @property
    def start(self) -> int:
        """The place before the answer's first token."""
        return len(self.question) - 1


class Writer:
    """Turns questions into tokens, in the dialects of a run."""

    def __init__(self, config: NanoVLMConfig, tokenizer: Any) -> None:
        self._canvas, self.tokenizer = config.network.canvas, tokenizer
        self.dialects: list[Dialect] = [dialect_named(name) for name, _ in config.dialects]
        weights = np.array([share for _, share in config.dialects])
        self.shares = weights / weights.sum()
        self.numbers: list[NumberTokens] = [number_tokens(tokenizer, one, self._canvas) for one in self.dialects]
        self.templates = [read_template(f"nano-{one.name}") for one in self.dialects]

    def question(self, instruction: str, dialect: int) -> list[int]:
        """Return the tokens of a question, behind the picture's place, up to where the reply begins."""
        return self.turn(self.templates[dialect].fill(instruction, (self._canvas, self._canvas))[1])

    def in_words(self, text: str, reply: str) -> Told:
        """Return the tokens of a question without a template around it, and those of a reply in words."""
        answer = [*self.tokenizer(reply, add_special_tokens=False)["input_ids"], self.tokenizer.eos_token_id]
        return Told((), 0, self.turn(text), answer, [0] * len(answer))

    def turn(self, user: str) -> list[int]:
        """Return the tokens of a user's words, behind the picture's place, up to where the reply begins."""
        turn = [{"role": "user", "content": [{"type": "text", "text": user}]}]
        text = self.tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def answer(self, asked: Asked, dialect: int) -> tuple[list[int], list[int]]:
        """Return the tokens of an answer and its end, and what each is, see :attr:`PackedBatch.kind`."""
        chosen = self.dialects[dialect]
        per_item = sum(points_written(chosen))
        text = written(chosen, self._canvas, asked.prompts, asked.thinking)
        ids = [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.tokenizer.eos_token_id]
        numbers = [place for place, token in enumerate(ids) if self.numbers[dialect].start(token) is not None]
        width = 4 + 2 * per_item
        kinds = [0] * len(ids)
        coordinates = numbers[len(numbers) - width * len(asked.prompts) :] if asked.prompts else []
        for order, place in enumerate(coordinates):
            kinds[place] = 2 if order % width < 4 else 1
        for place in numbers[: 2 * len(asked.row)] if asked.thinking and asked.thinking in text else []:
            kinds[place] = 3
        return ids, kinds


class PackedBatches(StepBatches[PackedBatch]):
    """The batch of each step, drawn from the seed and the step alone."""

    def __init__(self, config: NanoVLMConfig, pools: Sequence[Pool], writer: Writer, names: Sequence[str]) -> None:
        super().__init__(config.steps, config.num_workers)
        self._config, self._pools, self._writer = config, pools, writer
        self._names = {name: index for index, name in enumerate(names)}
        self._shares = shares([pool.source for pool in pools])
        self._side = config.network.canvas // STRIDE

    def __getitem__(self, step: int) -> PackedBatch:
        random = np.random.default_rng([self._config.seed, step])
        rows = [self._row(step, random) for _ in range(self._config.batch_size)]
        pixels = torch.from_numpy(np.stack([row[0] for row in rows]))
        dense = tuple(torch.from_numpy(np.stack(part)) for part in zip(*(row[1] for row in rows), strict=True))
        return self._packed(step, pixels, dense, [row[2] for row in rows], random)  # type: ignore[arg-type]

    def _row(self, step: int, random: np.random.Generator) -> tuple[NDArray[np.uint8], Any, Sequence[Asked | Told]]:
        pool = self._pools[int(random.choice(len(self._pools), p=self._shares))]
        picture = pool.training[int(random.integers(len(pool.training)))]
        pixels, boxes, spots = picture.turned(0 if picture.questions else int(random.integers(8)))
        # Light and contrast change; hues do not, since questions name them.
        gain, light = 1 + 0.15 * random.uniform(-1, 1), 12 * random.uniform(-1, 1)
        shaded = np.clip((pixels.astype(np.float32) - 127.5) * gain + 127.5 + light, 0, 255)
        asked: Sequence[Asked | Told] = []
        if picture.questions:
            some = random.permutation(len(picture.questions))[: self._config.questions]
            chosen = [picture.questions[int(number)] for number in some]
            asked = [self._writer.in_words(text, choice.reply) for text, choice in chosen]
        elif self._config.stage == "answers":
            early = step < self._config.first_part * self._config.steps
            families = self._config.first if early and self._config.first else tuple(FAMILIES)
            if self._config.often and random.random() < self._config.often_part:
                families = self._config.often
            asked = ask(picture, boxes, spots, random, self._config.questions, families, self._config.thinking)
        return np.asarray(np.rint(shaded), np.uint8), self._cells(picture, boxes), asked

    def _cells(self, picture: PoolPicture, boxes: NDArray[np.float64]) -> tuple[NDArray[Any], ...]:
        """Say what each cell holds: those near the middle of a thing hold it, always at least one; smaller ones win."""
        canvas = self._config.network.canvas
        count = self._side**2
        middles = (np.arange(self._side) + 0.5) * STRIDE
        across, down = np.tile(middles, self._side), np.repeat(middles, self._side)
        holds, names = np.zeros(count, np.float32), np.full(count, NO_CLASS)
        colours, places = np.full(count, NO_CLASS), np.zeros((count, 4), np.float32)
        placed = boxes / picture.side * canvas
        for index in np.argsort(-picture.areas, kind="stable"):
            x1, y1, x2, y2 = placed[index]
            near_x = abs(across - (x1 + x2) / 2) <= max(STRIDE / 2, (x2 - x1) * 0.3)
            near_y = abs(down - (y1 + y2) / 2) <= max(STRIDE / 2, (y2 - y1) * 0.3)
            cells = near_x & near_y
            holds[cells], names[cells], places[cells] = 1, self._names[picture.names[index]], placed[index]
            clear = picture.colours[index].clear
            colours[cells] = COLOURS.index(next(iter(clear))) if clear else NO_CLASS
        return holds, names, colours, places

    def _packed(
        self,
        step: int,
        pixels: Tensor,
        dense: tuple[Tensor, Tensor, Tensor, Tensor],
        asked: Sequence[Sequence[Asked | Told]],
        random: np.random.Generator,
    ) -> PackedBatch:
        moving = step >= self._config.frozen * self._config.steps
        # Marks that are asked about in words may lie in any cell.
        whole = moving or any(isinstance(one, Told) for some in asked for one in some)
        visible = self._visible(dense[0].numpy(), self._side**2 if whole else self._config.visible, random)
        rows: list[list[tuple[int, int, int]]] = []  # token, place, question
        pictures, at, target, kind, first, pointed = [], [], [], [], [], []
        told = [[one if isinstance(one, Told) else self._told(one, random) for one in some] for some in asked]
        width = max((len(one.whole) for some in told for one in some), default=0)
        for picture, some in enumerate(told):
            own = len(rows)  # the first row about this picture
            for number, one in enumerate(some):
                fits = (row for row in range(own, len(rows)) if len(rows[row]) + len(one.whole) <= width)
                row = next(fits, len(rows))
                if row == len(rows):
                    rows.append([])
                    pictures.append(picture)
                start = len(rows[row]) + one.start
                rows[row] += [(token, place, number) for place, token in enumerate(one.whole)]
                cells = [np.flatnonzero(visible[picture] == self._cell_of(*_middle(prompt))) for prompt in one.prompts]
                members = [np.flatnonzero(visible[picture] == self._cell_of(*middle)) for middle in one.row]
                pointed += [(row, start, int(seen)) for some in cells for seen in some]  # at all before the first word
                edges = middles = 0
                for offset, (token, what) in enumerate(zip(one.answer, one.kinds, strict=True)):
                    at.append((row, start + offset))
                    target.append(token)
                    kind.append(what)
                    first.append((self._writer.numbers[one.dialect].start(token) or 0) if what else 0)
                    if what == 2:
                        pointed += [(row, start + offset, int(seen)) for seen in cells[edges // 4]]
                        edges += 1
                    elif what == 3:
                        pointed += [(row, start + offset, int(seen)) for seen in members[middles // 2]]
                        middles += 1
        longest = max((len(tokens) for tokens in rows), default=0)
        packed = np.zeros((3, len(rows), longest), np.int64)
        packed[2] = -1
        for row, tokens in enumerate(rows):
            if tokens:
                packed[:, row, : len(tokens)] = np.array(tokens).T
        ids, positions, blocks = torch.from_numpy(packed)
        return PackedBatch(
            step,
            pixels,
            dense,
            torch.from_numpy(visible),
            torch.tensor(pictures, dtype=torch.long),
            ids,
            positions,
            blocks,
            torch.tensor(at, dtype=torch.long).reshape(-1, 2),
            torch.tensor(target, dtype=torch.long),
            torch.tensor(kind, dtype=torch.long),
            torch.tensor(first, dtype=torch.long),
            torch.tensor(pointed, dtype=torch.long).reshape(-1, 3),
        )

    def _told(self, asked: Asked, random: np.random.Generator) -> Told:
        dialect = int(random.choice(len(self._writer.dialects), p=self._writer.shares))
        question = self._writer.question(asked.said.instruction, dialect)
        return Told(asked.prompts, dialect, question, *self._writer.answer(asked, dialect), asked.row)

    @staticmethod
    def _visible(holds: NDArray[np.float32], count: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Choose cells to be shown (B, V): those that hold something, and others at random."""
        keys = random.random(holds.shape) + (holds > 0)
        return np.asarray(np.sort(np.argsort(-keys, axis=1)[:, :count], axis=1), np.int64)

    def _cell_of(self, x: float, y: float) -> int:
        column, row = (min(self._side - 1, int(middle / STRIDE)) for middle in (x, y))
        return row * self._side + column


def _middle(prompt: Prompt) -> tuple[float, float]:
    assert prompt.box is not None
    x1, y1, x2, y2 = prompt.box
    return (x1 + x2) / 2, (y1 + y2) / 2


def texts_of(pools: Sequence[Pool], seed: int, thinking: str = "sentence") -> Iterator[str]:
    """Yield instructions and what is thought of them about pictures of the pools, for a vocabulary to be made of."""
    for number, pool in enumerate(pools):
        random = np.random.default_rng([seed, number])
        for picture in pool.training[:1500]:
            for text, choice in picture.questions:
                yield text
                yield choice.reply
            if picture.questions:
                continue
            for one in ask(picture, picture.boxes, picture.spots, random, 12, thinking=thinking):
                yield one.said.instruction
                yield one.thinking
