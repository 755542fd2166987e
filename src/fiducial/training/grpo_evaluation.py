"""How good a prompter is on held-out samples: the likeliest answers, cut by the frozen segmenter, against the masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fiducial.contracts import Prompter
from fiducial.errors import ModelError
from fiducial.geometry import Mask
from fiducial.language import Answer, Outcome
from fiducial.metrics import SampleScore, Totals, bootstrap, policy, score_sample
from fiducial.rewards.service import MaskSource
from fiducial.training.grpo_data import Question
from fiducial.training.sft_data import grounding_accuracy

_RULES = policy("fiducial")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of held-out samples by the policy ``fiducial``, and their grounding accuracy, by source."""

    scores: Mapping[str, Sequence[SampleScore]]
    accuracies: Mapping[str, Sequence[float]]
    pictures: Mapping[str, Sequence[str]]

    def report(self, seed: int) -> dict[str, Any]:
        """Return what is logged: mean mask IoU with its 95 % bootstrap interval by picture, and what goes with it.

        ``accuracy`` is box Acc@0.5 as :func:`fiducial.training.sft_data.grounding_accuracy` counts it; each source has
        its mean IoU under its title.
        """
        every = [score for scores in self.scores.values() for score in scores]
        groups = [picture for pictures in self.pictures.values() for picture in pictures]
        accuracies = [one for some in self.accuracies.values() for one in some]
        totals = Totals(_RULES).extend(every)
        found = totals.report()
        each = {title: Totals(_RULES).extend(scores).report()["mean_iou"] for title, scores in self.scores.items()}
        return {
            **(each if len(each) > 1 else {}),
            "mean_iou": found["mean_iou"],
            "interval": [*bootstrap(every, _RULES, "mean_iou", seed, groups=groups)],
            "cum_iou": found["cum_iou"],
            "accuracy": sum(accuracies) / len(accuracies),
            "no_target_accuracy": found["n_acc"],
            "outcomes": totals.outcomes,
        }


def evaluate(prompter: Prompter, service: MaskSource, held_out: Mapping[str, Sequence[Question]]) -> Evaluation:
    """Ask every held-out question once, and cut what was answered."""
    scores: dict[str, list[SampleScore]] = {}
    accuracies, pictures = {}, {}
    for title, questions in held_out.items():
        examples = [question.example for question in questions]
        answers = prompter.ask([one.image for one in examples], [one.instruction for one in examples])
        pairs = [*zip(questions, answers, strict=True)]
        accuracies[title] = [grounding_accuracy(answer, question.example.prompts) for question, answer in pairs]
        pictures[title] = [question.image.digest for question in questions]
        scores[title] = [_score(service, question, answer.to(question.image.frame)) for question, answer in pairs]
    return Evaluation(scores, accuracies, pictures)


def _score(service: MaskSource, question: Question, answer: Answer) -> SampleScore:
    (cut,) = service.cut(question.image, [answer.prompts.fitted()[0]])
    outcome = answer.outcome
    if isinstance(cut, ModelError):
        outcome, cut = Outcome.FAILED, ()
    truth = Mask.empty(question.image.height, question.image.width).union(*question.truth)
    predicted = cut[0].union(*cut[1:]) if cut else None
    return score_sample(_RULES, truth, predicted, outcome)
