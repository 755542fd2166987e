"""The checkpoints that recipes and parts name, with their licences and whether they are on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from fiducial import models, plugins
from fiducial.config import fields_of
from fiducial.files import read_yaml
from fiducial.recipes.recipe import model_of, read_recipe, recipe_names


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Published weights.

    Args:
        name: the hub's name.
        role: ``prompter`` or ``segmenter``.
        licence: the licence of the weights.
        parameters: how large it is, for people.
        download: about how much is loaded from the hub when first used, for people; "none" for what comes with the
            package.
        used_by: recipes and parts that name it.
        local: the folder it lies in on this machine, or None.
    """

    name: str
    role: str
    licence: str
    parameters: str
    download: str
    used_by: tuple[str, ...]
    local: Path | None


def checkpoints() -> list[Checkpoint]:
    """List every checkpoint that a recipe or part names, sorted by role and name."""
    known = read_yaml(files("fiducial.recipes").joinpath("models.yaml"), own=True)
    known |= {name: models.read_card(name).facts for name in models.model_names()}
    users: dict[str, list[str]] = {}
    for recipe in map(read_recipe, recipe_names()):
        for part in recipe.parts:
            if name := model_of(part):
                users.setdefault(name, []).append(f"recipe {recipe.name}")
    for kind in ("prompter", "segmenter"):
        for part_name in plugins.names(kind):
            default = {field.name: field.default for field, _ in fields_of(plugins.find(kind, part_name))}.get("model")
            if isinstance(default, str) and default:
                users.setdefault(default, []).append(f"{kind} {part_name}")
    found = [
        Checkpoint(
            name=name,
            role=known.get(name, {}).get("role", "model"),
            licence=known.get(name, {}).get("licence", "unknown: read its card"),
            parameters=known.get(name, {}).get("parameters", "?"),
            download="none" if name in models.model_names() else known.get(name, {}).get("download", "?"),
            used_by=tuple(used),
            local=local_folder(name),
        )
        for name, used in users.items()
    ]
    return sorted(found, key=lambda checkpoint: (checkpoint.role, checkpoint.name.lower()))


def local_folder(name: str) -> Path | None:
    """Return where a checkpoint lies on this machine (the package, a folder, or the hub's cache), or None."""
    if name in models.model_names():
        return Path(str(files("fiducial.models")))
    if Path(name).is_dir():
        return Path(name)
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    cached = try_to_load_from_cache(name, "config.json")
    return Path(cached).parent if isinstance(cached, str) else None
