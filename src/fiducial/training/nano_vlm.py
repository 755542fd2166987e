"""Training of a small vision-language model from nothing, in two runs: first it learns to see, then to answer."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fiducial.errors import InputError
from fiducial.files import make_folder, replace_folder
from fiducial.geometry import boxes
from fiducial.images import Image
from fiducial.language import Outcome
from fiducial.misground.replies import choice as chosen
from fiducial.prompters.model_configs import VLMConfig
from fiducial.prompters.vlm import VLMPrompter
from fiducial.prompters.vlm.families import FAMILIES
from fiducial.prompters.vlm.loading import Loaded
from fiducial.training.nano_vlm_configs import NanoVLMConfig
from fiducial.training.nano_vlm_data import (
    STRIDE,
    Asked,
    PackedBatch,
    PackedBatches,
    Writer,
    ask,
    texts_of,
)
from fiducial.training.nano_vlm_model import (
    NanoVLM,
    build_model,
    build_processor,
    expected_number,
    load_initial,
    name_things,
    save_model,
    spread_numbers,
)
from fiducial.training.nano_vlm_pictures import PoolPicture, read_pools
from fiducial.training.nano_vlm_words import make_tokenizer
from fiducial.training.optimisers import Muon
from fiducial.training.sft_data import HIT
from fiducial.training.trainer import Task, Trainer

MODEL, HEADS = "model", "heads.safetensors"
_MOST_NEW_TOKENS = 256
_MUON_SCALE = 0.5
"""At a rate of 0.002, right for embeddings, a square matrix of 256 then turns by 0.016 a step."""
_HEADS = ("dense", "box", "scale", "query", "key")


class NanoVLMTask(Task[PackedBatch]):
    """Pictures and questions in, cells or answers out."""

    max_grad_norm = 1.0

    def __init__(self, config: NanoVLMConfig, data: str | Path) -> None:
        super().__init__(config, config.steps, config.eval_every)
        self._config, self._data = config, Path(data)
        self.score_name = "held_out"

    def build(self, trainer: Trainer[PackedBatch]) -> nn.Module:
        """Draw the pictures, make the vocabulary and the network."""
        config, self._trainer = self._config, trainer
        if config.initial and not (Path(config.initial) / "config.json").is_file():
            raise InputError(f"initial: {config.initial} is no folder of a model, such as RUN/model of an earlier run")
        self._pools = read_pools(config, self._data)
        for pool in self._pools:
            counts = {"pictures": len(pool.training), "held_out": len(pool.held_out), "names": sorted(pool.names)}
            trainer.run.log(0, source=pool.source.title, **counts)
        self._names = sorted({name for pool in self._pools for name in pool.names})
        tokenizer = self._tokenizer()
        self._writer = Writer(config, tokenizer)
        model = build_model(config.network, tokenizer, self._writer.numbers)
        network = NanoVLM(model, self._writer.numbers, len(self._names))
        if config.initial:
            load_initial(config.initial, model)
            if _load_heads(network, Path(config.initial).parent / HEADS):
                name_things(network, tokenizer, self._names)
        self._processor = build_processor(tokenizer, model)
        count = sum(weight.numel() for weight in model.parameters())
        trainer.run.log(0, parameters=count, vocabulary=len(tokenizer))
        return network.to(trainer.device)

    def _tokenizer(self) -> Any:
        """Take the vocabulary of the model to begin with, else make one of what is said about the pictures."""
        from transformers import AutoTokenizer

        if self._config.initial:
            return AutoTokenizer.from_pretrained(self._config.initial)
        from fiducial.language.dialects import dialect as dialect_named

        dialects = [dialect_named(name) for name, _ in self._config.dialects]
        canvas = self._config.network.canvas
        prefixes = [f"{word}: the\n" for word in ("points", "boxes")] * 3
        texts = texts_of(self._pools, self._config.seed, self._config.thinking)
        return make_tokenizer(dialects, canvas, [*texts, *prefixes])

    def optimiser(self, network: nn.Module) -> torch.optim.Optimizer:
        """Move the matrices of tower and layers by Muon, embeddings and heads by AdamW; or all by AdamW."""
        if self._config.optimiser == "adamw":
            return super().optimiser(network)
        trained = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
        apart = ("embed_tokens", "lm_head", "positions", "dense.")
        matrices = {id(weight) for name, weight in trained if weight.ndim >= 2 and not any(x in name for x in apart)}
        rate, decay = self._config.learning_rate, self._config.weight_decay
        weights = [weight for _, weight in trained]
        if self._config.stage == "dense":
            return Muon(weights, rate, decay, matrices=matrices)
        # The layers' matrices want to be damped: else the first drown what they were shown. Words do not.
        moved = Muon(weights, rate, decay, matrices=matrices, scale=_MUON_SCALE)
        for group in moved.param_groups:
            if not group["is_muon"]:
                group.update(weight_decay=0.0, betas=(0.9, 0.98))
        return moved

    def learning_rate(self, step: int) -> float:
        """Rise, hold, and fall in a straight line to 3 %."""
        config, done = self._config, step / self.steps
        rise = min(1.0, (step + 1) / config.warmup_steps)
        fall = 1.0 if done < config.hold else max(0.03, (1 - done) / (1 - config.hold))
        return config.learning_rate * rise * fall

    def batches(self, start: int) -> Iterable[Sequence[PackedBatch]]:
        """Yield batches of pictures, with questions about them where answers are learned."""
        return PackedBatches(self._config, self._pools, self._writer, self._names).parts(start)

    def loss(self, network: nn.Module, batch: PackedBatch) -> dict[str, Tensor]:
        """Compute the losses of a batch."""
        assert isinstance(network, NanoVLM)
        batch = batch.to(self._trainer.device)
        if self._config.stage == "dense":
            return network.dense_losses(network.cells(batch.pixels), batch)
        done = batch.step / self.steps
        moving = done >= self._config.frozen  # the tower stands still first, which is cheaper, and learns on later
        with torch.set_grad_enabled(moving):
            cells = network.cells(batch.pixels)
        first, last = self._config.sigma
        found = network.answer_losses(cells, batch, first + (last - first) * done)
        if moving:
            dense = network.dense_losses(cells, batch)
            found = {**found, "dense": dense["all"], "all": found["all"] + 0.5 * dense["all"]}
        return found

    def score(self, network: nn.Module) -> dict[str, float]:
        """Score held-out pictures: of things, the share that their middle's cell finds; of answers, see below."""
        assert isinstance(network, NanoVLM)
        found: dict[str, float] = {}
        for pool in self._pools:
            some = pool.held_out[: self._config.eval_limit]
            if pool.source.scored and some:
                scores = self._seen(network, some) if self._config.stage == "dense" else self._answered(network, some)
                found.update({f"{pool.source.title} {key}": value for key, value in scores.items()})
        return found

    def _seen(self, network: NanoVLM, pictures: Sequence[PoolPicture]) -> dict[str, float]:
        """Return the share of things whose middle cell says that it holds them, by their name, with IoU 0.5."""
        canvas, side = self._config.network.canvas, self._config.network.canvas // STRIDE
        hits = []
        for start in range(0, len(pictures), 16):
            some = pictures[start : start + 16]
            pixels = torch.from_numpy(np.stack([one.pixels for one in some])).to(self._trainer.device)
            cells = network.cells(pixels)
            said = network.dense(cells)
            for row, one in enumerate(some):
                places = one.boxes / one.side * canvas
                middle = ((places[:, :2] + places[:, 2:]) / 2 / STRIDE).astype(int).clip(0, side - 1)
                at = torch.from_numpy(middle[:, 1] * side + middle[:, 0])
                found = expected_number(network.number_logits(cells[row, at])).cpu().numpy()
                names = said[row, at][:, 1 : 1 + len(self._names)].argmax(-1).tolist()
                overlap = boxes.iou(found, places, pairwise=False) if len(places) else np.zeros(0)
                holds = (said[row, at][:, 0] > 0).tolist()
                rows = zip(one.names, names, holds, overlap, strict=True)
                hits += [held and self._names[k] == name and iou >= HIT for name, k, held, iou in rows]
        return {"found": float(np.mean(hits)) if hits else 0.0}

    def _answered(self, network: NanoVLM, pictures: Sequence[PoolPicture]) -> dict[str, float]:
        """Return of greedy answers in each dialect: box Acc@0.5 of one target, mean best IoU of several, of none.

        Of answers in words it is the share that chooses the right option.
        """
        found = {}
        if any(one.questions for one in pictures):
            return {"words": self._said(network, pictures)}
        for dialect, _ in self._config.dialects:
            prompter = self._prompter(network, dialect)
            asked = [
                (Image(one.pixels), question)
                for one in pictures
                for question in ask(one, one.boxes, one.spots, np.random.default_rng(5), 2)
            ]
            answers = prompter.ask([image for image, _ in asked], [question.said.instruction for _, question in asked])
            scores: dict[str, list[float]] = {"one": [], "several": [], "none": []}
            for (_, question), answer in zip(asked, answers, strict=True):
                kind, value = _value(question, answer)
                scores[kind].append(value)
            found.update({f"{dialect} {kind}": float(np.mean(some)) for kind, some in scores.items() if some})
        return found

    def _said(self, network: NanoVLM, pictures: Sequence[PoolPicture]) -> float:
        prompter = self._prompter(network, self._config.dialects[0][0])
        asked = [(Image(one.pixels), text, right) for one in pictures for text, right in one.questions[:2]]
        replies = prompter.converse([[image] for image, _, _ in asked], [text for _, text, _ in asked])
        hits = [chosen(reply.text, one.options) == one.right for reply, (_, _, one) in zip(replies, asked, strict=True)]
        return float(np.mean(hits))

    def _prompter(self, network: NanoVLM, dialect: str) -> VLMPrompter:
        canvas = self._config.network.canvas
        told = VLMConfig(
            model=MODEL,
            dialect=dialect,
            template=f"nano-{dialect}",
            canvas=(canvas, canvas),
            max_new_tokens=_MOST_NEW_TOKENS,
            stop="never",  # whether it ends its answers itself is a part of what is scored
            batch_size=32,
        )
        return VLMPrompter(Loaded(network.model, self._processor, FAMILIES["llava"], MODEL), told)

    def save(self, network: nn.Module, step: int, scores: Mapping[str, float]) -> None:
        """Write the model, and the heads that a further run begins with."""
        from safetensors.torch import save_file

        assert isinstance(network, NanoVLM)
        folder = self._trainer.run.folder
        kept = copy.deepcopy(network.model)
        if self._config.stage == "dense":
            spread_numbers(kept, self._writer.numbers)
        hidden = make_folder(folder / f".{MODEL}.part")
        save_model(kept, self._processor, hidden)
        replace_folder(folder / MODEL, hidden)
        heads = {name: w.detach().clone() for name, w in network.state_dict().items() if name.split(".")[0] in _HEADS}
        save_file(heads, folder / HEADS)

    def finish(self, network: nn.Module) -> Path:
        """Return the folder of the best model."""
        return self._trainer.run.folder / MODEL


def _load_heads(network: NanoVLM, path: Path) -> bool:
    """Take the heads of the run that a model is from, if they are beside it; say whether they know the same things."""
    from safetensors.torch import load_file

    if not path.exists():
        return False
    own = network.state_dict()
    fitting = {k: v for k, v in load_file(path).items() if own[k].shape == v.shape}
    network.load_state_dict(fitting, strict=False)
    return "dense.weight" in fitting


def _value(question: Asked, answer: Any) -> tuple[str, float]:
    """Return what kind of question it was, and how good the answer is in 0..1."""
    truth = [prompt.box for prompt in question.prompts]
    said = [prompt.box for prompt in answer.prompts if prompt.box is not None]
    if not truth:
        return "none", float(answer.outcome is Outcome.NO_TARGET)
    if not said:
        return "one" if len(truth) == 1 else "several", 0.0
    best = boxes.iou(np.array(truth), np.array(said)).max(axis=1)
    return ("one", float(best[0] >= HIT)) if len(truth) == 1 else ("several", float(best.mean()))
