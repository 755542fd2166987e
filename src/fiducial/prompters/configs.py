"""What prompters without a language model can be given; building one loads its code and its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from fiducial.config import Config, option, title
from fiducial.errors import InputError
from fiducial.prompters.phrase_config import PhraseConfig

if TYPE_CHECKING:
    from fiducial.contracts import Prompter
    from fiducial.prompters.classic import ClassicPrompter
    from fiducial.prompters.detector import DetectorPrompter
    from fiducial.prompters.oracle import OraclePrompter

DEVICE = "auto, cpu, cuda, cuda:1, ..."
"""What can be said for a device, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassicConfig(PhraseConfig):
    """Regions by colour and texture, picked by spatial phrases; no weights, recognises no nouns."""

    kind: ClassVar[str] = "prompter"
    name: ClassVar[str] = "classic"

    def build(self) -> ClassicPrompter:
        """Build it."""
        from fiducial.prompters.classic import ClassicPrompter

        return ClassicPrompter(rest=self.rest)


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleConfig(Config):
    """Prompts that you give: a JSON, JSONL or COCO file."""

    kind: ClassVar[str] = "prompter"
    name: ClassVar[str] = "oracle"

    model: Path = option(help="the file of prompts", positional=True)

    def build(self) -> OraclePrompter:
        """Read the file."""
        from fiducial.prompters.oracle import OraclePrompter

        return OraclePrompter.from_file(self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoConfig(PhraseConfig):
    """Our own small detector for a closed vocabulary, spatial phrases pick; its weights come with the package."""

    kind: ClassVar[str] = "prompter"
    name: ClassVar[str] = "nano"

    model: str = option("nano-grounder", "the package's own weights, or a safetensors file", positional=True)
    device: str = option("auto", DEVICE)
    threshold: float | None = option(None, "least score; none: that of each name in the weights", minimum=0, maximum=1)
    zoom: float = option(1.0, "look so many times closer", above=0, maximum=16)
    flips: bool = option(True, "look at the mirrored picture too, where the first look hints at a thing: finds more")
    hint: float = option(0.05, "likelihood of a thing that is worth the mirrored look", minimum=0, maximum=1)
    suppress: float = option(0.5, "IoU above which the worse of two boxes of one name goes", minimum=0, maximum=1)
    any_picture: bool = option(False, "look for a name in pictures of every kind; off: in those of its own kind alone")
    kinds: str = option("nano-kinds", "what judges the kind of a picture: the package's own weights, or a file")
    subjects: str = option(
        "cg-reasoner-nano", "what draws medical subjects: the package's own, or RUN/model of a run; empty: nothing does"
    )

    def build(self) -> DetectorPrompter:
        """Load the weights; where no kind of thing is named, regions are chosen from as ``classic`` does."""
        from fiducial.prompters.grounder.weights import load_grounder

        grounder = load_grounder(self.model, self.device)  # gets ready while the rest is imported
        from fiducial.prompters.subjects.building import build_nano

        return build_nano(self, grounder)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfConsistencyConfig(Config):
    """Ask several times and fuse the answers: each prompt's score is how far they agree."""

    samples: int = option(5, "how often each question is asked; 1 fuses nothing", minimum=1, positional=True)
    iou: float = option(0.5, "least overlap of two answers' prompts that are one target", above=0, maximum=1)
    quorum: float = option(
        0.5, "a target stays that more than this share of the answers have", minimum=0, maximum=0.999
    )

    def require(self, prompter: Config) -> None:
        """Refuse a prompter that says the same however often it is asked."""
        varies = getattr(prompter, "varies", None)
        if self.samples == 1:
            return
        if varies is None:
            raise InputError(f"the {title(type(prompter))} draws nothing: asking {self.samples} times changes nothing")
        if not varies:
            raise InputError(f"asking {self.samples} times changes nothing while nothing is drawn: {DRAW}")

    def wrap(self, prompter: Prompter) -> Prompter:
        """Return the prompter, asked so many times."""
        if self.samples == 1:
            return prompter
        from fiducial.prompters.self_consistency import SelfConsistentPrompter

        return SelfConsistentPrompter(prompter, self)


DRAW = "set prompter.do_sample=true (a model in this process) or prompter.temperature=0.7 (one behind an endpoint)"
"""What makes a prompter draw."""
SEEDS_APART = 10_007
"""Between the seeds of two samples of one run, so that runs with seeds 0, 1, 2 share none."""
