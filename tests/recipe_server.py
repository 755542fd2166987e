"""Recipe servers for tests: the real application, asked in this process, with parts that do something known."""

from contextlib import contextmanager
from dataclasses import replace

from fakes import BoxPrompter, BoxSegmenter
from fiducial.config import read_part
from fiducial.pipeline import Pipeline
from fiducial.recipes import Recipe
from fiducial.remote import Key

KEY = "marker-123456"


def served(name="boxes", prompter=None, segmenter=None, **parts):
    """Make a served recipe of fakes: it finds one box, and cuts boxes."""
    from fiducial.segmenters.remembering import RememberingSegmenter
    from fiducial.server.recipes import Served

    recipe = Recipe(name=name, prompter=read_part("prompter", "classic"), segmenter=read_part("segmenter", "grabcut"))
    pipeline = Pipeline(
        prompter=prompter or BoxPrompter((2, 3, 12, 9)),
        segmenter=RememberingSegmenter(segmenter or BoxSegmenter()),
        name=name,
    )
    return Served(recipe, replace(pipeline, **parts), {"cfpg": read_part("prompt_refiner", "cfpg")}, {})


def make_app(*some, key="", **options):
    """Make the application."""
    from fiducial.server.app import recipe_app
    from fiducial.server.configs import RecipeServerConfig
    from fiducial.server.recipes import Recipes

    config = RecipeServerConfig(**options)
    recipes = Recipes(some or [served()], config.max_prompts)
    return recipe_app(recipes, config, Key(key, (config.key_variable,), config.key_variable))


@contextmanager
def asking(*some, host="localhost", **options):
    """Ask an application in this process; the client is starlette's."""
    from starlette.testclient import TestClient

    with TestClient(make_app(*some, **options), base_url=f"http://{host}", raise_server_exceptions=False) as client:
        yield client
