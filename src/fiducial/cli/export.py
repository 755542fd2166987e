"""``fiducial export``: what is here, as files for other people's programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from fiducial.cli import common
from fiducial.config import Config, as_plain, option
from fiducial.datasets import Dataset, describe_dataset
from fiducial.training.sft_configs import AnswerConfig, Augmentation, ChatFormat

if TYPE_CHECKING:
    from fiducial.training.sft_samples import Example, ExampleWriter

_NEXT = {
    "trl": 'datasets.load_dataset("json", data_files=FILE), its "images" cast to List(Image())',
    "llava": "--data_path FILE --image_folder FOLDER",
    "ms-swift": "swift sft --dataset FILE",
    "llamafactory": "dataset_dir: FOLDER, media_dir: FOLDER, dataset: fiducial",
}


@dataclass(frozen=True, kw_only=True)
class Export(Config):
    """Write a dataset as chats to train a vision-language model with elsewhere.

    Questions are put in a template's words, answers written in a dialect, in the numbers of the picture beside them.
    """

    what: Literal["sft"] = option(help="sft", positional=True)
    dataset: str = option(help="a folder, FORMAT:PATH?key=value, scenes:STYLE or a YAML file", positional=True)
    out: Path = option(help="the folder to write; it must be new or empty", unit="FOLDER")
    dialect: str = option(help="how answers write coordinates: `fiducial parse` knows the same", unit="D")
    format: ChatFormat = option(help=", ".join(get_args(ChatFormat)), unit="F")
    template: str | None = option(None, "a shipped template, or a .txt file (default: that of the dialect)", unit="T")
    canvas: tuple[int, int] | None = option(None, "stretch every picture to this size", unit="W,H", minimum=1)
    max_pixels: int | None = option(None, "greatest area of a picture", unit="N", minimum=1)
    overlay: tuple[Annotated[Config, "overlay"], ...] = option(
        (), "drawn onto the pictures: grid, grid?rows=4", unit="O,O"
    )
    thinking: bool = option(True, "write no thinking, in dialects that have a place for it")
    copies: int = option(
        1, "how often each sample is written; copies after the first are augmented", unit="N", minimum=1
    )
    flip: float = option(0.5, "part of the copies that are mirrored, with their words", unit="P", minimum=0, maximum=1)
    crop: float = option(0.5, "part of the copies that are cut to a window", unit="P", minimum=0, maximum=1)
    seed: int = option(0, "of all draws", unit="N", minimum=0)
    limit: int | None = option(None, "most samples of the dataset", unit="N", minimum=1)
    split: str | None = option(None, "part of the dataset (default: all)", unit="S")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Export, "export", words)
    from fiducial.training.sft_export import write_chats
    from fiducial.training.sft_samples import ExampleWriter

    source = describe_dataset(options.dataset, split=options.split)
    answers = AnswerConfig(
        dialect=options.dialect,
        template=options.template,
        canvas=options.canvas,
        max_pixels=options.max_pixels,
        overlays=options.overlay,
        thinking=options.thinking,
    )
    left_out: Counter[str] = Counter()
    examples = _examples(options, source.build(), ExampleWriter(answers), left_out)
    card = {"dataset": as_plain(source), "config": as_plain(options), "seed": options.seed}
    try:
        path, count = write_chats(options.out, examples, options.format, ["fiducial", "export", *words], **card)
    finally:  # where nothing could be written this says why
        for reason, number in left_out.most_common(3):
            print(f"left out {number}, such as {reason}")
    print(f"wrote {count} chats to {path}")
    print(f"next: {_NEXT[options.format].replace('FILE', str(path)).replace('FOLDER', str(path.parent))}")
    return 0


def _examples(options: Export, dataset: Dataset, writer: ExampleWriter, left_out: Counter[str]) -> Iterator[Example]:
    from fiducial.evaluation.progress import Progress
    from fiducial.training.augmentation import augmented, in_context
    from fiducial.training.sft_samples import NoAnswerError, epoch_seed

    augmentation = Augmentation(flip=options.flip, crop=options.crop)
    first = ""
    count = len(dataset) if options.limit is None else min(options.limit, len(dataset))
    with Progress("export", brief=True) as progress:
        for index in range(count):
            item = in_context(dataset, index)
            for epoch in range(options.copies):
                shown = item if epoch == 0 else augmented(item, augmentation, options.seed, epoch)
                try:
                    yield writer.write(shown, epoch_seed(options.seed, epoch))
                except NoAnswerError as error:
                    first = first or str(error)
                    left_out[first] += 1
            progress.count(index + 1, count)
