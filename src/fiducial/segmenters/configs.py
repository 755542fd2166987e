"""What segmenters without a published model, and the cache of embeddings, can be given; building one loads its code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from fiducial.config import Config, option

if TYPE_CHECKING:
    from fiducial.contracts import Segmenter
    from fiducial.segmenters.grabcut import GrabCutSegmenter
    from fiducial.segmenters.nano import NanoSegmenter

EMBEDDED = "nano-segmenter"
"""The weights that come with the package."""
JUDGE = "nano-sizes"
"""The weights that come with the package, of what chooses among sizes around a point."""
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
    sizes: str = option(
        JUDGE,
        "the judge that chooses among the sizes around one point: the package's, or a safetensors file; none: the rule "
        "of trust and agreement chooses",
    )
    batch_size: int = option(16, "most crops in one call of the network", minimum=1)
    bits: Literal[8, 32] | None = option(
        None,
        "of the network's numbers; 8: in six tenths of the time, on the CPU alone, and masks differ from those of 32 "
        "by a few pixels of their edges; none: 8 where it runs on the CPU and the weights have their graph for it "
        "(fiducial models FILE --export makes one), else 32",
    )

    def build(self) -> NanoSegmenter:
        """Load the weights."""
        from fiducial.segmenters.nano import NanoSegmenter

        return NanoSegmenter.from_config(self)
