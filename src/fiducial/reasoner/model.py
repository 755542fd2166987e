"""The joint model of CG-Reasoner: a picture and a question in, a mask and the words of an answer out.

The language model's last states do three things. They write the answer. Projected and averaged they are the vector that
scales and shifts the picture's features (:mod:`fiducial.reasoner.decoder`). And a projector takes their mean into the
space of sentence embeddings, where the frozen head of Text2Centroid reads a place off it: what is lost there against
the true centroid teaches the language model where things lie. The paper draws that gradient and does not say how it
passes from written words; the released training has no such term. A projector of states is what lets it pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from fiducial.checkpoints import check_finite
from fiducial.config import as_plain, read
from fiducial.errors import InputError
from fiducial.files import json_text, read_json, write_atomically
from fiducial.images import Image
from fiducial.prompters.vlm.prompter import IGNORED
from fiducial.reasoner.decoder import MaskDecoder, PromptProjection, masked_mean
from fiducial.reasoner.encoder import Encoder
from fiducial.reasoner.model_configs import ReasonerNetworkConfig
from fiducial.reasoner.sentences import DIMENSIONS
from fiducial.reasoner.sight import Sight, coordinates_of
from fiducial.reasoner.text2centroid import CentroidHead

MAX_HIDDEN, MAX_LAYERS = 8192, 8
"""Width and depth of the largest head that is read."""
SETTINGS, WEIGHTS, LANGUAGE = "reasoner.json", "reasoner.safetensors", "language"
"""What the folder of a joint model holds: its make-up; all weights but the language model's; a folder with that one."""
FORMAT = "cg-reasoner 1"
_LANGUAGE = "language."


@dataclass(frozen=True, slots=True, eq=False)
class Reasoned:
    """What the model makes of B pictures and questions.

    Args:
        logits: (B, G, G) of the mask, on the grid of :attr:`ReasonerNetworkConfig.grid` cells over the whole picture.
        presence: (B,) logits of a target being there at all.
        sentences: (B, 384) unit vectors, the words' states in the space of sentence embeddings.
        points: (B, 2) x, y in the centred frame ([-1, 1], y up) that the frozen head reads off them.
        kinds: (B, K) logits of the kind of picture; None where there is no such head.
        coordinates: (B, 8) of the masks, which joined the words' states; None where they do not.
        answer_loss: cross-entropy of the answers' tokens, their mean; None where no labels were given.
    """

    logits: Tensor
    presence: Tensor
    sentences: Tensor
    points: Tensor
    kinds: Tensor | None = None
    coordinates: Tensor | None = None
    answer_loss: Tensor | None = None


class CGReasoner(nn.Module):
    """The joint model around any vision-language model of :mod:`fiducial.prompters.vlm`.

    Of the language model ``state_dict`` holds what was to be trained when this was made, adapters or all weights, so
    that a checkpoint of a run with adapters is small; the rest is what the base brings.

    Args:
        language: a model of transformers, perhaps with adapters of peft; what needs no gradient is not trained.
        config: make-up of all the rest.
        head: the head of Text2Centroid; it is frozen here.
        pretrained: whether the encoder loads the published weights that it names.
    """

    def __init__(
        self, language: Any, config: ReasonerNetworkConfig, head: CentroidHead, *, pretrained: bool = True
    ) -> None:
        super().__init__()
        width, channels = int(language.config.get_text_config().hidden_size), config.encoder.channels
        self.config = config
        self.language: Any = language
        self._trained = frozenset(name for name, weight in language.named_parameters() if weight.requires_grad)
        self.projection = PromptProjection(width, config.hidden_size, channels)
        self.encoder = Encoder(config.encoder, channels, pretrained=pretrained)
        self.decoder = MaskDecoder(channels, config.encoder.norm, config.expansion)
        self.space = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, DIMENSIONS)
        )
        self.head = head.requires_grad_(False).eval()
        self.kinds = nn.Linear(channels, len(config.kinds)) if config.kinds else None
        self.sight = Sight(width) if config.words_see_mask else None

    def forward(
        self, inputs: Mapping[str, Tensor], labels: Tensor, pixels: Tensor, truth: Tensor | None = None
    ) -> Reasoned:
        """Read questions, perhaps with their answers, and mark what they are about.

        Args:
            inputs: tensors of :meth:`fiducial.prompters.vlm.VLMPrompter.answered`, on the model's device.
            labels: (B, T) int64, the ids of the answers' tokens, -100 elsewhere; all -100 where there are no answers.
            pixels: (B, 3, S, S) float32 RGB in 0..1, S that of the configuration.
            truth: (B, G, G) in 0..1, the true masks, of which words that see the mask are told in training; default:
                of those that are found.
        """
        states = self.states(inputs)
        counts = self.counted(inputs, labels)
        prompt = self.projection(states.float(), counts)
        features = self.encoder(pixels, prompt)
        logits, presence = self.decoder(features, prompt)
        coordinates = None
        if self.sight is not None:
            if truth is None:
                there = (presence.detach() > 0)[:, None, None]
                truth = torch.sigmoid(logits.detach().float()) * there
            coordinates = coordinates_of(truth)
            states = self.sight(states, coordinates)
        sentences = self._sentences(states, counts)
        return Reasoned(
            logits,
            presence,
            sentences,
            self.head(sentences),
            None if self.kinds is None else self.kinds(features.mean((-2, -1))),
            coordinates,
            self._answer_loss(states, labels) if bool((labels != IGNORED).any()) else None,
        )

    def said(self, inputs: Mapping[str, Tensor], labels: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """Read questions with their answers, told of masks (B, G, G) in 0..1; nothing is looked for in the pictures.

        The language model's layers get no gradient; see :meth:`forward` for the rest.

        Returns:
            The cross-entropy of the answers' tokens, and the points (B, 2) that the head reads off the states.
        """
        assert self.sight is not None
        with torch.no_grad():
            states = self.states(inputs)
        states = self.sight(states, coordinates_of(truth))
        return self._answer_loss(states, labels), self.head(self._sentences(states, self.counted(inputs, labels)))

    def _sentences(self, states: Tensor, counts: Tensor) -> Tensor:
        return functional.normalize(self.space(masked_mean(states.float(), counts)), dim=-1)

    @contextmanager
    def telling(self, coordinates: Tensor) -> Iterator[None]:
        """Let coordinates (B, 8) of masks join the last states, whatever the language model reads or writes."""
        sight = self.sight
        assert sight is not None

        def join(_: nn.Module, given: tuple[Any, ...], made: Any) -> Any:
            made.last_hidden_state = sight(made.last_hidden_state, coordinates)
            return made

        hook = self.base.model.language_model.register_forward_hook(join)
        try:
            yield
        finally:
            hook.remove()

    @property
    def base(self) -> Any:
        """The language model without what peft puts around it; its adapters are in its layers."""
        return self.language.get_base_model() if hasattr(self.language, "peft_config") else self.language

    def states(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return the last states (B, T, D) of the language model's tokens, picture and all."""
        states: Tensor = self.base.model(**inputs, use_cache=False).last_hidden_state
        return states

    def counted(self, inputs: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """Say which tokens (B, T) prompt the decoder; see :attr:`ReasonerNetworkConfig.states`."""
        there = inputs["attention_mask"].bool()
        if self.config.states == "answer":
            return there
        there = there & (labels == IGNORED)
        if self.config.states == "prompt":
            return there
        of_picture: Tensor = inputs["input_ids"] == int(self.base.config.image_token_id)
        return there & (of_picture.flip(1).cumsum(1).flip(1) == 0)  # behind the picture's last token

    def _answer_loss(self, states: Tensor, labels: Tensor) -> Tensor:
        """Compute the cross-entropy of the answers' tokens alone, each said by the state before it."""
        learned = labels[:, 1:] != IGNORED
        logits = self.base.get_output_embeddings()(states[:, :-1][learned])
        loss: Tensor = functional.cross_entropy(logits.float(), labels[:, 1:][learned])
        return loss

    def train(self, mode: bool = True) -> CGReasoner:
        """Set the mode of all but the frozen head, which stays in evaluation mode."""
        super().train(mode)
        self.head.eval()
        return self

    def state_dict(self, *args: Any, **options: Any) -> Any:
        """Return the weights without those of the language model that are not trained."""
        whole = super().state_dict(*args, **options)
        return type(whole)((name, value) for name, value in whole.items() if self._keeps(name))

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load what :meth:`state_dict` returned; a RuntimeError says what is missing or unknown."""
        found = super().load_state_dict(state, strict=False, assign=assign)
        missing = [name for name in found.missing_keys if self._keeps(name)]
        if strict and (missing or found.unexpected_keys):
            raise RuntimeError(f"missing: {missing[:3]}, unknown: {found.unexpected_keys[:3]}")
        return found

    def _keeps(self, name: str) -> bool:
        return not name.startswith(_LANGUAGE) or name.removeprefix(_LANGUAGE) in self._trained


# -- pictures -------------------------------------------------------------------------------------


def encoder_pixels(image: Image, size: int) -> NDArray[np.uint8]:
    """Stretch a picture to the square (S, S, 3) uint8 that the encoder sees, as published; its aspect is not kept."""
    return image.stretched((size, size)).pixels


def as_batch(pictures: list[NDArray[np.uint8]], device: torch.device) -> Tensor:
    """Return (B, 3, S, S) float32 in 0..1 of B pictures (S, S, 3) uint8."""
    stacked = torch.from_numpy(np.stack(pictures)).to(device)
    return stacked.permute(0, 3, 1, 2).float() / 255


def to_image_size(logits: Tensor, height: int, width: int) -> Tensor:
    """Enlarge or shrink logits (G, G) over a whole picture to its size (height, width), bilinearly."""
    one = functional.interpolate(logits[None, None].float(), size=(height, width), mode="bilinear", align_corners=False)
    return one[0, 0]


# -- folders --------------------------------------------------------------------------------------


def save_reasoner(network: CGReasoner, folder: Path, notes: Mapping[str, Any]) -> None:
    """Write make-up and weights of all but the language model into a folder; floats keep their precision.

    Args:
        network: the model.
        folder: one that exists.
        notes: further JSON values to keep, such as held-out scores.
    """
    own = {
        name: value.detach().cpu().contiguous()
        for name, value in network.state_dict().items()
        if not name.startswith(_LANGUAGE)
    }
    settings = {
        "format": FORMAT,
        "network": as_plain(network.config),
        "head_hidden_size": network.head.hidden_size,
        "head_layers": network.head.layers,
        **notes,
    }
    write_atomically(folder / WEIGHTS, save(own))
    write_atomically(folder / SETTINGS, json_text(settings))


def load_reasoner(folder: Path, language: Any) -> tuple[CGReasoner, dict[str, Any]]:
    """Read what :func:`save_reasoner` wrote, around its language model, and the notes.

    Raises:
        InputError: no such folder, or one that does not hold a joint model of this format.
    """
    settings = check_folder(folder)
    where = str(folder / SETTINGS)
    network = read(ReasonerNetworkConfig, settings.pop("network"), where)
    hidden, layers = settings.pop("head_hidden_size"), settings.pop("head_layers", 1)
    for name, value, most in (("head_hidden_size", hidden, MAX_HIDDEN), ("head_layers", layers, MAX_LAYERS)):
        if type(value) is not int or not 0 < value <= most:
            raise InputError(f"{where}: {name} needs a whole number in 1..{most}, got {value!r}")
    head = CentroidHead(hidden, layers=layers)
    made = CGReasoner(language.requires_grad_(False), network, head, pretrained=False)
    load_weights(made, folder)
    return made.eval(), settings


def load_weights(network: CGReasoner, folder: Path, new: tuple[str, ...] = ()) -> None:
    """Take all weights but the language model's from a folder; those that begin with one of ``new`` may be missing.

    Raises:
        InputError: the folder holds other weights.
    """
    own = {name: value for name, value in network.state_dict().items() if not name.startswith(_LANGUAGE)}
    try:
        tensors = load_file(folder / WEIGHTS)
        check_finite(tensors)
        missing = [name for name in own if name not in tensors and not name.startswith(new)]
        if missing:
            raise RuntimeError(f"missing: {missing[:3]}")
        network.load_state_dict({**network.state_dict(), **tensors})
    except (OSError, SafetensorError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{folder / WEIGHTS}: holds no weights of this joint model ({error})") from None


def check_folder(folder: Path) -> dict[str, Any]:
    """Return what the settings of a joint model's folder say.

    Raises:
        InputError: it is no such folder.
    """
    missing = [name for name in (SETTINGS, WEIGHTS, LANGUAGE) if not (folder / name).exists()]
    if missing:
        raise InputError(
            f"{folder}: is no folder of a joint model, as it lacks {', '.join(missing)}: "
            "give RUN/model of a run of `fiducial train cg-reasoner`"
        )
    settings: dict[str, Any] = read_json(folder / SETTINGS, kind=dict)
    if settings.get("format") != FORMAT or not {"network", "head_hidden_size"} <= settings.keys():
        raise InputError(f"{folder / SETTINGS}: is of format {settings.get('format')!r}, this version reads {FORMAT!r}")
    return settings
