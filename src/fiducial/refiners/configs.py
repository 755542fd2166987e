"""The refiners and what they can be given; the work itself is loaded with the first call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from fiducial.config import Config, option
from fiducial.errors import InputError

if TYPE_CHECKING:
    from fiducial.contracts import Refinement
    from fiducial.geometry import Mask, Prompt, Prompts
    from fiducial.images import Image

ColourSpace = Literal["rgb", "lab", "luv", "hsv", "ycrcb", "grey"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForegroundPoint(Config):
    """Adds one foreground point per box, by clusters of colour and convexity; no weights.

    CFPG of PSLG-SAM. The box and earlier points stay.

    - **Both clusters compete:** nothing says which one is the target.
    - **Ties** in convexity go to the larger region, then to the one nearer the crop's centre.
    - **A centroid off its region** (a ring, a crescent) is replaced by the place deepest inside.
    - **No point is added** where there is no box, the box lies outside the image or has an edge below 6 pixels, the
      crop has one colour, no region is large enough, or the point lies beyond ``reach``. The report says which.
    - **A box partly outside** the image is clipped for the search; the prompt keeps it as it is.

    Work is done on the box's crop. Boxes of the same pixels are worked once, and no prompt depends on another.

    Example:
        >>> import numpy as np
        >>> from fiducial import Image, Prompts
        >>> pixels = np.full((60, 80, 3), 40, np.uint8)
        >>> pixels[20:40, 10:30] = (200, 30, 30)
        >>> image = Image(pixels)
        >>> refined = ForegroundPoint()(image, Prompts.from_boxes(image.frame, [(6, 16, 34, 44)]))
        >>> refined[0].box, refined[0].points
        ((6.0, 16.0, 34.0, 44.0), ((20.0, 30.0),))
    """

    kind: ClassVar[str] = "prompt_refiner"
    name: ClassVar[str] = "cfpg"

    colour_space: ColourSpace = option("lab", "where colours are clustered")
    min_area: float = option(0.05, "smallest region that counts", unit="part of the crop", minimum=0, maximum=1)
    # 0.7 is the usual value, and put more points on the target than 0.5.
    marker_threshold: float = option(
        0.7, "where the watershed's markers begin", unit="part of a piece's greatest depth", minimum=0, maximum=1
    )
    # The most convex region is often a corner of the background: in the true boxes of 1,200 aerial, everyday and brain
    # MRI targets 66 % of the points lay on their target, and 94 % of the two in five that lay within 0.5; the convexity
    # itself told nothing. (The middle of the box lies on 93 %.) The paper has no such limit.
    reach: float = option(
        0.5,
        "how far off the crop's middle a point may lie; 1 is the ellipse that touches its edges, 2 anywhere",
        minimum=0,
    )
    working_size: int = option(128, "longest edge at which a crop is worked", unit="pixels", minimum=16)
    seed: int = option(0, "of KMeans++", minimum=0, maximum=2**31 - 1)
    keep_box: bool = option(True, "false drops the box where a point was found; the paper passes both")

    def __call__(self, image: Image, prompts: Prompts) -> Prompts:
        """Return the prompts, in pixels of the image, each with a foreground point where one was found."""
        return self.report(image, prompts)[0]

    def report(
        self, image: Image, prompts: Prompts, *, pictures: bool = False
    ) -> tuple[Prompts, tuple[Refinement, ...]]:
        """Return the prompts as calling does, and what was done to each.

        The figures are separation (how far apart the two clusters lie, see :func:`fiducial.refiners.cfpg.two_means`),
        regions (how many were large enough) and, of the best region, x, y (its point in pixels), convexity, area (part
        of the crop), off_centre (see ``reach``).
        Pictures, when asked for: crop, clusters, regions with their convexity, point.
        """
        from fiducial.refiners.cfpg import add_points

        return add_points(self, image, prompts, pictures)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryOptimisation(Config):
    """Moves a mask's edge to where the colours change, by GrabCut in a band; no weights.

    MBO of PSLG-SAM. The mask comes back as it was, and the report says why, when it is empty, smaller than
    ``min_area``, or fills its box or the whole crop; when its own score is above ``max_score``; when the crop has one
    colour; when the result strays, which is when its IoU with the mask falls below ``min_iou``; and when the new edge
    lies on hardly more contrast than the old one.

    Work is done on the crop around the mask; where it was shrunk, pixels on which the cut agrees with the mask keep the
    mask's finer edge. The mask keeps its score. The same mask on the same image always gives the same result.

    Example:
        >>> import numpy as np
        >>> from fiducial import Image, Mask, Prompt
        >>> pixels = np.random.default_rng(0).integers(30, 50, (80, 120, 3)).astype(np.uint8)
        >>> pixels[20:60, 30:90] += np.uint8(150)
        >>> image = Image(pixels)
        >>> rough = Mask.from_box((31, 21, 91, 59), 80, 120)
        >>> refined = BoundaryOptimisation()(image, rough, Prompt(image.frame, box=(28, 18, 92, 62)))
        >>> refined.box
        (30.0, 20.0, 90.0, 60.0)
    """

    kind: ClassVar[str] = "mask_refiner"
    name: ClassVar[str] = "mbo"

    band: float = option(
        0.06, "width of the band on each side of the edge", unit="part of the root of the mask's area", minimum=0
    )
    limits: tuple[float, float] = option((2.0, 12.0), "smallest and greatest width of it", unit="pixels", minimum=1)
    iterations: int = option(4, "most rounds of colour models and cuts", minimum=1)
    tolerance: float = option(0.02, "stop at a round that changes less", unit="part of the band", minimum=0, maximum=1)
    min_iou: float = option(0.7, "give the mask back below this IoU of result and mask", minimum=0, maximum=1)
    # Small masks were harmed on average, whatever their edge was like; the default is what COCO calls small.
    min_area: int = option(1024, "leave smaller masks alone", unit="pixels", minimum=0)
    # With it and min_area the masks of 450 aerial, everyday and brain MRI targets kept their mean IoU where GrabCut had
    # cut them (its edges lie on contrast already) and gained 0.04 and 0.02 where they had been grown and shrunk by some
    # pixels. Masks that are right to the pixel still lose, and so do those with a wobbly edge around the right place:
    # colours know less than a careful annotator. The paper has no such limits: 1 and -1 take these two away.
    min_gain: float = option(
        0.1, "give the mask back unless its edge gains so much contrast; -1 never", minimum=-1, maximum=1
    )
    # Masks that the embedded segmenter cut lost 0.01 to 0.06 IoU where it expected more than 0.7, and nothing below.
    max_score: float = option(
        0.7, "leave masks alone of which the segmenter expects a higher IoU; 1 none", minimum=0, maximum=1
    )
    # At 256 the masks of large targets gain about 0.01 IoU more, at three times the cost.
    working_size: int = option(128, "longest edge at which a crop is worked", unit="pixels", minimum=32)
    seed: int = option(0, "of OpenCV's first guess of the colour models", minimum=0, maximum=2**31 - 1)

    def check(self) -> None:
        """Refuse limits that are the wrong way round."""
        if self.limits[1] < self.limits[0]:
            raise InputError(f"limits: the second needs to be at least {self.limits[0]:g}, got {self.limits}")

    def __call__(self, image: Image, mask: Mask, prompt: Prompt) -> Mask:
        """Return the mask with a better edge, or the mask itself; the prompt's box tells whether the mask fills it."""
        return self.report(image, mask, prompt)[0]

    def report(self, image: Image, mask: Mask, prompt: Prompt, *, pictures: bool = False) -> tuple[Mask, Refinement]:
        """Return the mask as calling does, and what was done.

        The figures are iterations, band (pixels of the working size), changed (pixels of the image that changed sides),
        iou (of result and mask), energy_before and energy_after (of the two edges under the last colour models,
        see :func:`fiducial.refiners.mbo.energy`; what the band cannot change is left out), contrast_before and
        contrast_after (:func:`fiducial.refiners.mbo.edge_contrast`).
        Pictures, when asked for: band, before, after.
        """
        from fiducial.refiners.mbo import optimise_boundary

        return optimise_boundary(self, image, mask, prompt, pictures)
