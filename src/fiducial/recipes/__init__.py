"""Recipes: named combinations of parts that reproduce a published system, as small YAML files."""

from fiducial.recipes.catalogue import Checkpoint, checkpoints
from fiducial.recipes.recipe import (
    DEFAULT_RECIPE,
    PrompterConfig,
    Recipe,
    SegmenterConfig,
    load,
    read_recipe,
    recipe_names,
    resolve,
)

__all__ = [
    "DEFAULT_RECIPE",
    "Checkpoint",
    "PrompterConfig",
    "Recipe",
    "SegmenterConfig",
    "checkpoints",
    "load",
    "read_recipe",
    "recipe_names",
    "resolve",
]
