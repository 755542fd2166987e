"""Settings of the whole suite."""

import pytest
from hypothesis import HealthCheck, settings

# Examples may take long on a busy machine; no test is about time.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(scope="module")
def one_thread():
    """Let torch compute on one thread: tiny models are slower on several."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
