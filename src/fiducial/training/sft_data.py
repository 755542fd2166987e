"""What supervised training reads: which sample stands in which row, examples of them, and batches whose loss is right.

Row n of a run is the same whenever it is made: its source is drawn by the shares, its sample by a shuffle of the source
that every epoch makes anew, its augmentation by sample and epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from fiducial.datasets import Dataset, Sample, open_dataset
from fiducial.datasets.splits import group_of, is_held_out
from fiducial.errors import InputError, ModelError
from fiducial.geometry import Prompts, boxes
from fiducial.language import Answer, Outcome
from fiducial.misground.replies import choice
from fiducial.prompters.vlm import VLMPrompter
from fiducial.prompters.vlm.prompter import IGNORED
from fiducial.synthetic.scenes import SceneDataset
from fiducial.training.augmentation import SampleInContext, augmented, in_context
from fiducial.training.configs import Source
from fiducial.training.sft_configs import PrompterRunConfig, SftConfig
from fiducial.training.sft_samples import Example, ExampleWriter, NoAnswerError, epoch_seed
from fiducial.training.sources import expand_data_folder, shares, subset

T = TypeVar("T")
HIT = 0.5
"""IoU from which a box is right."""


@dataclass(frozen=True, slots=True, eq=False)
class Portion:
    """One source, and which of its samples are learned from and which are not."""

    source: Source
    dataset: Dataset
    training: tuple[int, ...]
    held_out: tuple[int, ...]


def read_portions(config: PrompterRunConfig, data: str | Path) -> list[Portion]:
    """Open the sources and cut each by group.

    Raises:
        InputError: a source cannot be opened or leaves nothing to learn from, or nothing at all is held out.
    """
    portions = []
    for source in config.data:
        dataset = open_dataset(expand_data_folder(source.dataset, data))
        if isinstance(dataset, SceneDataset) and not source.group:
            groups: Sequence[str] = dataset.ids  # nothing has to be drawn
        else:
            groups = [group_of(sample, source.group) for sample in dataset]
        held_out = [index for index, group in enumerate(groups) if is_held_out(group, source.held_out)]
        training = sorted({*range(len(groups))} - {*held_out})
        if not training:
            raise InputError(f"{source.dataset}: no sample is left to learn from")
        portions.append(Portion(source, dataset, tuple(training), tuple(held_out)))
    if not any(one.held_out for one in portions if one.source.scored):
        raise InputError("data: nothing is held out to choose the best model by: raise held_out of a scored dataset")
    return portions


def targets_of(sample: Sample) -> int:
    """Count the targets of a sample; a question that is answered in words has none."""
    return 0 if sample.choice is not None else len(sample.prompts())


class RowOrder:
    """Which sample stands in which row of a run, as many as its steps take."""

    def __init__(self, config: PrompterRunConfig, portions: Sequence[Portion], count: int) -> None:
        self._config, self.portions, self.count = config, portions, count
        random = np.random.default_rng([config.seed, 0])
        self._sources = random.choice(len(portions), size=self.count, p=shares([one.source for one in portions]))
        self._turns = np.zeros(self.count, np.int64)  # the how manieth row of its source each is
        for index in range(len(portions)):
            mine = self._sources == index
            self._turns[mine] = np.arange(int(mine.sum()))
        self._orders: dict[tuple[int, int], Any] = {}
        self.left_out: set[str] = set()
        """Ids of samples that the dialect cannot hold, or that have too many targets."""

    def __len__(self) -> int:
        return self.count

    def first(self, row: int, make: Callable[[Portion, int, int], T]) -> T:
        """Return what ``make`` makes of the portion, index and epoch of a row; what cannot be gives it to the next.

        Raises:
            InputError: nothing can be made of any sample of the row's source.
        """
        number = int(self._sources[row])
        portion = self.portions[number]
        epoch, turn = divmod(int(self._turns[row]), len(portion.training))
        order = self._order(number, epoch)
        for step in range(len(order)):
            try:
                return make(portion, portion.training[int(order[(turn + step) % len(order)])], epoch)
            except NoAnswerError as error:
                last = str(error)
        raise InputError(f"{portion.source.dataset}: no sample can be answered in this dialect, the last: {last}")

    def item(self, portion: Portion, index: int) -> SampleInContext:
        """Return a sample that has not too many targets.

        Raises:
            NoAnswerError: it has.
        """
        item = in_context(portion.dataset, index)
        if targets_of(item.sample) > self._config.max_targets:
            self.left_out.add(item.sample.id)
            raise NoAnswerError(f"{item.sample.id} has more than max_targets={self._config.max_targets} targets")
        return item

    def _order(self, number: int, epoch: int) -> Any:
        if (number, epoch) not in self._orders:
            self._orders = {key: order for key, order in self._orders.items() if key[0] != number}
            random = np.random.default_rng([self._config.seed, 1, number, epoch])
            self._orders[number, epoch] = random.permutation(len(self.portions[number].training))
        return self._orders[number, epoch]


class Rows(RowOrder):
    """The examples of a supervised run by their row."""

    def __init__(
        self, config: SftConfig, portions: Sequence[Portion], writer: ExampleWriter, *, processes: int = 1
    ) -> None:
        super().__init__(config, portions, config.num_rows * processes)
        self._augmentation, self._seed, self._writer = config.augmentation, config.seed, writer

    def __getitem__(self, row: int) -> Example:
        return self.first(row, self._example)

    def _example(self, portion: Portion, index: int, epoch: int) -> Example:
        item = self.item(portion, index)
        moved = augmented(item, self._augmentation, self._seed, epoch)
        try:
            return self._writer.write(moved, epoch_seed(self._seed, epoch))
        except NoAnswerError:
            self.left_out.add(item.sample.id)
            raise


def held_out_items(
    config: PrompterRunConfig, portions: Sequence[Portion], writer: ExampleWriter
) -> dict[str, list[tuple[SampleInContext, Example]]]:
    """Return the held-out samples to evaluate on, as they are, with their examples, by the title of their source.

    Raises:
        InputError: none can be answered, and why.
    """
    found: dict[str, list[tuple[SampleInContext, Example]]] = {}
    why = ""
    for portion in portions:
        if not portion.source.scored or not portion.held_out:
            continue
        pairs = found.setdefault(portion.source.title, [])
        for index in subset(portion.held_out, config.eval_limit, config.seed):
            item = in_context(portion.dataset, index)
            if targets_of(item.sample) > config.max_targets:
                why = f"sample {item.sample.id} has more than max_targets={config.max_targets} targets"
                continue
            try:
                pairs.append((item, writer.write(item)))
            except NoAnswerError as error:
                why = str(error)
    if not any(found.values()):
        raise InputError(f"data: no held-out sample can be answered, the last: {why}")
    return {title: pairs for title, pairs in found.items() if pairs}


def held_out_examples(
    config: PrompterRunConfig, portions: Sequence[Portion], writer: ExampleWriter
) -> dict[str, list[Example]]:
    """Write the held-out samples to evaluate on, by the title of their source."""
    found = held_out_items(config, portions, writer)
    return {title: [example for _, example in pairs] for title, pairs in found.items()}


# -- batches --------------------------------------------------------------------------------------


class AnswerCollator:
    """Batches of rows with ``prompt``, ``completion`` and ``images``; only the completion's tokens have labels.

    They are those of :meth:`fiducial.prompters.vlm.VLMPrompter.answered`, padded behind the completions.
    """

    def __init__(self, prompter: VLMPrompter) -> None:
        self._prompter = prompter
        self._checked = False

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Make the tensors of a batch: those of the processor, and ``labels`` (B, T), -100 where nothing is learned."""
        pictures = [np.asarray(row["images"][0], np.uint8) for row in rows]
        answers = [row["completion"] for row in rows]
        inputs, labels = self._prompter.answered(pictures, [row["prompt"] for row in rows], answers)
        if not self._checked:
            check_labels(inputs["input_ids"], labels, answers, self._prompter.processor.tokenizer)
            self._checked = True
        return {**inputs, "labels": labels}


def check_labels(ids: Tensor, labels: Tensor, answers: Sequence[str], tokenizer: Any) -> None:
    """Refuse a batch whose labels are anything but its answers: (B, T) ids and labels of the texts in ``answers``.

    Raises:
        ModelError: the loss would cover other tokens.
    """
    for row, answer in enumerate(answers):
        learned = labels[row] != IGNORED
        said = tokenizer(answer, add_special_tokens=False)["input_ids"]
        if ids[row][learned].tolist() != said or labels[row][learned].tolist() != said:
            raise ModelError(f"the loss would not cover the answer alone: {answer!r:.80}")


# -- scores ---------------------------------------------------------------------------------------


def answer_scores(prompter: VLMPrompter, examples: Sequence[Example]) -> list[float]:
    """Ask a model, and return how right each answer is in 0..1.

    Places count by :func:`grounding_accuracy`; of words, 1 where the reply chooses the right option.
    """
    scores: dict[int, float] = {}
    in_words = [place for place, one in enumerate(examples) if one.choice is not None]
    placed = [place for place, one in enumerate(examples) if one.choice is None]
    if in_words:
        said = [examples[place] for place in in_words]
        replies = prompter.converse([[one.image] for one in said], [one.instruction for one in said])
        for place, one, reply in zip(in_words, said, replies, strict=True):
            assert one.choice is not None
            scores[place] = float(choice(reply.text, one.choice.options) == one.choice.right)
    if placed:
        asked = [examples[place] for place in placed]
        answers = prompter.ask([one.image for one in asked], [one.instruction for one in asked])
        for place, one, answer in zip(placed, asked, answers, strict=True):
            scores[place] = grounding_accuracy(answer, one.prompts)
    return [scores[place] for place in range(len(examples))]


def grounding_accuracy(answer: Answer, truth: Prompts) -> float:
    """Return the share in 0..1 of boxes that are right: pairs with an IoU of at least 0.5, each box in one pair.

    It is the number of such pairs, paired for the most IoU, divided by that of true or answered boxes, whichever is
    larger; with one of each this is box Acc@0.5. Where nothing is meant, saying so is 1 and all else 0.

    Example:
        >>> from fiducial.geometry import Frame
        >>> one = Prompts.from_boxes(Frame.pixels(10, 10), [(0, 0, 4, 4)])
        >>> grounding_accuracy(Answer(Outcome.FOUND, one), one)
        1.0
    """
    if not len(truth):
        return float(answer.outcome is Outcome.NO_TARGET)
    found = [prompt.box for prompt in answer.prompts if prompt.box is not None]
    if not found:
        return 0.0
    overlap = boxes.iou(np.array(found), truth.boxes)
    rows, columns = linear_sum_assignment(-overlap)
    return float((overlap[rows, columns] >= HIT).sum()) / max(len(found), len(truth))
