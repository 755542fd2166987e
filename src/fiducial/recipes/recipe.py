"""The recipe file: reading, checking, writing back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from fiducial import plugins
from fiducial.errors import InputError, UnknownNameError

DEFAULT_RECIPE = "nano"
_SINGLE = ("prompter", "segmenter")
_REFINERS: tuple[plugins.Kind, ...] = ("prompt_refiner", "mask_refiner")
_LISTS = {"overlays": "overlay", "prompt_refiners": "prompt_refiner", "mask_refiners": "mask_refiner"}
_KEYS = ("summary", "source", "overlay_for_segmenter", *_SINGLE, *_LISTS)


@dataclass(frozen=True, slots=True)
class PartSpec:
    """One part of a recipe: its name, the model it loads, its options.

    Args:
        kind: what it implements.
        name: its name in the manifest.
        model: hub name, folder or file; None takes the part's own default.
        options: further keyword arguments.
    """

    kind: plugins.Kind
    name: str
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def part(self) -> plugins.Part:
        """The manifest's entry; UnknownNameError when there is none."""
        return plugins.find(self.kind, self.name)

    @property
    def model_name(self) -> str:
        """The model that will be loaded, or "" for a part without one."""
        return self.model or self.part.model

    @property
    def address(self) -> str:
        """What stands before the dot when one of its options is set: its kind, or a refiner's own name."""
        return self.name if self.kind in _REFINERS else self.kind

    def build(self) -> Any:
        """Load the code and build the part."""
        return self.part.build(self.model, **self.options)

    def overridden(self, reference: str) -> PartSpec:
        """Return this part replaced by ``NAME`` or ``NAME:MODEL``.

        Options are kept when the new name runs the same code (another checkpoint of the same
        family still writes the same dialect), and dropped otherwise.
        """
        name, model = plugins.split_reference(reference)
        new = plugins.find(self.kind, name)
        same_code = new.target == self.part.target or _builder(self.kind, name) is _builder(self.kind, self.name)
        kept_model = self.model if name == self.name else None
        return PartSpec(self.kind, name, model or kept_model, self.options if same_code else {})

    def as_json(self) -> dict[str, Any]:
        """Return plain values: name, model when there is one, options."""
        model = {"model": self.model_name} if self.model_name else {}
        return {"name": self.name, **model, **self.options}


def _builder(kind: plugins.Kind, name: str) -> object:
    """Return what builds a part; parts that are not built by a description have each their own."""
    described = plugins.description(kind, name)
    return getattr(described, "build", described)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named combination of parts.

    Args:
        name: how it is asked for.
        prompter: instruction and image to prompts.
        segmenter: image and prompts to masks.
        overlays: drawn for the prompter, in order.
        prompt_refiners: applied to the prompts, in order.
        mask_refiners: applied to the masks, in order.
        overlay_for_segmenter: let the segmenter see the overlays too.
        summary: one sentence for people.
        source: what it reproduces.
    """

    name: str
    prompter: PartSpec
    segmenter: PartSpec
    overlays: tuple[PartSpec, ...] = ()
    prompt_refiners: tuple[PartSpec, ...] = ()
    mask_refiners: tuple[PartSpec, ...] = ()
    overlay_for_segmenter: bool = False
    summary: str = ""
    source: str = ""

    @property
    def parts(self) -> tuple[PartSpec, ...]:
        """Every part, in the order in which data passes it."""
        return (*self.overlays, self.prompter, *self.prompt_refiners, self.segmenter, *self.mask_refiners)

    def with_options(self, settings: Mapping[str, Any]) -> Recipe:
        """Return the recipe with options set, such as ``{"prompter.max_new_tokens": 256}``.

        Raises:
            InputError: a key that is not ``prompter.OPTION``, ``segmenter.OPTION`` or ``NAME.OPTION`` of a refiner
                that the recipe has.
        """
        parts = with_settings((self.prompter, self.segmenter, *self.prompt_refiners, *self.mask_refiners), settings)
        return replace(self, prompter=parts[0], segmenter=parts[1])._refined_by(parts[2:])

    def with_refiners(self, names: str | Sequence[str]) -> Recipe:
        """Return the recipe with other refiners; those that it has already keep their options.

        Args:
            names: as for :func:`read_refiners`.

        Raises:
            UnknownNameError: nobody registered a refiner of that name.
        """
        return self._refined_by(read_refiners(names, (*self.prompt_refiners, *self.mask_refiners)))

    def _refined_by(self, specs: Sequence[PartSpec]) -> Recipe:
        prompts, masks = (tuple(spec for spec in specs if spec.kind == kind) for kind in _REFINERS)
        return replace(self, prompt_refiners=prompts, mask_refiners=masks)

    def as_json(self) -> dict[str, Any]:
        """Return the resolved recipe as plain values, to write beside a result."""
        listed = {key: [spec.as_json() for spec in getattr(self, key)] for key in _LISTS}
        return {
            "name": self.name,
            "prompter": self.prompter.as_json(),
            "segmenter": self.segmenter.as_json(),
            **listed,
            "overlay_for_segmenter": self.overlay_for_segmenter,
        }


def with_settings(specs: Sequence[PartSpec], settings: Mapping[str, Any]) -> list[PartSpec]:
    """Return parts with options set, such as ``{"cfpg.colour_space": "hsv"}``; every part of that address gets it.

    Raises:
        InputError: a key without an option, or of no part here.
    """
    changed = list(specs)
    for key, value in settings.items():
        address, _, option = key.partition(".")
        known = dict.fromkeys(spec.address for spec in specs)
        if not option or address not in known:
            raise InputError(f"cannot set {key!r}: write {' or '.join(f'{name}.OPTION=VALUE' for name in known)}")
        changed = [
            replace(spec, options={**spec.options, option: value}) if spec.address == address else spec
            for spec in changed
        ]
    return changed


def read_refiners(names: str | Sequence[str], known: Sequence[PartSpec] = ()) -> tuple[PartSpec, ...]:
    """Find refiners by name; whether one refines prompts or masks is told by its name.

    Args:
        names: ``"cfpg,mbo"``, or a list of names; ``""`` and ``"none"`` are none. Prompt refiners run before the cut
            and mask refiners after it, each in the order given.
        known: parts whose options are kept when their name comes again.

    Raises:
        UnknownNameError: nobody registered a refiner of that name.
    """
    given = names.split(",") if isinstance(names, str) else names
    wanted = [name.strip().lower() for name in given if name.strip()]
    if wanted == ["none"]:
        return ()
    found: list[PartSpec] = []
    for name in wanted:
        kinds = [kind for kind in _REFINERS if (kind, name) in plugins.parts()]
        if not kinds:
            raise UnknownNameError("refiner", name, [n for kind, n in plugins.parts() if kind in _REFINERS])
        kept = {spec.kind: spec for spec in known if spec.name == name}
        found += [kept.get(kind, PartSpec(kind, name)) for kind in kinds]
    return tuple(found)


def recipe_names() -> list[str]:
    """Name the recipes that come with the package, sorted."""
    folder = files("fiducial.recipes")
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml") and _is_recipe(entry))


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
        if not path.is_file():
            raise InputError(f"{path}: no such recipe file")
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from None
        return parse_recipe(path.stem, text, str(path))
    name = str(name_or_path).lower()
    if name not in recipe_names():
        raise UnknownNameError("recipe", str(name_or_path), recipe_names())
    text = files("fiducial.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return parse_recipe(name, text, f"recipe {name!r}")


def parse_recipe(name: str, text: str, where: str) -> Recipe:
    """Read a recipe from YAML text; ``where`` names it in errors."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(data, dict):
        raise InputError(f"{where}: a recipe is a mapping with the keys {', '.join(_KEYS)}")
    for key in data:
        if key not in _KEYS:
            raise UnknownNameError(f"key in {where}:", str(key), _KEYS)
    for key in _SINGLE:
        if key not in data:
            raise InputError(f"{where}: needs a {key}, such as {key}: {{name: {_EXAMPLES[key]}}}")
    lists = {key: _read_list(kind, data.get(key), f"{where}, {key}") for key, kind in _LISTS.items()}
    return Recipe(
        name=name,
        prompter=_read_part("prompter", data["prompter"], f"{where}, prompter"),
        segmenter=_read_part("segmenter", data["segmenter"], f"{where}, segmenter"),
        overlay_for_segmenter=bool(data.get("overlay_for_segmenter", False)),
        summary=str(data.get("summary", "")),
        source=str(data.get("source", "")),
        **lists,
    )


_EXAMPLES = {"prompter": "classic", "segmenter": "grabcut"}


def _read_list(kind: str, data: Any, where: str) -> tuple[PartSpec, ...]:
    if data is None:
        return ()
    if not isinstance(data, list):
        raise InputError(f"{where}: needs a list of parts")
    return tuple(_read_part(kind, item, where) for item in data)


def _read_part(kind: Any, data: Any, where: str) -> PartSpec:
    if isinstance(data, str):
        name, model = plugins.split_reference(data)
        spec = PartSpec(kind, name, model)
    elif isinstance(data, dict) and isinstance(data.get("name"), str):
        options = {str(key): value for key, value in data.items() if key not in ("name", "model")}
        model = data.get("model")
        spec = PartSpec(kind, data["name"].lower(), None if model is None else str(model), options)
    else:
        raise InputError(f"{where}: a part is NAME, NAME:MODEL or a mapping with a name, got {data!r}")
    _ = spec.part  # an unknown name is an error now, not when it is built
    return spec


def _is_recipe(entry: Any) -> bool:
    return bool(entry.name != "models.yaml")
