"""``fiducial recipes``: what there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fiducial.cli import common
from fiducial.config import Config, as_plain, class_value, option
from fiducial.recipes import DEFAULT_RECIPE, read_recipe, recipe_names
from fiducial.recipes.recipe import changed_options, model_of


@dataclass(frozen=True, kw_only=True)
class Recipes(Config):
    """List the recipes: named combinations of parts."""

    json: bool = option(False, "print one JSON object per recipe")


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    options = common.parse(Recipes, "recipes", words)
    for recipe in map(read_recipe, recipe_names()):
        if options.json:
            common.print_json(as_plain(recipe))
            continue
        default = " (default)" if recipe.name == DEFAULT_RECIPE else ""
        print(f"{recipe.name}{default}\n  {recipe.summary}\n  source: {recipe.source}")
        for part in recipe.parts:
            kind, name = class_value(type(part), "kind"), class_value(type(part), "name")
            changed = ", ".join(f"{key}={value}" for key, value in as_plain(changed_options(part)).items())
            model = f" {model_of(part)}" if model_of(part) else ""
            print(f"  {kind}: {name}{model}{f' ({changed})' if changed else ''}")
    return 0
