"""Settings of the whole suite."""

import os

import pytest
from hypothesis import HealthCheck, settings

# Examples may take long on a busy machine; no test is about time. Each run draws other ones. With twenty, the tests see
# the faults that mutants.py draws; whoever searches takes --hypothesis-profile=thorough.
for name, examples in (("suite", 40), ("thorough", 500)):
    settings.register_profile(name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def _no_disk_is_waited_for():
    """Nothing here pulls the plug, and what was written survives the death of a process without fsync."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module")
def one_thread():
    """Let torch compute on one thread: tiny models are slower on several."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
