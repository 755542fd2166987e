"""What is collected, and how quickly."""

import gc
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for garbage neither now nor, later, in what stays to the end: where torch is, each look takes long."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(file_path: Path):
    """Take a module for its docstrings only if there is an example in it, so that nothing is imported in vain."""
    found = yield
    if file_path.suffix != ".py" or b">>>" in file_path.read_bytes():
        return found
    return [each for each in found if type(each) is pytest.Module]
