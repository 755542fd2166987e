"""Recipes: reading the files, applying what a caller overrides, and building the pipeline."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from fiducial import plugins
from fiducial.config import (
    Config,
    as_fields,
    as_plain,
    build,
    class_value,
    fields_of,
    option,
    read,
    read_part,
    read_short,
    title,
)
from fiducial.contracts import Prompter, Segmenter
from fiducial.errors import InputError, UnknownNameError
from fiducial.files import parse_yaml, read_text
from fiducial.pipeline import Pipeline
from fiducial.prompters.configs import SelfConsistencyConfig
from fiducial.segmenters.configs import CacheConfig

DEFAULT_RECIPE = "nano"
_REFINERS = ("prompt_refiner", "mask_refiner")
P = TypeVar("P", bound=Config)


PrompterConfig = Annotated[Config, "prompter"]
SegmenterConfig = Annotated[Config, "segmenter"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Config):
    """A named combination of parts, each by its description."""

    name: str = option("", "how it is asked for")
    prompter: PrompterConfig | None = option(None, "instruction and image to prompts; without one it can only cut")
    segmenter: SegmenterConfig | None = option(
        None, "image and prompts to masks; none: those that the prompter draws itself"
    )
    overlays: tuple[Annotated[Config, "overlay"], ...] = option((), "drawn for the prompter, in order")
    prompt_refiners: tuple[Annotated[Config, "prompt_refiner"], ...] = option((), "applied to the prompts, in order")
    mask_refiners: tuple[Annotated[Config, "mask_refiner"], ...] = option((), "applied to the masks, in order")
    overlay_for_segmenter: bool = option(False, "let the segmenter see the overlays too")
    self_consistency: SelfConsistencyConfig | None = option(None, "ask the prompter several times and fuse the answers")
    cache: CacheConfig | None = option(None, "keep what the segmenter encodes on disk")
    summary: str = option("", "one sentence for people")
    source: str = option("", "what it reproduces")
    instead: tuple[str, ...] = option((), "what a caller put in place of its own parts, for people")

    def check(self) -> None:
        """Refuse a recipe in which nothing makes masks, that cuts by prompts which nobody cuts by, or asks in vain."""
        if self.self_consistency is not None and self.prompter is not None:
            self.self_consistency.require(self.prompter)
        if self.segmenter is not None:
            return
        if self.prompter is None or not getattr(type(self.prompter), "draws", False):
            asked = "" if self.prompter is None else f"; the {title(type(self.prompter))} gives coordinates alone"
            raise InputError(f"needs segmenter, such as segmenter: nano{asked}")
        if self.prompt_refiners:
            raise InputError("prompt refiners change nothing where no segmenter cuts by the prompts: name a segmenter")

    @property
    def parts(self) -> tuple[Config, ...]:
        """Every part, in the order in which data passes it."""
        asked = () if self.prompter is None else (self.prompter,)
        cut = () if self.segmenter is None else (self.segmenter,)
        return (*self.overlays, *asked, *self.prompt_refiners, *cut, *self.mask_refiners)

    def as_json(self) -> dict[str, Any]:
        """Return the resolved recipe as plain values, without what changes no result: words for people, and cache."""
        aside = ("summary", "source", "cache", "instead")
        return {key: value for key, value in as_plain(self).items() if key not in aside}

    @property
    def title(self) -> str:
        """What really answers: its name, and what stands in place of its own parts: ``nano with endpoint:MODEL``."""
        return f"{self.name} with {', '.join(self.instead)}" if self.instead else self.name

    def instead_of(self, own: Recipe) -> Recipe:
        """Return the recipe, saying which of its parts are not those of another."""
        new, old = (
            [(class_value(type(one), "kind"), part_name(one)) for one in recipe.parts] for recipe in (self, own)
        )
        put = [one for one in new if one not in old]
        kinds = {kind for kind, _ in put}  # what these stand in place of need not be named
        gone = [f"no {name}" for kind, name in old if (kind, name) not in new and kind not in kinds]
        return replace(self, instead=(*own.instead, *(name for _, name in put), *gone))

    def with_options(self, settings: Mapping[str, Any]) -> Recipe:
        """Return the recipe with options set, such as ``{"prompter.max_new_tokens": 256, "mbo.band": 0.1}``.

        Raises:
            InputError: a key that is not ``prompter.OPTION``, ``segmenter.OPTION``, or ``NAME.OPTION`` of an overlay or
                refiner that the recipe has, ``self_consistency.OPTION``, or ``cache.OPTION`` where it has a cache.
        """
        parts = ("prompter", "segmenter", "cache")
        single = [name for name in parts if getattr(self, name) is not None]
        single += ["self_consistency"] if self.prompter is not None else []
        listed = (*self.overlays, *self.prompt_refiners, *self.mask_refiners)
        known = dict.fromkeys([*single, *(class_value(type(one), "name") for one in listed)])
        options: dict[str, dict[str, Any]] = {}
        for key, value in settings.items():
            address, _, name = key.partition(".")
            if not name or address not in known:
                can = " or ".join(f"{one}.OPTION=VALUE" for one in known)
                raise InputError(f"cannot set {key!r}: write {can}; which parts there are is chosen by the recipe")
            options.setdefault(address, {})[name] = value  # set together, as options of one part may go together
        changed: dict[str, Any] = {
            name: (getattr(self, name) or SelfConsistencyConfig()).with_settings(
                options[name], "" if name in ("prompter", "segmenter") else name
            )
            for name in single
            if name in options
        }
        for field in ("overlays", "prompt_refiners", "mask_refiners"):
            changed[field] = tuple(
                one.with_settings(options.get(class_value(type(one), "name"), {})) for one in getattr(self, field)
            )
        return replace(self, **changed)

    def with_refiners(self, names: str | Sequence[str]) -> Recipe:
        """Return the recipe with other refiners; those that it has already keep their options.

        Args:
            names: as for :func:`read_refiners`.
        """
        prompts, masks = read_refiners(names, (*self.prompt_refiners, *self.mask_refiners))
        return replace(self, prompt_refiners=prompts, mask_refiners=masks)

    def with_grid(self, grid: int | str) -> Recipe:
        """Return the recipe with a grid of ``9`` or ``"9x7"`` cells drawn for the prompter; 0 draws none."""
        others = tuple(one for one in self.overlays if class_value(type(one), "name") != "grid")
        if str(grid).strip() == "0":
            return replace(self, overlays=others)
        from fiducial.overlays import parse_grid

        columns, rows = parse_grid(str(grid))
        drawn = next((one for one in self.overlays if class_value(type(one), "name") == "grid"), None)
        drawn = drawn or read_part("overlay", "grid")
        return replace(self, overlays=(*others, drawn.with_settings({"columns": columns, "rows": rows})))


def read_refiners(
    names: str | Sequence[str], known: Sequence[Config] = ()
) -> tuple[tuple[Config, ...], tuple[Config, ...]]:
    """Find refiners of prompts and of masks by name; whether one refines prompts or masks is told by its name.

    Args:
        names: ``"cfpg,mbo?band=0.1"``, or a list of such; ``""`` and ``"none"`` are none. Prompt refiners run before
            the cut and mask refiners after it, each in the order given.
        known: refiners whose options are kept when their name comes again.

    Raises:
        UnknownNameError: nobody registered a refiner of that name.
    """
    every = [one for kind in _REFINERS for one in plugins.names(kind)]
    wanted: list[str] = []
    for text in names.split(",") if isinstance(names, str) else names:
        if wanted and "?" in wanted[-1] and _name_of(text) not in every:
            wanted[-1] += f",{text}"  # a comma inside of a value, as in mbo?limits=2,12
        elif text.strip():
            wanted.append(text.strip())
    found: dict[str, list[Config]] = {kind: [] for kind in _REFINERS}
    for text in wanted if [text.lower() for text in wanted] != ["none"] else ():
        name = _name_of(text)
        kinds = [kind for kind in _REFINERS if name in plugins.names(kind)]
        if not kinds:
            raise UnknownNameError("refiner", name, every)
        if any(class_value(type(one), "name") == name for one in found[kinds[0]]):
            raise InputError(f"the refiner {name!r} is named twice: name it once")
        kept = next((one for one in known if class_value(type(one), "name") == name), None)
        found[kinds[0]].append(replaced(kept, text) if kept else read_part(kinds[0], text))
    prompts, masks = (tuple(found[kind]) for kind in _REFINERS)
    return prompts, masks


def _name_of(text: str) -> str:
    return text.partition("?")[0].partition(":")[0].strip().lower()


def replaced(part: P, reference: str) -> P:
    """Return a part replaced by ``NAME[:MODEL][?key=value&...]``.

    Options are kept when the new name runs the same code (another checkpoint of the same family still writes the same
    dialect), its model only when the name stays, and all are dropped otherwise.
    """
    given = read_short(class_value(type(part), "kind"), reference)
    name = given.pop("name")
    new: type[Config] = plugins.find(class_value(type(part), "kind"), name)
    kept: dict[str, Any] = {}
    if new is type(part) or getattr(new, "build", None) is getattr(type(part), "build", part):
        same = name == class_value(type(part), "name")
        for field, _ in fields_of(type(part)):
            value = getattr(part, field.name)
            if value != field.default and (same or not field.metadata.get("positional")):
                kept[field.name] = value
    return cast(P, read(new, {**kept, **given}, title(new)))


def part_name(part: Config) -> str:
    """Say for people which part it is: its name, and its model where that is not the usual one.

    Example:
        >>> part_name(read_part("segmenter", "sam2")), part_name(read_part("prompter", "endpoint:qwen2.5vl:7b"))
        ('sam2', 'endpoint:qwen2.5vl:7b')
    """
    name, model = class_value(type(part), "name"), model_of(part)
    usual = {field.name: field.default for field, _ in fields_of(type(part))}.get("model")
    if not model or model == usual:
        return name
    return f"{name}:{Path(model).name if Path(model).exists() else model}"


def load(
    name_or_path: str | Path | Recipe = DEFAULT_RECIPE,
    *,
    prompter: str | Prompter | None = None,
    segmenter: str | Segmenter | None = None,
    grid: int | str | None = None,
    refine: str | Sequence[str] | None = None,
    cache: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Pipeline:
    """Build a pipeline from a recipe; every part can be replaced.

    Args:
        name_or_path: a shipped recipe's name, a YAML file, or a Recipe.
        prompter: instead of the recipe's: ``"NAME[:MODEL][?key=value&...]"``, or an object.
        segmenter: instead of the recipe's, in the same way.
        grid: cells per axis of the grid drawn for the prompter (``9`` or ``"9x7"``); 0 draws none.
        refine: refiners instead of the recipe's: ``"cfpg,mbo"`` or a list of names; ``"none"`` for none.
        cache: folder that keeps what the segmenter encodes, for the next run over the same pictures.
        options: options of parts, such as ``{"prompter.max_new_tokens": 256, "cfpg.colour_space": "hsv"}``.

    Returns:
        The pipeline, with its models loaded.

    Raises:
        UnknownNameError: no recipe, part or option of that name.
        MissingExtraError: a package is not installed.
        HubError: weights are neither here nor to be had.
        InputError: a recipe file or option that makes no sense.

    Example:
        >>> import fiducial
        >>> fiducial.load("classic").name
        'classic'
    """
    recipe = resolve(
        name_or_path,
        prompter=prompter if isinstance(prompter, str) else None,
        segmenter=segmenter if isinstance(segmenter, str) else None,
        grid=grid,
        refine=refine,
        cache=cache,
        options=options,
    )
    asked = prompter if prompter is not None and not isinstance(prompter, str) else None
    cutter = segmenter if segmenter is not None and not isinstance(segmenter, str) else None
    given = tuple(type(one).__name__ for one in (asked, cutter) if one is not None)
    if asked is None and recipe.prompter is not None:
        asked = build(recipe.prompter)
    if cutter is None and recipe.segmenter is not None:
        cutter = build(recipe.segmenter)
    return Pipeline(
        prompter=recipe.self_consistency.wrap(asked) if recipe.self_consistency and asked is not None else asked,
        segmenter=recipe.cache.wrap(cutter) if recipe.cache and cutter is not None else cutter,
        overlays=tuple(build(one) for one in recipe.overlays),
        prompt_refiners=tuple(build(one) for one in recipe.prompt_refiners),
        mask_refiners=tuple(build(one) for one in recipe.mask_refiners),
        name=replace(recipe, instead=(*recipe.instead, *given)).title,
        overlay_for_segmenter=recipe.overlay_for_segmenter,
    )


def resolve(
    name_or_path: str | Path | Recipe = DEFAULT_RECIPE,
    *,
    prompter: str | None = None,
    segmenter: str | None = None,
    grid: int | str | None = None,
    refine: str | Sequence[str] | None = None,
    cache: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Recipe:
    """Apply what the caller overrides to a recipe without loading anything; arguments as for :func:`load`."""
    recipe = base = name_or_path if isinstance(name_or_path, Recipe) else read_recipe(name_or_path)
    parts: dict[str, Any] = {}  # replaced together, as they may go together
    for kind, reference in (("prompter", prompter), ("segmenter", segmenter)):
        if reference is not None:
            own = getattr(recipe, kind)
            parts[kind] = replaced(own, reference) if own is not None else read_part(kind, reference)
    recipe = replace(recipe, **parts)
    if grid is not None:
        recipe = recipe.with_grid(grid)
    if refine is not None:
        recipe = recipe.with_refiners(refine)
    if cache is not None:
        kept = recipe.cache.with_settings({"folder": Path(cache)}) if recipe.cache else CacheConfig(folder=Path(cache))
        recipe = replace(recipe, cache=kept)
    return recipe.instead_of(base).with_options(options or {})


def recipe_names() -> list[str]:
    """Name the recipes that come with the package, sorted."""
    names = [entry.name for entry in files("fiducial.recipes").iterdir() if entry.name.endswith(".yaml")]
    return sorted(name[:-5] for name in names if name != "models.yaml")


def read_recipe(name_or_path: str | Path) -> Recipe:
    """Read a shipped recipe by name, or a recipe file by path.

    Args:
        name_or_path: a name such as ``"sjtu"``, or a path that ends in ``.yaml`` or ``.yml``.

    Raises:
        UnknownNameError: no recipe, or no part, of that name.
        InputError: the file is missing or not a recipe; the message names the file and the key.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return parse_recipe(path.stem, read_text(path), str(path))
    name = str(name_or_path).lower()
    if name not in recipe_names():
        raise UnknownNameError("recipe", str(name_or_path), recipe_names())
    return parse_recipe(name, read_text(files("fiducial.recipes").joinpath(f"{name}.yaml")), f"recipe {name!r}")


def parse_recipe(name: str, text: str, where: str) -> Recipe:
    """Read a recipe from YAML text; ``where`` names it in errors."""
    data = parse_yaml(text, where)
    if not isinstance(data, dict):
        raise InputError(f"{where}: a recipe is a mapping with a prompter and a segmenter")
    if not data.get("prompter"):
        raise InputError(f"{where}: needs a prompter, such as prompter: classic")
    return read(Recipe, {"name": name, **{key: value for key, value in data.items() if value is not None}}, where)


def model_of(part: Config) -> str:
    """Return the model that a part loads, "" for one without."""
    return str(getattr(part, "model", "") or "")


def takes_device(part: Config) -> bool:
    """Tell whether a part runs on a device that can be chosen."""
    return any(field.name == "device" for field in dataclasses.fields(cast(Any, type(part))))


def changed_options(part: Config) -> dict[str, Any]:
    """Return the options of a part that differ from their defaults, without its model."""
    defaults = {field.name: field.default for field, _ in fields_of(type(part))}
    return {key: value for key, value in as_fields(part).items() if value != defaults[key] and key != "model"}
