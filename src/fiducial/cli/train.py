"""``fiducial train``: weights from a configuration and data; can be stopped and goes on."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from fiducial.cli import common
from fiducial.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from fiducial.training.configs import GrounderConfig, SegmenterConfig

Phased = TypeVar("Phased", "SegmenterConfig", "GrounderConfig")

_SUMMARY = (
    "Train weights. decoder: the mask decoder of a SAM, SAM-HQ, SAM 2 or SAM 3, its encoder frozen. "
    "segmenter: the nano segmenter. grounder: the nano grounder. words: the word table that the grounder is asked by. "
    "The same command goes on with a run that was stopped."
)


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    arguments = _parser().read(words)
    if arguments.what not in _TRAINERS:
        raise UnknownNameError("thing to train", arguments.what, _TRAINERS)
    if arguments.steps is not None and arguments.steps < 1:
        raise InputError(f"--steps needs at least 1, got {arguments.steps}")
    arguments.command = ["fiducial", "train", *words]
    print(f"wrote {_TRAINERS[arguments.what](arguments)}")
    return 0


def _parser() -> common.Parser:
    parser = common.Parser("train", _SUMMARY)
    parser.add_argument("what", metavar="WHAT", help="decoder, segmenter, grounder or words")
    parser.add_argument(
        "config", metavar="CONFIG", help="a YAML file, or sam-decoder, nano-segmenter, nano-grounder, nano-words"
    )
    parser.add_argument(
        "--data", type=Path, default=Path(), metavar="DIR", help="what DATA/ in the configuration means"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RUN", help="the run's folder; one that exists goes on"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="another number of steps (nano: phases in proportion)")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    parser.add_argument("--quiet", action="store_true", help="write the log without printing it")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="another value for the configuration: learning_rate=3e-4, losses.focal=1, fraction=0.1",
    )
    return parser


def _decoder(arguments: Namespace) -> Path:
    from fiducial.training.configs import DecoderConfig
    from fiducial.training.decoder import train
    from fiducial.training.recipes import load_config

    settings = _settings(arguments)
    if arguments.steps is not None:
        settings["steps"] = arguments.steps
    return train(load_config(DecoderConfig, arguments.config, settings), **_options(arguments))


def _segmenter(arguments: Namespace) -> Path:
    from fiducial.training.configs import SegmenterConfig
    from fiducial.training.recipes import load_config
    from fiducial.training.segmenter import train

    config = load_config(SegmenterConfig, arguments.config, _settings(arguments))
    if arguments.steps is not None:
        config = _shortened(config, arguments.steps)
    return train(config, **_options(arguments))


def _grounder(arguments: Namespace) -> Path:
    from fiducial.training.configs import GrounderConfig
    from fiducial.training.grounder import train
    from fiducial.training.recipes import load_config

    config = load_config(GrounderConfig, arguments.config, _settings(arguments))
    if arguments.steps is not None:
        config = _shortened(config, arguments.steps)
    return train(config, **_options(arguments))


def _words(arguments: Namespace) -> Path:
    from fiducial.training.configs import WordsConfig
    from fiducial.training.recipes import load_config
    from fiducial.training.words import train

    if arguments.steps is not None:
        raise InputError("train words takes no --steps: say how often it goes through its texts, --set epochs=N")
    return train(load_config(WordsConfig, arguments.config, _settings(arguments)), **_options(arguments))


def _settings(arguments: Namespace) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for text in arguments.set:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text!r}: write KEY=VALUE, such as learning_rate=3e-4 or losses.dice=2")
        try:
            settings[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"--set {text!r}: the value is neither a number, a word nor a list") from None
    return settings


_TRAINERS: dict[str, Callable[[Namespace], Path]] = {
    "decoder": _decoder,
    "segmenter": _segmenter,
    "grounder": _grounder,
    "words": _words,
}


def _options(arguments: Namespace) -> dict[str, Any]:
    names = ("data", "out", "device", "command", "quiet")
    return {name: getattr(arguments, name) for name in names}


def _shortened(config: Phased, steps: int) -> Phased:
    """Give phases their shares of another number of steps; those that come to nothing are left out."""
    phases: list[Any] = []
    given = done = 0
    for phase in config.phases:
        done += phase.steps
        share = steps * done // config.steps - given
        given += share
        if share:
            phases.append(replace(phase, steps=share))
    return replace(config, phases=tuple(phases))
