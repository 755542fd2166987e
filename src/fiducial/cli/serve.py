"""``fiducial serve``: what runs here, for programs elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fiducial.cli import common, terminal
from fiducial.config import Text, class_value, option
from fiducial.errors import InputError, UnknownNameError
from fiducial.recipes import DEFAULT_RECIPE, Recipe, resolve
from fiducial.recipes.recipe import takes_device
from fiducial.remote import Key
from fiducial.server.configs import RecipeServerConfig, RewardServerConfig

if TYPE_CHECKING:
    from fiducial.server.running import Server

_SERVICES = {"reward": "the masks of completions, for rewards: one frozen segmenter for any number of trainers"}


@dataclass(frozen=True, kw_only=True)
class Reward(RewardServerConfig):
    """Cut the masks of completions for trainers elsewhere, until stopped; requests that run are finished first.

    A trainer's reward takes it as service=http://HOST:PORT. Each image is sent and encoded once; requests about one
    image that wait together are cut together.
    """

    device: str | None = option(None, "cpu, cuda, cuda:1, mps (default: the best there is)", unit="D")
    set: tuple[Text, ...] = option((), "any option of the segmenter: segmenter.multimask=best", unit="OPTION=VALUE")

    def resolved(self) -> Reward:
        """Return these options with what --device and --set say about the segmenter."""
        settings = dict(common.read_settings(self.set, "segmenter.multimask=best"))
        if self.device is not None:
            if not takes_device(self.segmenter):
                name = class_value(type(self.segmenter), "name")
                raise InputError(f"--device: the segmenter {name!r} runs on no device that can be chosen: leave it out")
            settings["segmenter.device"] = Text(self.device)
        return self.with_settings(settings, "serve reward")


@dataclass(frozen=True, kw_only=True)
class Serve(common.Running, RecipeServerConfig):
    """Answer over HTTP with recipes and show the page, until stopped; requests that run are finished first.

    Recipes and their models are chosen here, never by a request. POST /v1/segment takes a picture and an instruction,
    POST /v1/cut a picture, or the digest of one that was sent, and coordinates; GET /openapi.json tells the rest.
    """

    recipe: tuple[Text, ...] = option((), "a recipe's name or YAML file; may be given several times", unit="R")
    mcp: bool = option(False, "answer an agent over stdin and stdout (Model Context Protocol) instead of HTTP")
    folder: Path | None = option(None, "with --mcp: the only folder whose pictures are read", unit="DIR")

    def check(self) -> None:
        """Refuse a folder where paths are not taken, and none where they are."""
        if self.mcp and self.folder is None:
            raise InputError("--mcp reads pictures by path: name the only folder where they may lie with --folder DIR")
        if self.folder is not None and not self.mcp:
            raise InputError("--folder is for --mcp: over HTTP pictures are sent, and no path is taken")

    def recipes(self) -> list[Recipe]:
        """Return the recipes with what --device, --dtype, --cache and --set say about them."""
        names = self.recipe or (Text(DEFAULT_RECIPE),)
        if self.set and len(names) > 1:
            raise InputError("--set speaks of one recipe, and several are served: write it into their YAML files")
        found = [resolve(str(name), cache=self.cache) for name in names]
        return [recipe.with_options(self._settings_of(recipe)) for recipe in found]

    def _settings_of(self, recipe: Recipe) -> dict[str, Any]:
        parts = {"prompter": recipe.prompter, "segmenter": recipe.segmenter}
        return self.settings({name: part for name, part in parts.items() if part is not None})


def run(words: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    if words[:1] == ["reward"]:
        return _serve_rewards(common.parse(Reward, "serve reward", words[1:]).resolved())
    if words and not words[0].startswith("-"):
        raise UnknownNameError("service", words[0], _SERVICES)
    return _serve_recipes(common.parse(Serve, "serve", words, about=_about()))


def _serve_tools(options: Serve, folder: Path) -> int:
    from fiducial.server.tools import Folder, tool_server

    place = Folder(folder, options.max_pixels)
    server, worker = tool_server(options.build_recipes(options.recipes()), place)
    terminal.say(f"fiducial: tools for {', '.join(recipe.name for recipe in options.recipes())}, pictures in {folder}")
    try:
        server.run()
    finally:
        worker.close()
    return 0


def _serve_recipes(options: Serve) -> int:
    if options.mcp and options.folder is not None:
        return _serve_tools(options, options.folder)
    key, recipes = options.key(), options.recipes()
    from fiducial.server.app import recipe_app
    from fiducial.server.running import Server

    server = Server(recipe_app(options.build_recipes(recipes), options, key), options.host, options.port)
    names = ", ".join(recipe.name for recipe in recipes)
    _run(server, f"{names} at {server.url}", key)
    return 0


def _serve_rewards(options: Reward) -> int:
    key = options.key()
    from fiducial.server.reward import reward_app
    from fiducial.server.running import Server

    server = Server(reward_app(options.build(), options, key), options.host, options.port)
    _run(server, f"segmenter {class_value(type(options.segmenter), 'name')} at {server.url}", key)
    return 0


def _run(server: Server, what: str, key: Key) -> None:
    asks = f", for who has the key in {key.variable}" if key.value else ""
    server.run(lambda: print(f"{what}{asks} (Ctrl+C stops)", flush=True))


def _about() -> str:
    others = "; ".join(f"fiducial serve {name}: {what}" for name, what in _SERVICES.items())
    return f"{Serve.__doc__}\n\nOther services: {others}."
