"""A detector that knows where everything is, and a few names."""

from fiducial.errors import InputError
from fiducial.language.phrases.nouns import name_stem, same_noun
from fiducial.prompters.detector import Detection, Reading


class KnowingDetector:
    """Tells things that it was given, by the picture's content.

    Args:
        things: for each digest of a picture its detections, best first.
        names: the vocabulary; None takes any noun.
        synonyms: other words for names, with their similarity.
    """

    def __init__(self, things, names=None, synonyms=None):
        self.things, self.names, self.synonyms = things, names, synonyms or {}
        self.calls = []

    def vocabulary(self):
        return tuple(self.names or ())

    def read(self, noun):
        if noun in self.synonyms:
            name, similarity = self.synonyms[noun]
            return Reading(noun, name, similarity)
        if self.names is None:
            return Reading(noun, " ".join(name_stem(noun)))
        whole = [name for name in self.names if name_stem(name) == name_stem(noun)]
        if whole:
            return Reading(noun, whole[0])
        instead = tuple(name for name in self.names if set(name.split()) & set(name_stem(noun)))
        return Reading(noun, None, 0.3, instead)

    def detect(self, images, names):
        if len(images) != len(names):
            raise InputError("not as many lists of names as pictures")
        self.calls.append([(image.name, tuple(asked)) for image, asked in zip(images, names, strict=True)])
        return [
            [
                Detection(one.box, one.score, name)
                for one in self.things.get(image.digest, ())
                for name in asked
                if one.name == name or (self.names is None and same_noun(name, one.name))
            ]
            for image, asked in zip(images, names, strict=True)
        ]
