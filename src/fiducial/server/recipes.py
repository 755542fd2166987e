"""The recipes that a server answers with, and the work that its one thread does for requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fiducial.config import as_plain, build, class_value
from fiducial.errors import InputError, ModelError, UnknownNameError
from fiducial.geometry import Prompts
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.pipeline import Pipeline
from fiducial.recipes import Recipe, load
from fiducial.recipes.recipe import read_refiners
from fiducial.results import Segmentation
from fiducial.segmenters.remembering import RememberingSegmenter
from fiducial.server.gathering import Kind


@dataclass(frozen=True, slots=True)
class Options:
    """What a request may choose: a small closed set, as parts and models are chosen when the server starts.

    Args:
        refine: names of refiners, instead of the recipe's own; None for these.
        threshold: targets whose score lies below it are left out, in 0..1; those without a score stay.
    """

    refine: tuple[str, ...] | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One request.

    Args:
        recipe: the name of one of the server's.
        image: what it is about.
        instruction: what to segment; with prompts, words that are kept with the result.
        prompts: to cut by, in any frame of the image; None asks the recipe's prompter.
        options: what was chosen.
    """

    recipe: str
    image: Image
    instruction: str = ""
    prompts: Prompts | None = None
    options: Options = Options()


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A recipe that is loaded.

    Args:
        recipe: its description.
        pipeline: the recipe, its segmenter remembering embeddings and masks.
        prompt_refiners: by name, those that a request may ask for.
        mask_refiners: by name, likewise.
    """

    recipe: Recipe
    pipeline: Pipeline
    prompt_refiners: Mapping[str, Any]
    mask_refiners: Mapping[str, Any]

    @property
    def segmenter(self) -> RememberingSegmenter | None:
        """What cuts, or None where the prompter draws the masks itself."""
        found = self.pipeline.segmenter
        return found if isinstance(found, RememberingSegmenter) else None

    @property
    def refiners(self) -> tuple[str, ...]:
        """Names of the refiners that can be asked for, in the order in which they work."""
        return (*self.prompt_refiners, *self.mask_refiners)

    @property
    def own_refiners(self) -> tuple[str, ...]:
        """Names of the refiners that the recipe has when nothing is said."""
        return tuple(
            class_value(type(one), "name") for one in (*self.recipe.prompt_refiners, *self.recipe.mask_refiners)
        )

    def piped(self, options: Options) -> Pipeline:
        """Return the pipeline with the refiners that a request asks for."""
        if options.refine is None:
            return self.pipeline
        for name in options.refine:
            if name not in self.refiners:
                raise UnknownNameError(f"refiner of the recipe {self.recipe.name!r}", name, self.refiners)
        return replace(
            self.pipeline,
            prompt_refiners=tuple(one for name, one in self.prompt_refiners.items() if name in options.refine),
            mask_refiners=tuple(one for name, one in self.mask_refiners.items() if name in options.refine),
        )


class Recipes:
    """What is served, by name, the default first.

    Args:
        served: at least one.
        max_prompts: most prompts of cuts that are put together; a single one may have more.
    """

    def __init__(self, served: Sequence[Served], max_prompts: int) -> None:
        self.served = {one.recipe.name: one for one in served}
        self.max_prompts = max_prompts

    def find(self, name: str | None) -> Served:
        """Return a recipe, the first where no name is given.

        Raises:
            UnknownNameError: it is not among those that the server was started with.
        """
        if name is None:
            return next(iter(self.served.values()))
        if name not in self.served:
            raise UnknownNameError("recipe of this server", name, self.served)
        return self.served[name]

    def check(self, job: Job) -> None:
        """Refuse what cannot be done, before it waits in a line.

        Raises:
            InputError: the recipe has nothing that could be asked, or that could cut; or an unknown refiner.
        """
        served = self.find(job.recipe)
        if job.prompts is None and served.pipeline.prompter is None:
            raise InputError(f"the recipe {job.recipe!r} has no prompter to ask: cut by coordinates")
        if job.prompts is not None and served.segmenter is None:
            able = [name for name, one in self.served.items() if one.segmenter is not None]
            raise InputError(
                f"the recipe {job.recipe!r} draws its masks by the instruction and cuts by no coordinates: "
                f"take {', '.join(able) or 'a server with another recipe'}"
            )
        served.piped(job.options)

    def kind(self, job: Job) -> Kind:
        """Say with which others a job may become one call."""
        refine = job.options.refine
        if job.prompts is not None:
            return Kind(("cut", job.recipe, job.image.digest, refine), len(job.prompts), self.max_prompts)
        prompter = self.find(job.recipe).pipeline.prompter
        together = getattr(prompter, "concurrency", 0) or getattr(prompter, "batch_size", 1)
        return Kind(("ask", job.recipe, refine), 1, together)

    def work(self, jobs: Sequence[Job]) -> list[Segmentation]:
        """Do jobs of one kind."""
        served = self.find(jobs[0].recipe)
        pipe = served.piped(jobs[0].options)
        if jobs[0].prompts is None:
            found = pipe.segment([job.image for job in jobs], [job.instruction for job in jobs])
        else:
            if len(jobs) > 1 and not pipe.prompt_refiners:
                _cut_ahead(served, jobs)
            found = [pipe.cut(job.image, job.prompts, job.instruction) for job in jobs if job.prompts is not None]
        return [
            result if job.options.threshold is None else above(result, job.options.threshold)
            for job, result in zip(jobs, found, strict=True)
        ]


def _cut_ahead(served: Served, jobs: Sequence[Job]) -> None:
    """Cut the prompts of several jobs about one image in one call, so that each job finds its masks there."""
    image, segmenter = jobs[0].image, served.segmenter
    every = [one for job in jobs if job.prompts is not None for one in job.prompts.to(image.frame).fitted()[0]]
    if segmenter is None or not every:
        return
    try:
        segmenter.decode(segmenter.encode(image), Prompts(image.frame, tuple(every)))
    except ModelError:
        return  # each is cut by itself, and whose prompts are too much is told so


def above(result: Segmentation, threshold: float) -> Segmentation:
    """Leave out targets whose score lies below a threshold, and say so; those without a score stay."""
    kept = [number for number, score in enumerate(result.scores) if score is None or score >= threshold]
    lost = len(result.masks) - len(kept)
    if not lost:
        return result
    left_out = f"{lost} target{'s' * (lost > 1)} left out, as their score lies below the threshold of {threshold:g}"
    answer = replace(result.answer, repairs=(*result.answer.repairs, left_out))
    if not kept and answer.outcome is Outcome.FOUND:
        answer = replace(answer, outcome=Outcome.NO_TARGET, text=f"{answer.text} ({left_out})".strip())
    return replace(
        result,
        answer=answer,
        masks=tuple(result.masks[number] for number in kept),
        prompts=Prompts(result.prompts.frame, tuple(result.prompts[number] for number in kept)),
        refinements=tuple(result.refinements[number] for number in kept),
    )


def load_recipes(recipes: Sequence[Recipe], refine: str, memory_bytes: int, max_prompts: int) -> Recipes:
    """Load recipes; see :meth:`fiducial.server.configs.RecipeServerConfig.build_recipes`."""
    if not recipes:
        raise InputError("a server needs at least one recipe")
    names = [recipe.name for recipe in recipes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"the recipe {twice[0]!r} is named twice: give its file another name")
    shared: list[tuple[Any, RememberingSegmenter]] = []
    return Recipes([_served(recipe, refine, memory_bytes, shared) for recipe in recipes], max_prompts)


def _served(recipe: Recipe, refine: str, memory_bytes: int, shared: list[tuple[Any, RememberingSegmenter]]) -> Served:
    described = None if recipe.segmenter is None else (as_plain(recipe.segmenter), as_plain(recipe.cache))
    known = next((one for key, one in shared if key == described), None)
    if known is not None:
        pipeline = replace(load(recipe, segmenter=known), segmenter=known, name=recipe.title)
    else:
        pipeline = load(recipe)
        if pipeline.segmenter is not None:
            known = RememberingSegmenter(pipeline.segmenter, memory_bytes)
            shared.append((described, known))
            pipeline = replace(pipeline, segmenter=known)
    own = (*recipe.prompt_refiners, *recipe.mask_refiners)
    names = [class_value(type(one), "name") for one in own]
    more = [name for name in refine.split(",") if name.strip() not in ("", "none", *names)]
    prompts, masks = read_refiners(",".join([*names, *more]), own) if known is not None else ((), recipe.mask_refiners)
    named = [{class_value(type(one), "name"): build(one) for one in some} for some in (prompts, masks)]
    return Served(recipe, pipeline, *named)
