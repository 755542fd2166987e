"""``fiducial train``: weights from a configuration and data; can be stopped and goes on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fiducial import plugins
from fiducial.cli import common
from fiducial.config import Config, Text, option

if TYPE_CHECKING:
    from fiducial.training.configs import RunConfig


@dataclass(frozen=True, kw_only=True)
class Train(Config):
    """Train weights. The same command goes on with a run that was stopped.

    decoder: the mask decoder of a SAM, SAM-HQ, SAM 2 or SAM 3, its encoder frozen. segmenter: the nano segmenter.
    sizes: the judge of its masks around one point. grounder: the nano grounder. kinds: the judge of a picture's kind.
    words: the word table that the grounder is asked by. sft: a vision-language model, to write coordinates. grpo: one
    that writes them, by rewards. nano-vlm: a small one from nothing. text2centroid: the head that reads a place out of
    a sentence. cg-reasoner: one that answers in words and draws the mask itself.
    `fiducial describe WHAT` tells what its configuration holds.
    """

    what: str = option(
        help="decoder, segmenter, sizes, grounder, kinds, words, sft, grpo, nano-vlm, text2centroid or cg-reasoner",
        positional=True,
    )
    config: str = option(
        help="a YAML file, or a shipped one: sam-decoder, nano-segmenter, ..., small-grpo", positional=True
    )
    data: Path = option(Path(), "what DATA/ in the configuration means", unit="DIR")
    out: Path = option(help="the run's folder; one that exists goes on", unit="RUN")
    steps: int | None = option(None, "another number of steps (nano: phases in proportion)", unit="N", minimum=1)
    cache: Path | None = option(None, "decoder: folder for embeddings, which runs with one encoder share", unit="DIR")
    device: str = option("auto", "cpu, cuda, cuda:1, mps", unit="D")
    quiet: bool = option(False, "write the log without printing it")
    set: tuple[Text, ...] = option(
        (), "another value for the configuration: learning_rate=3e-4, losses.focal=1", unit="KEY=VALUE"
    )


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    named = next((word for word in words if word in plugins.names("training")), "WHAT")
    about = (Train.__doc__ or "").replace("describe WHAT", f"describe {named}")
    options = common.parse(Train, "train", words, about=about)
    kind = plugins.find("training", options.what)
    from fiducial.training.recipes import load_config

    settings = common.read_settings(options.set, "learning_rate=3e-4 or losses.dice=2")
    if options.cache is not None:
        settings["embeddings"] = Text(options.cache)
    config: RunConfig = load_config(kind, options.config, settings)
    if options.steps is not None:
        config = config.with_steps(options.steps)
    command = ["fiducial", "train", *words]
    left = config.train(options.data, options.out, device=options.device, command=command, quiet=options.quiet)
    if os.environ.get("RANK", "0") == "0":  # of several processes that a launcher started, one speaks
        print(f"wrote {left}")
    return 0
