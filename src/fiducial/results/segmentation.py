"""Segmentation: everything that came of one instruction on one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fiducial.contracts import Refinement
from fiducial.errors import GeometryError, InputError
from fiducial.files import json_text, rounded
from fiducial.geometry import Mask, Prompt, Prompts
from fiducial.images import Image
from fiducial.language import Answer, Outcome
from fiducial.overlays.targets import require_targets

if TYPE_CHECKING:
    import supervision
    from matplotlib.axes import Axes

    from fiducial.language.statements import Convention
    from fiducial.metrics.consistency import Consistency

STAGES = ("prompt", "encode", "decode", "refine", "total")
"""What is timed, in the order of the work."""

COORDINATE_DIGITS, SCORE_DIGITS, SECOND_DIGITS = 3, 4, 4
"""Digits after the point in files."""


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """The result for one image and one instruction.

    Args:
        image: the image that was asked about.
        instruction: what the user said.
        answer: the prompter's reply, its prompts in pixels of the image, as they were given.
        masks: one per prompt, in order, at the size of the image.
        prompts: as the segmenter saw them: in pixels of the image, after every prompt refiner.
        recipe: name of the recipe that made it, or "".
        seconds: time per stage: "prompt", "encode", "decode", "refine", "total"; what nobody timed is missing.
        refinements: per prompt, what each refiner did to it and to its mask, in order; ``()`` when nobody told.

    Example:
        >>> import numpy as np
        >>> image = Image(np.zeros((40, 60, 3), np.uint8), name="harbour.jpg")
        >>> prompts = Prompts.from_boxes(image.frame, [(10, 10, 30, 20)], labels=["ship"], scores=[0.9])
        >>> mask = Mask.from_box((10, 10, 30, 20), height=40, width=60)
        >>> result = Segmentation(image, "the ship", Answer(Outcome.FOUND, prompts), (mask,), prompts)
        >>> result.mask.area, result.scores, result.outcome.value
        (200, (0.9,), 'found')
    """

    image: Image
    instruction: str
    answer: Answer
    masks: tuple[Mask, ...]
    prompts: Prompts
    recipe: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    refinements: tuple[tuple[Refinement, ...], ...] = ()

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "masks", tuple(self.masks))
        put(self, "seconds", MappingProxyType(dict(self.seconds)))
        put(self, "refinements", tuple(map(tuple, self.refinements)) or ((),) * len(self.masks))
        self.image.frame.require(self.answer.prompts.frame, "the answer's prompts")
        self.image.frame.require(self.prompts.frame, "the segmenter's prompts")
        if len(self.masks) != len(self.prompts):
            raise GeometryError(
                f"{len(self.prompts)} prompts but {len(self.masks)} masks: one mask per prompt is needed"
            )
        if len(self.refinements) != len(self.masks):
            raise GeometryError(
                f"{len(self.masks)} masks but {len(self.refinements)} tuples of refinements: one per target is needed"
            )
        require_targets(self.image, None, self.masks)
        unknown = sorted(set(self.seconds) - set(STAGES))
        if unknown:
            raise InputError(f"seconds are kept for {', '.join(STAGES)}, not for {', '.join(unknown)}")

    @property
    def mask(self) -> Mask:
        """All masks as one; an empty mask when there is none."""
        return Mask.empty(self.image.height, self.image.width).union(*self.masks)

    @property
    def text(self) -> str:
        """In plain words, how the choice was made, or why there is nothing."""
        return self.answer.text

    @property
    def outcome(self) -> Outcome:
        """How asking ended."""
        return self.answer.outcome

    @property
    def consistency(self) -> Consistency:
        """Whether what the text states of places, counts and sizes holds for the masks.

        The patient's sides ("the right lung") are not read, for nobody said on which side of the picture they are; see
        :meth:`check`.
        """
        return self.check()

    def check(self, convention: Convention | None = None) -> Consistency:
        """Check the text against the masks; what is said of an answer that is of no use states nothing.

        Args:
            convention: on which side of the picture the patient's right is.

        Example:
            >>> import numpy as np
            >>> image = Image(np.zeros((40, 60, 3), np.uint8))
            >>> prompts = Prompts.from_boxes(image.frame, [(40, 10, 55, 20)])
            >>> mask = Mask.from_box((40, 10, 55, 20), height=40, width=60)
            >>> answer = Answer(Outcome.FOUND, prompts, text="The ship lies on the left.")
            >>> Segmentation(image, "the ship", answer, (mask,), prompts).check().verdict.value
            'contradicted'
        """
        from fiducial.metrics.consistency import Consistency, check_consistency

        if self.outcome in (Outcome.MALFORMED, Outcome.FAILED):
            return Consistency()
        return check_consistency(self.text, self.masks, convention)

    @property
    def scores(self) -> tuple[float | None, ...]:
        """One number per target: the mask's own score, else the prompt's, else None."""
        return tuple(
            prompt.score if mask.score is None else mask.score
            for mask, prompt in zip(self.masks, self.prompts, strict=True)
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain values for strict JSON, always with the same keys in the same order.

        Coordinates are in pixels of the original image; the prompts are those that the segmenter saw;
        masks are COCO run-length codes; what nobody measured is None.
        """
        answer, image = self.answer, self.image
        return {
            "image": image.name,
            "width": image.width,
            "height": image.height,
            "instruction": self.instruction,
            "recipe": self.recipe,
            "outcome": self.outcome.value,
            "thinking": answer.thinking,
            "text": answer.text,
            "prompts": [_rounded_prompt(prompt) for prompt in self.prompts],
            "masks": [mask.to_coco() for mask in self.masks],
            "scores": [rounded(score, SCORE_DIGITS) for score in self.scores],
            "repairs": [*answer.repairs],
            "refinements": [[step.as_json() for step in steps] for steps in self.refinements],
            "seconds": {stage: rounded(self.seconds.get(stage), SECOND_DIGITS) for stage in STAGES},
        }

    def save(
        self,
        folder: str | Path,
        formats: Sequence[str] = ("png", "json"),
        *,
        stem: str | None = None,
        overwrite: bool = True,
    ) -> dict[str, Path]:
        """Write files, each whole or not at all.

        Args:
            folder: where to; made when it does not exist.
            formats: any of ``"png"`` (the overlay), ``"mask"`` (black and white, and numbered instances),
                ``"json"``, ``"coco"``, ``"labelme"``.
            stem: how the names of the files begin. Default: the image's file name with its suffix; for images of
                one name from several folders use :func:`fiducial.results.file_stems`.
            overwrite: False refuses to replace a file.

        Returns:
            The path per kind of file; the format ``"mask"`` gives ``"mask"`` and ``"instances"``.

        Raises:
            InputError: a format that does not exist, a file that cannot be written, or one that must not be replaced.
        """
        from fiducial.results.saving import save

        return save(self, folder, formats, stem=stem, overwrite=overwrite)

    def save_pictures(self, folder: str | Path, *, stem: str | None = None) -> list[Path]:
        """Write the pictures that the refiners drew of their work, as PNG files.

        They are there when the pipeline was told to ``explain``. A file is called after the target, the step and the
        picture: ``harbour.jpg.target1.1-cfpg.2-clusters.png``.

        Returns:
            The paths, in the order of targets and steps; none when there are no pictures.
        """
        from fiducial.results.png import save_pictures

        return save_pictures(self, folder, stem=stem)

    def to_supervision(self) -> supervision.Detections:
        """Return the targets as ``supervision.Detections``: boxes, masks, scores, classes.

        Raises:
            MissingExtraError: the package ``supervision`` is not installed.
        """
        from fiducial.results.annotations import to_supervision

        return to_supervision(self)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the image with its targets by matplotlib.

        Args:
            axes: to draw on, which then count in pixels of the image; None makes a figure.

        Returns:
            The axes.

        Raises:
            MissingExtraError: the package ``matplotlib`` is not installed.
        """
        from fiducial.results.notebook import plot

        return plot(self, axes)

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        from fiducial.results.notebook import as_html

        return as_html(self)

    def _repr_png_(self) -> bytes:
        """Show it where a notebook is turned into something that shows pictures alone."""
        from fiducial.results.notebook import as_png

        return as_png(self)

    def __repr__(self) -> str:
        return (
            f"Segmentation({self.image.name!r}, {self.instruction!r}, {self.outcome.value}, "
            f"{len(self.masks)} mask{'' if len(self.masks) == 1 else 's'})"
        )


def write_json(segmentation: Segmentation, folder: Path) -> str:
    """Return the result as strict JSON."""
    return json_text(segmentation.as_json())


def _rounded_prompt(prompt: Prompt) -> dict[str, Any]:
    return {
        "label": prompt.label,
        "score": rounded(prompt.score, SCORE_DIGITS),
        "box": None if prompt.box is None else [rounded(value, COORDINATE_DIGITS) for value in prompt.box],
        "points": [[rounded(value, COORDINATE_DIGITS) for value in point] for point in prompt.points],
        "point_labels": [*prompt.labels],
    }
