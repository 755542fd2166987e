"""What segmenters and the cache of their embeddings can be given; building one loads its code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from fiducial.checkpoints import Dtype
from fiducial.config import Config, option

if TYPE_CHECKING:
    from fiducial.contracts import Segmenter
    from fiducial.segmenters.grabcut import GrabCutSegmenter
    from fiducial.segmenters.nano import NanoSegmenter
    from fiducial.segmenters.sam import SamSegmenter

EMBEDDED = "nano-segmenter"
"""The weights that come with the package."""
MAX_BYTES = 10 * 2**30
"""How large a folder of embeddings may grow unless another bound is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig(Config):
    """A folder that keeps embeddings, so that no image is encoded twice by the same model."""

    folder: Path = option(help="where the embeddings are kept; made when missing", positional=True)
    max_bytes: int | None = option(MAX_BYTES, "bound of all files; those unused for longest go first", minimum=1)

    def wrap(self, segmenter: Segmenter) -> Segmenter:
        """Return the segmenter with this cache, or itself when it computes nothing that is worth keeping."""
        from fiducial.segmenters.cache import CachedSegmenter

        keyed = hasattr(segmenter, "embedding_key")
        return CachedSegmenter(segmenter, self.folder, self.max_bytes) if keyed else segmenter


@dataclass(frozen=True, slots=True, kw_only=True)
class GrabCutConfig(Config):
    """OpenCV GrabCut; no weights."""

    kind: ClassVar[str] = "segmenter"
    name: ClassVar[str] = "grabcut"

    def build(self) -> GrabCutSegmenter:
        """Build it."""
        from fiducial.segmenters.grabcut import GrabCutSegmenter

        return GrabCutSegmenter()


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoConfig(Config):
    """Our own small network; its weights come with the package."""

    kind: ClassVar[str] = "segmenter"
    name: ClassVar[str] = "nano"

    model: str = option(EMBEDDED, "the package's own weights, or a safetensors file", positional=True)
    device: str = option("auto", "auto, cpu, cuda, cuda:1, ...")
    passes: int = option(
        2, "cuts per target; a further one is kept when the network trusts it more", minimum=1, maximum=100
    )
    # Of 393 held-out aerial objects a second cut of all changes the mean IoU from 0.893 to 0.892 (boxes moved by up to
    # 10 %: 0.864 and 0.863); by one point, on every second of them, it adds 0.010. docs/default.md has the table.
    enough: float = option(
        0.75, "IoU that the network expects of a mask from which one with a box is not cut again", minimum=0, maximum=1
    )
    batch_size: int = option(16, "most crops in one call of the network", minimum=1)

    def build(self) -> NanoSegmenter:
        """Load the weights."""
        from fiducial.segmenters.nano import NanoSegmenter

        return NanoSegmenter.from_config(self)


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
