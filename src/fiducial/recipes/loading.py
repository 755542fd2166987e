"""From a recipe to a pipeline: the one place where names become running parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fiducial.contracts import Prompter, Segmenter
from fiducial.errors import InputError
from fiducial.pipeline import Pipeline
from fiducial.recipes.recipe import DEFAULT_RECIPE, PartSpec, Recipe, read_recipe


def load(
    name_or_path: str | Path | Recipe = DEFAULT_RECIPE,
    *,
    prompter: str | Prompter | None = None,
    segmenter: str | Segmenter | None = None,
    grid: int | str | None = None,
    refine: str | Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Pipeline:
    """Build a pipeline from a recipe; every part can be replaced.

    Args:
        name_or_path: a shipped recipe's name, a YAML file, or a Recipe.
        prompter: instead of the recipe's: ``"NAME"``, ``"NAME:MODEL"``, or an object.
        segmenter: likewise.
        grid: cells per axis of the grid drawn for the prompter (``9`` or ``"9x7"``); 0 draws none.
        refine: refiners instead of the recipe's: ``"cfpg,mbo"`` or a list of names; ``"none"`` for none.
        options: options of parts, such as ``{"prompter.max_new_tokens": 256, "cfpg.colour_space": "hsv"}``.

    Returns:
        The pipeline, with its models loaded.

    Raises:
        UnknownNameError: no recipe or part of that name.
        MissingExtraError: a package is not installed.
        HubError: weights are neither here nor to be had.
        InputError: a recipe file or option that makes no sense.

    Example:
        >>> import fiducial
        >>> fiducial.load("classic").name
        'classic'
    """
    recipe = resolve(name_or_path, prompter=prompter, segmenter=segmenter, grid=grid, refine=refine, options=options)
    return Pipeline(
        prompter=recipe.prompter.build() if prompter is None or isinstance(prompter, str) else prompter,
        segmenter=recipe.segmenter.build() if segmenter is None or isinstance(segmenter, str) else segmenter,
        overlays=tuple(spec.build() for spec in recipe.overlays),
        prompt_refiners=tuple(spec.build() for spec in recipe.prompt_refiners),
        mask_refiners=tuple(spec.build() for spec in recipe.mask_refiners),
        name=recipe.name,
        overlay_for_segmenter=recipe.overlay_for_segmenter,
    )


def resolve(
    name_or_path: str | Path | Recipe = DEFAULT_RECIPE,
    *,
    prompter: str | Prompter | None = None,
    segmenter: str | Segmenter | None = None,
    grid: int | str | None = None,
    refine: str | Sequence[str] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Recipe:
    """Apply what the caller overrides to a recipe without loading anything; arguments as :func:`load`."""
    recipe = name_or_path if isinstance(name_or_path, Recipe) else read_recipe(name_or_path)
    if isinstance(prompter, str):
        recipe = replace(recipe, prompter=recipe.prompter.overridden(prompter))
    if isinstance(segmenter, str):
        recipe = replace(recipe, segmenter=recipe.segmenter.overridden(segmenter))
    if grid is not None:
        others = tuple(spec for spec in recipe.overlays if spec.name != "grid")
        look = next((spec.options for spec in recipe.overlays if spec.name == "grid"), {})
        recipe = replace(recipe, overlays=(*others, *_grid(grid, look)))
    if refine is not None:
        recipe = recipe.with_refiners(refine)
    return recipe.with_options(options or {})


def _grid(grid: int | str, look: Mapping[str, Any]) -> tuple[PartSpec, ...]:
    from fiducial.overlays import parse_grid

    if str(grid).strip() == "0":
        return ()
    columns, rows = parse_grid(str(grid))
    if min(columns, rows) < 1:
        raise InputError(f"a grid needs at least one cell per axis, got {grid}")
    return (PartSpec("overlay", "grid", options={**look, "columns": columns, "rows": rows}),)
