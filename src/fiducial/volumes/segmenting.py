"""Segmenting a volume: its slices one by one through a recipe, then linked into things in 3D.

The rules, in this order: masks in neighbouring slices that overlap are one thing; a thing that is missing in a few
slices between is cut there by its neighbour's box, and kept where the cut agrees with the neighbour (IoU of 0.5);
what is seen in fewer slices than asked for is dropped, and that is said; orders and sides across the plane choose last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fiducial.errors import InputError, ModelError
from fiducial.language import Outcome
from fiducial.language.answers import check_instruction
from fiducial.language.phrases import parse_instruction
from fiducial.pipeline import Pipeline
from fiducial.prompters.detector import DetectorPrompter
from fiducial.prompters.detector.reading import read_request
from fiducial.volumes.configs import VolumeOptions
from fiducial.volumes.directions import Question, translate
from fiducial.volumes.linking import Piece, Thing, gaps, link, merged, overlap
from fiducial.volumes.result import VolumeSegmentation, describe
from fiducial.volumes.sides import choose, find_midline
from fiducial.volumes.slices import Slice, SliceStore
from fiducial.volumes.viewing import Viewer
from fiducial.volumes.volume import LabelMap, Volume

OnSlice = Callable[[Slice, int, int], None]
"""Called with every slice that is done, the number done and the number planned."""

MIDDLE = (0.35, 0.5, 0.65)
"""Where the slices lie, as parts of the stack, by which it is judged what kind of pictures a volume's slices are."""
AGREES = 0.5
"""IoU with the neighbouring slice's mask from which a mask cut by its box is kept."""


def segment_volume(
    pipeline: Pipeline,
    volume: Volume,
    instruction: str,
    options: VolumeOptions | None = None,
    *,
    out: str | Path | None = None,
    recipe: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
    on_slice: OnSlice | None = None,
) -> VolumeSegmentation:
    """Segment a volume by an instruction.

    Args:
        pipeline: asked about each slice.
        volume: the scan.
        instruction: what to segment; left and right are the patient's.
        options: plane, view, window, how slices are linked; default: those of the description.
        out: folder for the results; one that holds a part of the same work is continued.
        recipe: what the pipeline is made of, for the card in the folder.
        command: the words that started this, for the card.
        on_slice: called with every slice.

    Raises:
        InputError: an instruction that slices of this plane or kind cannot show, slices that do not exist, or a folder
            that holds other work.
    """
    options = options or VolumeOptions()
    slicing = volume.slicing(options.plane, options.view)
    question = translate(check_instruction(instruction), slicing)
    window = volume.window(options.wanted_window())
    around = [Volume.read(path, modality=volume.modality) for path in options.around]
    viewer = Viewer(volume, slicing, window, tuple((other, other.window()) for other in around))
    first, last = options.slices or (0, slicing.count - 1)
    if last >= slicing.count:
        raise InputError(f"{volume.name}: there are {slicing.count} {options.plane} slices, 0 to {slicing.count - 1}")
    work = _Work(_of_whole(pipeline, viewer, question.text), viewer, question, options)
    with SliceStore(out, (volume, *around), instruction, options, recipe or {"name": pipeline.name}, command) as store:
        planned = range(first, last + 1)
        for number, index in enumerate(planned, start=1):
            if index not in store.done:
                store.append(work.ask(index))
            if on_slice is not None:
                on_slice(store.done[index], number, len(planned))
        slices = tuple(store.done[index] for index in planned)
    result = work.assembled(volume, instruction, slices)
    if out is not None:
        result.save(out)
    return result


def _of_whole(pipeline: Pipeline, viewer: Viewer, instruction: str) -> Pipeline:
    """Have the kind of picture judged by slices of the middle: those at the ends of a scan hardly show it.

    Raises:
        InputError: what is named is not looked for in slices of this kind.
    """
    prompter = pipeline.prompter
    if not isinstance(prompter, DetectorPrompter):
        return pipeline
    middle = dict.fromkeys(round(part * (viewer.slicing.count - 1)) for part in MIDDLE)
    shown = [viewer.picture(index) for index in middle if not viewer.is_blank(index)]
    if not shown:
        return pipeline
    read = read_request(parse_instruction(instruction), prompter.detector, rest=prompter.rest)
    if refused := prompter.refusal(shown, read):
        raise InputError(f"{viewer.volume.name}: {refused}")
    return replace(pipeline, prompter=prompter.part_of(shown))


@dataclass(eq=False)
class _Work:
    pipeline: Pipeline
    viewer: Viewer
    question: Question
    options: VolumeOptions

    def ask(self, index: int) -> Slice:
        """Ask about one slice; one of a single grey, as beyond the body, is not worth asking about."""
        if self.viewer.is_blank(index):
            return Slice(index, Outcome.NO_TARGET, "not asked: the slice shows one grey alone")
        found = self.pipeline(self.viewer.picture(index), self.question.text)
        pieces = tuple(
            Piece(index, self.viewer.to_slice(mask), prompt.label or "", score)
            for mask, prompt, score in zip(found.masks, found.prompts, found.scores, strict=True)
        )
        return Slice(index, found.outcome, found.text, pieces)

    def assembled(self, volume: Volume, instruction: str, slices: Sequence[Slice]) -> VolumeSegmentation:
        """Link what the slices hold, choose, and paint the label map."""
        notes = [*self.question.notes]
        things = link([piece for one in slices for piece in one.pieces], self.options.overlap)
        things = self._completed(things, {one.index for one in slices}, notes)
        kept = [thing for thing in things if len(thing.slices) >= min(self.options.least_slices, len(slices))]
        if few := [thing for thing in things if thing not in kept]:
            largest = few[0]
            notes.append(
                f"dropped {_count(few)} seen in fewer than {self.options.least_slices} slices (--least-slices), the "
                f"largest of {largest.area:,} pixels in {_listed(largest.slices)}"
            )
        midline = find_midline(volume)
        whole = _painted(volume, self.viewer, kept)
        chosen = choose(kept, whole.regions, self.question, volume, midline)
        if len(chosen) < len(kept):
            notes.append(f"{len(chosen)} of the {len(kept)} things found in the volume kept")
        labels = _painted(volume, self.viewer, chosen)
        return describe(volume, instruction, self.question, self.viewer, slices, chosen, labels, midline, notes)

    def _completed(self, things: list[Thing], looked_at: set[int], notes: list[str]) -> list[Thing]:
        """Cut things where they are missing between slices and, if wanted, beyond their ends."""
        if self.options.propagate == "none" or not things:
            return things
        if self.pipeline.segmenter is None:
            notes.append("nothing was cut by a neighbouring slice's box: this recipe has no segmenter that takes boxes")
            return things
        pairs = []
        for first, second in gaps(things, self.options.overlap, self.options.reach):
            start, end = first.slices[-1], second.slices[0]
            between = []
            for index in range(start + 1, end):
                near = first if index - start <= end - index else second
                between.append(self._cut(near, index, start if near is first else end))
            if all(between):
                first.pieces.extend(piece for piece in between if piece)
                pairs.append((first, second))
        things = merged(things, pairs)
        if self.options.propagate == "ends":
            for thing in things:
                self._extend(thing, things, looked_at)
        cut = sum(piece.propagated for thing in things for piece in thing.pieces)
        if cut:
            notes.append(f"{cut} masks were cut by the box of the neighbouring slice")
        return things

    def _extend(self, thing: Thing, things: Sequence[Thing], looked_at: set[int]) -> None:
        for step in (-1, 1):
            end = thing.slices[0 if step < 0 else -1]
            for index in range(end + step, end + step * (self.options.reach + 1), step):
                piece = self._cut(thing, index, index - step) if index in looked_at else None
                others = [mask for one in things if one is not thing if (mask := one.mask_in(index)) is not None]
                if piece is None or any(overlap(piece.mask, mask) >= self.options.overlap for mask in others):
                    break
                thing.pieces.append(piece)

    def _cut(self, thing: Thing, index: int, neighbour: int) -> Piece | None:
        """Cut a thing in a slice by the box of its mask in another; None where the two masks do not agree."""
        mask = thing.mask_in(neighbour)
        if mask is None or not mask.area:
            return None
        try:
            found = self.pipeline.cut(self.viewer.picture(index), self.viewer.box_prompt(mask, thing.label))
        except ModelError:
            return None
        if not found.masks:
            return None
        cut = self.viewer.to_slice(found.masks[0])
        if not cut.area or cut.iou(mask) < AGREES:
            return None
        return Piece(index, cut, thing.label, found.scores[0], propagated=True)


def _painted(volume: Volume, viewer: Viewer, things: Sequence[Thing]) -> LabelMap:
    """Return the things as labels from 1; where two of them overlap the smaller lies on top."""
    array = np.zeros(volume.shape, dtype=np.uint8 if len(things) < 256 else np.uint16)
    order = sorted(range(len(things)), key=lambda number: -things[number].area)
    for number in order:
        for index in things[number].slices:
            mask = things[number].mask_in(index)
            if mask is not None:
                viewer.slicing.slice(array, index)[mask.to_dense()] = number + 1
    called = [thing.label or "target" for thing in things]
    names = {
        number: name if called.count(name) == 1 else f"{name} {called[:number].count(name)}"
        for number, name in enumerate(called, start=1)
    }
    return LabelMap(array, volume.affine, names, f"{volume.name}-labels")


def _count(things: Sequence[Thing]) -> str:
    return "one thing" if len(things) == 1 else f"{len(things)} things"


def _listed(slices: Sequence[int]) -> str:
    return f"slice {slices[0]}" if len(slices) == 1 else f"slices {slices[0]} to {slices[-1]}"
