import numpy as np
import pytest
import torch
from trl.trainer.utils import add_fused_lm_head

from fiducial.prompters.vlm import VLMPrompter
from fiducial.training.grpo_sharing import groups_of, pack, shared_generate
from tiny.vlm import BUILDERS


@pytest.fixture(scope="module")
def prompter(tmp_path_factory):
    torch.set_num_threads(1)
    folder = BUILDERS["llava"](tmp_path_factory.mktemp("llava"))
    found = VLMPrompter.from_pretrained(folder, dialect="sjtu", device="cpu", max_new_tokens=5)
    add_fused_lm_head(found.model, outputs=("log_probs", "entropy"))
    return found


def asked(prompter, *repeats):
    """Return the tensors of questions of different lengths, each so many times, in no order."""
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 255, (56, 56, 3)).astype(np.uint8) for _ in repeats]
    chats = [prompter.chat("", "Where is the ship" + " and the pier" * number + "?") for number in range(len(repeats))]
    rows = random.permutation(np.repeat(np.arange(len(repeats)), repeats))
    return prompter.inputs([pictures[row] for row in rows], [chats[row] for row in rows]), rows


def test_questions_are_the_same_where_words_and_picture_are(prompter):
    inputs, rows = asked(prompter, 3, 1, 2)
    first, numbers = groups_of(inputs["input_ids"], inputs["pixel_values"])
    assert len(first) == 3
    assert all((numbers[a] == numbers[b]) == (rows[a] == rows[b]) for a in range(6) for b in range(6))
    assert [numbers[row] for row in first] == [0, 1, 2]


def test_probabilities_and_gradients_are_those_of_the_rows_one_by_one(prompter):
    inputs, _ = asked(prompter, 3, 1, 2)
    prompts, length = inputs["input_ids"], 4
    answers = torch.randint(5, 200, (len(prompts), length), generator=torch.Generator().manual_seed(1))
    kept = (torch.arange(length) < torch.tensor([4, 1, 2, 4, 3, 0])[:, None]).long()
    ids, mask = torch.cat([prompts, answers], 1), torch.cat([inputs["attention_mask"], kept], 1)
    labels = torch.cat([torch.full_like(prompts, -100), answers.masked_fill(kept == 0, -100)], 1)
    model, pixels = prompter.model, inputs["pixel_values"]
    packed = pack(ids, mask, length, pixels, model.dtype)
    assert packed.inputs["input_ids"].shape[0] == 3
    results = []
    alone = {"input_ids": ids, "attention_mask": mask, "pixel_values": pixels, "labels": labels}
    for given, unpacked in ((alone, lambda values: values[:, -length:]), (packed.inputs, packed.unpacked)):
        model.zero_grad()
        out = model(**given, fused_lm_head=True)
        likely, entropy = unpacked(out.log_probs), unpacked(out.entropy)
        (likely * torch.arange(1, 1 + likely.numel()).view_as(likely)).sum().backward()
        gradients = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
        results.append((likely.detach(), entropy.detach(), gradients))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(results[0][1] * kept, results[1][1] * kept, rtol=1e-4, atol=1e-4)
    assert results[0][0].abs().sum() > 1
    largest = max(float(one.abs().max()) for one in results[0][2])
    for one, other in zip(results[0][2], results[1][2], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * largest)


def test_nothing_is_packed_where_every_question_has_one_answer(prompter):
    inputs, _ = asked(prompter, 1, 1)
    ids = torch.cat([inputs["input_ids"], inputs["input_ids"][:, :2]], 1)
    assert pack(ids, torch.ones_like(ids), 2, inputs["pixel_values"], torch.float32) is None


def test_answers_are_those_of_the_rows_one_by_one(prompter):
    inputs, _ = asked(prompter, 3, 1, 2)
    model, seen = prompter.model, []
    plain = model.generate(**inputs, generation_config=model.generation_config)

    def watched(**given):
        seen.append(given)
        return model.generate(**given)

    shared = shared_generate(model, watched)(**inputs, generation_config=model.generation_config)
    assert shared.tolist() == plain.tolist()
    assert "pixel_values" not in seen[0]
    assert seen[0]["past_key_values"].get_seq_length() > 10
    single = {key: value[:1] for key, value in inputs.items()}
    shared_generate(model, watched)(**single, generation_config=model.generation_config)
    assert "pixel_values" in seen[1]  # nothing to share
