"""What SAM and its kin can be given; building one loads its code and its model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from fiducial.checkpoints import Dtype
from fiducial.config import Config, option

if TYPE_CHECKING:
    from fiducial.segmenters.sam import SamSegmenter


@dataclass(frozen=True, slots=True, kw_only=True)
class SamConfig(Config):
    """Segment Anything (ViT)."""

    kind: ClassVar[str] = "segmenter"
    name: ClassVar[str] = "sam"
    extra: ClassVar[str] = "models"

    model: str = option("facebook/sam-vit-base", "a folder, or an id of the hub", positional=True)
    device: str = option("auto", "auto, cpu, cuda, cuda:1, ...")
    dtype: Dtype = option("auto", "of the vision tower; auto is float32, in which the decoder always works")
    multimask: Literal["single", "best"] = option("single", "the one mask, or the best of three by predicted IoU")
    max_prompts: int | None = option(None, "most prompts per decoder call; none: 4 on a CPU, otherwise 32", minimum=1)
    hub_cache: Path | None = option(None, "folder for what the hub sends; none: that of huggingface_hub")
    local_files_only: bool = option(False, "never ask the network")
    revision: str | None = option(None, "branch, tag or commit on the hub")

    def build(self) -> SamSegmenter:
        """Load the checkpoint."""
        from fiducial.segmenters.sam import SamSegmenter

        return SamSegmenter.from_config(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SamHQConfig(SamConfig):
    """SAM-HQ, finer edges."""

    name: ClassVar[str] = "sam-hq"
    model: str = option("syscv-community/sam-hq-vit-base", "a folder, or an id of the hub", positional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sam2Config(SamConfig):
    """Segment Anything 2.1."""

    name: ClassVar[str] = "sam2"
    model: str = option("facebook/sam2.1-hiera-small", "a folder, or an id of the hub", positional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sam3Config(SamConfig):
    """The promptable segmenter of SAM 3."""

    name: ClassVar[str] = "sam3"
    model: str = option("facebook/sam3", "a folder, or an id of the hub", positional=True)
