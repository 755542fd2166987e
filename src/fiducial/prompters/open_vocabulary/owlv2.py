"""OWLv2 as a detector (Minderer et al. 2023, arXiv 2306.09683): one query text per name, one box per image patch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from fiducial.errors import InputError
from fiducial.geometry import Frame
from fiducial.images import Image
from fiducial.prompters.detector.reading import Detection
from fiducial.prompters.model_configs import Owlv2Config
from fiducial.prompters.open_vocabulary.base import Loaded, OpenVocabularyDetector, pixel_boxes, select, unit_of

_TEXTS_AT_ONCE = 64


class Owlv2Detector(OpenVocabularyDetector[Owlv2Config]):
    """Finds whatever noun phrases name, with OWLv2.

    Each name is a query text of its own, so names cannot mix. The texts are encoded once for all pictures, the
    pictures once for all texts. Every patch of the picture proposes one box, so that a large thing is found by
    several patches: detections of one name that overlap are suppressed.

    The model sees the picture padded at the right and bottom to a square, and its boxes are fractions of that square.
    """

    model_type, described = "owlv2", Owlv2Config

    def __init__(self, loaded: Loaded, config: Owlv2Config) -> None:
        super().__init__(loaded, config)
        self.limit = int(loaded.model.config.text_config.max_position_embeddings)
        self.canvas = int(loaded.images.size["height"])

    def _can_read(self, name: str) -> bool:
        return _says_something(name) and len(self._tokens(name)) <= self.limit

    def _detect(self, images: Sequence[Image], names: Sequence[Sequence[str]]) -> list[list[Detection]]:
        queries = self._queries(dict.fromkeys(name for asked in names for name in asked))
        found: list[list[Detection]] = [[] for _ in images]
        places = [place for place, asked in enumerate(names) if asked]
        for start in range(0, len(places), self.batch_size):
            batch = places[start : start + self.batch_size]
            shown = [_shrunk(images[place], self.canvas) for place in batch]
            features = self._features([pixels for pixels, _ in shown], [images[place].name for place in batch])
            for place, own, (_, frame) in zip(batch, features, shown, strict=True):
                asked = tuple(dict.fromkeys(names[place]))
                found[place] = self._find(images[place], frame, own, {name: queries[name] for name in asked})
        return found

    def _tokens(self, name: str) -> list[int]:
        ids: list[int] = self.loaded.tokenizer(self.config.template.replace("{}", name))["input_ids"]
        return ids

    def _queries(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Encode each name's query text: (D,) float32 on the model's device."""
        texts = {name: self._tokens(name) for name in names}
        for name, tokens in texts.items():
            if not _says_something(name):
                raise InputError(f"the name {name!r} has nothing to look for: it needs a letter or a digit")
            if len(tokens) > self.limit:
                raise InputError(
                    f"the name {name!r} makes a text of {len(tokens)} tokens, but {self.loaded.source} reads "
                    f"{self.limit}: say it in fewer words"
                )
        rows = list(texts.items())
        queries: dict[str, Tensor] = {}
        for start in range(0, len(rows), _TEXTS_AT_ONCE):
            some = rows[start : start + _TEXTS_AT_ONCE]
            queries.update(zip([name for name, _ in some], self._encode([tokens for _, tokens in some]), strict=True))
        return queries

    def _encode(self, texts: list[list[int]]) -> Tensor:
        ids, mask = self.loaded.padded(texts)
        with self.loaded.running(f"{len(texts)} query texts"):
            encoded = self.loaded.model.owlv2.get_text_features(input_ids=ids, attention_mask=mask)
            features: Tensor = encoded.pooler_output.float()
        return features

    def _features(self, pictures: Sequence[NDArray[np.uint8]], names: Sequence[str]) -> Tensor:
        """Run the vision tower: (B, rows, columns, D) float32 on the model's device."""
        inputs = self.loaded.images(list(pictures), input_data_format="channels_last", return_tensors="pt")
        with self.loaded.running(" and ".join(dict.fromkeys(names))):
            features, _ = self.loaded.model.image_embedder(
                pixel_values=inputs["pixel_values"].to(self.loaded.device, torch.float32)
            )
            return features.float()  # type: ignore[no-any-return]

    def _find(self, image: Image, frame: Frame, features: Tensor, queries: dict[str, Tensor]) -> list[Detection]:
        scores, centred = self._heads(image, features, torch.stack(list(queries.values())))
        corners, what = pixel_boxes(centred, frame, image), f"{self.loaded.source}, {image.name}"
        config = self.config
        return select(scores, corners, tuple(queries), threshold=config.threshold, suppress=config.suppress, what=what)

    def _heads(
        self, image: Image, features: Tensor, queries: Tensor
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return (patches, names) scores in 0..1 and (patches, 4) cxcywh in units of the square."""
        model = self.loaded.model
        patches = features.flatten(0, 1)[None]
        # In float32 whatever the towers computed in: 16 bits would round boxes to several pixels.
        with self.loaded.running(image.name), torch.autocast(self.loaded.device.type, enabled=False):
            logits, _ = model.class_predictor(patches, queries[None])
            centred = model.box_predictor(patches, features[None])
            scores = logits[0].double().sigmoid().cpu().numpy()
            return scores, centred[0].cpu().numpy()


def _shrunk(image: Image, canvas: int) -> tuple[NDArray[np.uint8], Frame]:
    """Return what the image processor is given, and the frame of the model's boxes.

    The image processor pads and filters in 64 bits at full size, some 10 GB for a picture of 10,000 x 10,000 pixels.
    Pictures of four canvases or more are therefore first averaged over whole blocks of pixels, down to two to three.
    """
    step = max(1, max(image.width, image.height) // (2 * canvas))
    pixels = image.pixels if step == 1 else np.asarray(PIL.Image.fromarray(image.pixels).reduce(step))
    # The blocks at the edges reach beyond the image, so the square is that of the blocks.
    side = step * max(pixels.shape[:2])
    return pixels, unit_of(image, side, side)


def _says_something(name: str) -> bool:
    return any(sign.isalnum() for sign in name)
