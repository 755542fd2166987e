"""Recipes: named combinations of parts that reproduce a published system, as small YAML files."""

from fiducial.recipes.catalogue import Checkpoint, checkpoints
from fiducial.recipes.loading import load
from fiducial.recipes.recipe import DEFAULT_RECIPE, PartSpec, Recipe, read_recipe, recipe_names

__all__ = [
    "DEFAULT_RECIPE",
    "Checkpoint",
    "PartSpec",
    "Recipe",
    "checkpoints",
    "load",
    "read_recipe",
    "recipe_names",
]
