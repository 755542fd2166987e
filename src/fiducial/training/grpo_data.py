"""Questions whose answers are rewarded, and the processor through which TRL asks them as they are asked later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from fiducial.cache import LRUCache
from fiducial.geometry import Mask
from fiducial.images import Image
from fiducial.language.dialects import Dialect
from fiducial.prompters.vlm import VLMPrompter
from fiducial.rewards.scoring import Shown
from fiducial.training.augmentation import SampleInContext
from fiducial.training.grpo_configs import GrpoConfig
from fiducial.training.sft_data import Portion, RowOrder
from fiducial.training.sft_samples import Example, ExampleWriter, NoAnswerError

_KEPT_BYTES = 2**28
"""What questions kept in memory may take, most of it pictures."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One question and what is true.

    Args:
        example: what the model is shown and asked.
        image: what masks are cut of: the sample's own, without overlays.
        truth: one mask per target, of the image's size.
        shown: how the model sees the image.
    """

    example: Example
    image: Image
    truth: tuple[Mask, ...]
    shown: Shown

    def __deepcopy__(self, memo: Any) -> Question:
        return self  # TRL copies every prompt

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (self.example.id,)  # TRL gathers the prompts of all processes for its log: a name is enough

    @property
    def nbytes(self) -> int:
        """Roughly what it takes in memory."""
        return int(self.image.pixels.nbytes + self.example.image.pixels.nbytes + self.example.picture.pixels.nbytes)


def question_of(item: SampleInContext, example: Example, dialect: Dialect) -> Question:
    """Make the question of a sample and its example.

    Raises:
        NoAnswerError: there are no masks to reward by.
    """
    sample = item.sample
    if sample.instances is None:
        raise NoAnswerError(f"sample {sample.id}: its dataset has no masks to reward by")
    seen = example.image
    shown = Shown.of(example.picture.extent, example.frame(dialect), (seen.width, seen.height))
    return Question(example, sample.image(), sample.instances, shown)


class Questions(RowOrder):
    """The questions of a run by their row; those asked lately are kept, as all epochs ask the same."""

    def __init__(self, config: GrpoConfig, portions: Sequence[Portion], writer: ExampleWriter) -> None:
        super().__init__(config, portions, config.num_questions)
        self._writer = writer
        self._known = LRUCache[tuple[int, int], Question](_KEPT_BYTES, lambda question: question.nbytes)

    def __getitem__(self, row: int) -> Question:
        return self.first(row, self._question)

    def _question(self, portion: Portion, index: int, epoch: int) -> Question:
        key = id(portion), index
        known = self._known.get(key)
        if known is None:
            item = self.item(portion, index)
            try:
                known = question_of(item, self._writer.write(item), self._writer.dialect)
            except NoAnswerError:
                self.left_out.add(item.sample.id)
                raise
            self._known.put(key, known)
        return known


def turns(question: Question) -> list[dict[str, Any]]:
    """Return the prompt as TRL takes it: the question stands where the image would."""
    example = question.example
    user = [{"type": "image", "image": question}, {"type": "text", "text": example.user}]
    system = [{"role": "system", "content": [{"type": "text", "text": example.system}]}] if example.system else []
    return [*system, {"role": "user", "content": user}]


class AskingProcessor:
    """Stands for the processor in TRL's trainer: asks as the prompter does, and each picture is prepared once a step.

    TRL would fill the chat template its own way, prepare the picture anew for every answer, twice, and drop special
    tokens, which some families write boxes with.
    """

    def __init__(self, prompter: VLMPrompter) -> None:
        self._prompter = prompter
        self._prepared: dict[int, tuple[Question, Mapping[str, Tensor]]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prompter.processor, name)

    def apply_chat_template(self, conversation: Sequence[Any], *, tokenize: bool = True, **options: Any) -> Any:
        """Return token ids of each conversation, not padded, and what else the model takes; TRL looks at no text."""
        if not tokenize:
            return ""
        asked = [_question_in(turns) for turns in conversation]
        self._prepared = {id(one): self._prepared.get(id(one), (one, {})) for one in asked}
        rows = [self._tensors(one) for one in asked]
        per_token = _per_token(rows[0])
        lists = {key: [row[key][0].tolist() for row in rows] for key in per_token}
        return lists | {key: _joined([row[key] for row in rows]) for key in rows[0] if key not in per_token}

    def __call__(self, images: Sequence[Sequence[Question]], **options: Any) -> dict[str, Tensor]:
        """Return what the model takes of a batch, padded at the left."""
        rows = [self._tensors(one) for (one,) in images]
        per_token = _per_token(rows[0])
        longest = max(row["input_ids"].shape[1] for row in rows)
        fill = {"input_ids": int(self._prompter.processor.tokenizer.pad_token_id)}
        padded = {
            key: torch.cat([pad(row[key], (longest - row[key].shape[1], 0), value=fill.get(key, 0)) for row in rows])
            for key in per_token
        }
        return padded | {key: _joined([row[key] for row in rows]) for key in rows[0] if key not in per_token}

    def image_processor(self, images: Sequence[Sequence[Question]], **options: Any) -> dict[str, Tensor]:
        """Return the number of tiles of each picture (InternVL)."""
        tiles = [self._tensors(one)["pixel_values"].shape[0] for some in images for one in some]
        return {"num_patches": torch.tensor(tiles)}

    def batch_decode(self, rows: Sequence[Sequence[int]], **options: Any) -> list[str]:
        """Return the replies letter by letter, box marks and all, up to the token that ends them."""
        return [self._prompter.reply(row).text for row in rows]

    def _tensors(self, question: Question) -> Mapping[str, Tensor]:
        known = self._prepared.get(id(question), (question, {}))[1]
        if not known:
            example = question.example
            chat = self._prompter.chat(example.system, example.user)
            known = dict(self._prompter.inputs([example.picture.pixels], [chat]))
            self._prepared[id(question)] = question, known
        return known


def _question_in(conversation: Sequence[Mapping[str, Any]]) -> Question:
    parts = [part for turn in conversation for part in turn["content"] if part["type"] == "image"]
    found: Question = parts[0]["image"]
    return found


def _per_token(row: Mapping[str, Tensor]) -> list[str]:
    """Name what there is one number a token of."""
    return [key for key, value in row.items() if value.shape == row["input_ids"].shape]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Put parts behind each other; where pictures have different numbers of tiles, with empty ones."""
    if parts[0].ndim > 1 and len({part.shape[1] for part in parts}) > 1:
        most = max(part.shape[1] for part in parts)
        parts = [pad(one, (*(0, 0) * (one.ndim - 2), 0, most - one.shape[1])) for one in parts]
    return torch.cat(list(parts))
