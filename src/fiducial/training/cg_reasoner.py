"""Training of CG-Reasoner's joint model: masks, answers and places of one language model's states, learned at once.

The language model's adapters (or all its weights), the encoder, the decoder and the projectors are trained; the head of
Text2Centroid and the sentence encoder are not. The best model is the one with the highest mean Dice of held-out
pictures, their masks drawn behind answers that the model wrote itself. What a run leaves, ``RUN/model``, is what
``--prompter cg-reasoner:RUN/model`` takes.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fiducial.contracts import SentenceEmbedder
from fiducial.files import make_folder, replace_folder, write_atomically
from fiducial.language.answers import Answer, Outcome
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.vlm import VLMPrompter
from fiducial.prompters.vlm.loading import load
from fiducial.provenance import versions
from fiducial.reasoner.model import LANGUAGE, CGReasoner, Reasoned, as_batch, check_folder, load_weights, save_reasoner
from fiducial.reasoner.model_configs import CGReasonerConfig
from fiducial.reasoner.prompter import TEMPLATE, CGReasonerPrompter, asker_of, on_device
from fiducial.reasoner.sentences import SentenceEncoder
from fiducial.reasoner.text2centroid import RuleText2Centroid, load_head
from fiducial.training import losses as mask_losses
from fiducial.training.cg_reasoner_configs import CGReasonerRunConfig, ReasonerLosses
from fiducial.training.cg_reasoner_data import (
    NO_KIND,
    ReasonerBatches,
    ReasonerExample,
    encoder_batch,
    held_out_examples,
    read_portions,
)
from fiducial.training.cg_reasoner_language import make_language, texts_of
from fiducial.training.optimisers import decay_groups, make_optimiser
from fiducial.training.prompter_runs import adapters, base_of, frozen, write_model
from fiducial.training.sft_data import check_labels
from fiducial.training.sources import expand_data_folder
from fiducial.training.trainer import Task, Trainer

MODEL = "model"
Batch = list[ReasonerExample]


def joint_losses(
    found: Reasoned,
    examples: Sequence[ReasonerExample],
    targets: Tensor,
    weights: ReasonerLosses,
    sentences: SentenceEmbedder | None,
) -> dict[str, Tensor]:
    """Compute every loss that counts, and as ``"all"`` their weighted sum.

    Args:
        found: what the model made of the examples.
        examples: B of them, with their truth.
        targets: (B, G, G) of :func:`targets_of`, on the grid of the logits.
        weights: how much each counts.
        sentences: the frozen sentence encoder; needed for the sentence term alone.
    """
    device = found.logits.device
    there = torch.tensor([bool(one.truth) for one in examples], device=device)
    losses: dict[str, Tensor] = {}
    for name, compute in (
        ("dice", mask_losses.dice),
        ("cross_entropy", mask_losses.cross_entropy),
        ("structure", mask_losses.structure),
    ):
        if getattr(weights, name):
            losses[name] = compute(found.logits.float(), targets).mean()
    if weights.words and found.answer_loss is not None:
        losses["words"] = found.answer_loss
    if weights.spatial:
        losses["spatial"] = _spatial(found.points, examples)
    if weights.sentence and sentences is not None:
        vectors = torch.from_numpy(sentences.embed([one.answer for one in examples])).to(device)
        losses["sentence"] = (1 - (found.sentences.float() * vectors).sum(1)).mean()
    if weights.presence:
        losses["presence"] = functional.binary_cross_entropy_with_logits(found.presence.float(), there.float())
    if weights.kinds and found.kinds is not None:
        kinds = torch.tensor([one.kind for one in examples], device=device)
        known = kinds != NO_KIND
        losses["kinds"] = functional.cross_entropy(found.kinds.float()[known], kinds[known])
    return _summed(losses, weights)


def words_losses(
    words: Tensor, points: Tensor, examples: Sequence[ReasonerExample], weights: ReasonerLosses
) -> dict[str, Tensor]:
    """Return the losses of :meth:`CGReasoner.said`, and as ``"all"`` their weighted sum."""
    losses = {"words": words} | ({"spatial": _spatial(points, examples)} if weights.spatial else {})
    return _summed(losses, weights)


def _spatial(points: Tensor, examples: Sequence[ReasonerExample]) -> Tensor:
    """Compute smooth L1 to the true centroids; where there is no target there is no place."""
    there = torch.tensor([bool(one.truth) for one in examples], device=points.device)
    places = torch.tensor([one.centroid or (0.0, 0.0) for one in examples], device=points.device)
    away = functional.smooth_l1_loss(points.float()[there], places.float()[there])
    return away if bool(there.any()) else points.sum() * 0


def _summed(losses: dict[str, Tensor], weights: ReasonerLosses) -> dict[str, Tensor]:
    total = torch.stack([getattr(weights, name) * value for name, value in losses.items()]).sum()
    return {**losses, "all": total}


def targets_of(examples: Sequence[ReasonerExample], grid: int) -> Tensor:
    """Return (B, G, G) float32 in 0..1: how much of each cell of a grid over its picture each target covers."""
    return torch.from_numpy(np.stack([one.target(grid) for one in examples]))


class CGReasonerTask(Task[Batch]):
    """Pictures and questions in, masks and answers out; scored by the mean Dice of held-out pictures, by source."""

    max_grad_norm = 1.0

    def __init__(self, config: CGReasonerRunConfig, data: str | Path) -> None:
        super().__init__(config, config.steps, config.eval_every)
        self.warmup_ratio, self.ema_decay = config.warmup_ratio, config.ema_decay
        self._config, self._data = config, Path(data)
        self._checked = False

    def build(self, trainer: Trainer[Batch]) -> nn.Module:
        """Cut the data, load the language model, give it adapters, and make the rest."""
        config, self._trainer = self._config, trainer
        self._portions = read_portions(config, self._data)
        self._held_out = held_out_examples(config, self._portions)
        count = sum(len(one.training) for one in self._portions if one.source.share)
        self.steps = config.steps or config.epochs * math.ceil(count / config.batch_size)
        self._batches = ReasonerBatches(config, self._portions, self.steps)
        weights = config.losses
        model, head = (expand_data_folder(text, self._data) for text in (config.model, config.head))
        self._sentences = (
            SentenceEncoder(expand_data_folder(config.sentences, self._data)) if weights.sentence else None
        )
        if config.made is not None:
            texts = texts_of(config, self._portions)
            self._loaded, self._base = make_language(config.made, texts, trainer.device), ""
        elif config.initial:
            earlier = Path(expand_data_folder(config.initial, self._data))
            check_folder(earlier)
            told = VLMConfig(model=str(earlier / LANGUAGE), device=str(trainer.device), dtype=config.dtype)
            self._loaded, self._base = load(told), ""
        else:
            self._loaded = load(VLMConfig(model=model, device=str(trainer.device), dtype=config.dtype))
            self._base = base_of(model, self._loaded.source)
        language = frozen(self._loaded.model, config.train_vision)
        if config.learn != "all":
            language.requires_grad_(False)
        layers = adapters(language, config.lora, config.train_vision)
        torch.manual_seed(config.seed)  # loading draws too
        if layers is not None:
            from peft import get_peft_model

            language = get_peft_model(language, layers)
        network = CGReasoner(language, config.network, load_head(head)).to(trainer.device)
        if config.initial:
            load_weights(network, earlier, new=("sight.",))
        if config.learn != "all":
            network.requires_grad_(False)
            parts = (network.encoder, network.decoder) if config.learn == "masks" else (network.sight, network.space)
            for taught in parts:
                assert taught is not None
                taught.requires_grad_(True)
        trainer.run.log(
            0,
            training=count,
            held_out=sum(map(len, self._held_out.values())),
            steps=self.steps,
            trained_weights=sum(one.numel() for one in network.parameters() if one.requires_grad),
        )
        self._asker = self._asker_of(network)
        return network

    def _asker_of(self, network: CGReasoner) -> VLMPrompter:
        # Adapters are in the layers of the base, which is asked as it will be later.
        return asker_of(replace(self._loaded, model=network.base), max_new_tokens=self._config.max_new_tokens)

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Return the optimiser; the language model's weights have a rate of their own."""
        assert isinstance(network, CGReasoner)
        config = self._config
        language = [weight for weight in network.language.parameters() if weight.requires_grad]
        known = {id(weight) for weight in language}
        others = [one for one in network.parameters() if one.requires_grad and id(one) not in known]
        made = make_optimiser(config.optimiser, others, config.learning_rate, config.weight_decay)
        for group in decay_groups(language, config.weight_decay):
            if group["params"]:
                made.add_param_group({**group, "rate_factor": config.language_rate, "is_muon": False})
        return made

    def batches(self, start: int) -> Iterable[Sequence[Batch]]:
        """Yield the examples of every step."""
        return self._batches.parts(start)

    def loss(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Compute the losses of a batch."""
        assert isinstance(network, CGReasoner)
        inputs, labels = self._tensors(batch)
        device, config = self._trainer.device, self._config
        targets = targets_of(batch, config.network.grid).to(device)
        if config.learn == "words":
            given = on_device(inputs, device, self._loaded.model.dtype)
            words, points = network.said(given, labels.to(device), targets)
            return words_losses(words, points, batch, config.losses)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.autocast):
            found = network(
                on_device(inputs, device, self._loaded.model.dtype),
                labels.to(device),
                as_batch(encoder_batch(batch, config.network.size), device),
                targets,
            )
        return joint_losses(found, batch, targets, config.losses, self._sentences)

    def _tensors(self, batch: Batch) -> tuple[dict[str, Any], Tensor]:
        """Put questions and answers as the model will be asked; the answer ends as a reply does."""
        asker, words = self._asker, self._asker.processor.tokenizer
        answers = [one.answer + words.eos_token for one in batch]
        inputs, labels = asker.answered(
            [asker.show(one.image)[0].pixels for one in batch],
            [asker.chat(*TEMPLATE.fill(one.question, (0, 0))) for one in batch],
            answers,
        )
        if not self._checked:
            check_labels(inputs["input_ids"], labels, answers, words)
            self._checked = True
        return inputs, labels

    def score(self, network: nn.Module) -> dict[str, float]:
        """Return the mean Dice of held-out pictures by source; what the answers say is logged beside it.

        Where words alone are taught masks stay as they are: the part of right places is what counts.
        """
        assert isinstance(network, CGReasoner)
        prompter = CGReasonerPrompter(
            network,
            self._asker_of(network),
            CGReasonerConfig(model=MODEL, batch_size=self._config.eval_batch_size, point="mask"),
            places=bool(self._config.losses.spatial),
        )
        found = {}
        for title, examples in self._held_out.items():
            answers = prompter.ask([one.image for one in examples], [one.question for one in examples])
            found[title] = float(np.mean([dice_of(one, two) for one, two in zip(answers, examples, strict=True)]))
            said = what_answers_say(answers, examples)
            self._trainer.run.log(self._trainer.step, **{f"{title} {name}": value for name, value in said.items()})
            if self._config.learn == "words":
                found[title] = said.get("place", found[title])
        return found

    def save(self, network: nn.Module, step: int, scores: Mapping[str, float]) -> None:
        """Write the joint model with its card."""
        assert isinstance(network, CGReasoner)
        run = self._trainer.run
        hidden = make_folder(run.folder / f".{MODEL}.part")
        make_folder(hidden / LANGUAGE)
        write_model(network.language, self._loaded.processor, self._base, hidden / LANGUAGE)
        places = bool(self._config.losses.spatial)
        save_reasoner(network, hidden, {"step": step, "held_out": dict(scores), "places": places})
        write_atomically(hidden / "README.md", self._card(run.command, step, scores))
        replace_folder(run.folder / MODEL, hidden)

    def finish(self, network: nn.Module) -> Path:
        """Return the folder of the best model."""
        return self._trainer.run.folder / MODEL

    def _card(self, command: Sequence[str], step: int, scores: Mapping[str, float]) -> str:
        data, config = [], self._config
        for one in self._portions:
            source = one.source
            cut = f"{len(one.held_out)}, cut by {source.group or 'picture'}"
            score = f"{scores[source.title]:.3f}" if source.title in scores else "not scored"
            licence = source.licence or "not stated in the configuration"
            data.append(f"| {source.title} | `{source.dataset}` | {len(one.training)} | {cut} | {score} | {licence} |")
        return _CARD.format(
            model=self._loaded.source,
            lora=f"adapters of rank {config.lora.rank} on it" if config.lora else "all weights of it",
            step=step,
            steps=self.steps,
            data="\n".join(data),
            spatial="" if config.losses.spatial else _NO_PLACES,
            command=shlex.join(command) if command else "CGReasonerRunConfig.train (from Python)",
            seed=config.seed,
            versions=", ".join(f"{name} {version}" for name, version in versions().items()),
        )


# -- scores ---------------------------------------------------------------------------------------


def dice_of(answer: Answer, example: ReasonerExample) -> float:
    """Return 2 |A and B| / (|A| + |B|) of the mask drawn and the true one, in 0..1; 1 where both are empty."""
    drawn = answer.masks[0] if answer.masks else None
    area = example.truth.area + (drawn.area if drawn else 0)
    if not area:
        return 1.0
    return 2 * example.truth.shared_area(drawn) / area if drawn else 0.0


def what_answers_say(answers: Sequence[Answer], examples: Sequence[ReasonerExample]) -> dict[str, float]:
    """Return how often the words and the silence are right, read by rule; what there is nothing of is left out.

    ``"place"``: part of the answers about targets that state a place on the true answer's side along both axes;
    ``"nothing"``: part of the pictures without a target on which nothing is marked.
    """
    reader = RuleText2Centroid()
    true, said = reader.read([one.answer for one in examples]), reader.read([one.raw for one in answers])
    there = np.array([bool(one.truth) for one in examples])
    stated = there & np.isfinite(true).all(1)
    found: dict[str, float] = {}
    if stated.any():
        found["place"] = float((np.sign(true[stated]) == np.sign(said[stated])).all(1).mean())
    if not there.all():
        silent = np.array([one.outcome is Outcome.NO_TARGET for one in answers])
        found["nothing"] = float(silent[~there].mean())
    return found


_NO_PLACES = """\

- It was trained without the spatial term: its words' states place nothing, so its prompts have the point deepest \
inside the mask.
"""
_CARD = """\
# A joint model of CG-Reasoner on {model}

It answers a question about a picture in words and draws the mask; {lora} were trained with fiducial. Step {step} of \
{steps}, the best on the held-out part, is kept.

```
fiducial segment PICTURE "Where is the polyp in this endoscopy picture?" --recipe cg-reasoner \
--prompter cg-reasoner:THIS_FOLDER
```

## Data

| name | dataset | training samples | held out | held-out Dice | licence |
|---|---|---:|---|---:|---|
{data}

Nothing of the held-out part was trained on. Dice is the mean over pictures, 1 where nothing is meant and nothing is \
marked. The licences of the data, and that of `{model}`, bind these weights.

## Limits

- The step was chosen by the same held-out pictures that the score is from, so the score is a little too good.
- Several targets of one question are one mask, and one point stands for all of them.
- What differs from the training data in device, view or kind of target was not looked at.{spatial}
- Not a medical device; not for any decision about people.

## Made by

```
{command}
```

Seed {seed}. Versions: {versions}. The whole configuration is in `run.json` of the run's folder.
"""
