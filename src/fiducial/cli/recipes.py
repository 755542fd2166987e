"""``fiducial recipes``: what there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence

from fiducial.cli import common
from fiducial.recipes import DEFAULT_RECIPE, read_recipe, recipe_names


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = common.Parser("recipes", "List the recipes: named combinations of parts.")
    parser.add_argument("--json", action="store_true", help="print one JSON object per recipe")
    arguments = parser.read(words)
    for recipe in map(read_recipe, recipe_names()):
        if arguments.json:
            common.print_json({**recipe.as_json(), "summary": recipe.summary, "source": recipe.source})
            continue
        default = " (default)" if recipe.name == DEFAULT_RECIPE else ""
        print(f"{recipe.name}{default}\n  {recipe.summary}\n  source: {recipe.source}")
        for spec in recipe.parts:
            options = ", ".join(f"{key}={value}" for key, value in spec.options.items())
            model = f" {spec.model_name}" if spec.model_name else ""
            print(f"  {spec.kind}: {spec.name}{model}{f' ({options})' if options else ''}")
    return 0
