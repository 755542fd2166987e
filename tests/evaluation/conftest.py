from functools import cache

import pytest

from fiducial import provenance

_COMMIT, _VERSIONS = cache(provenance.commit), cache(provenance.versions)


@pytest.fixture(autouse=True)
def ask_git_once(monkeypatch):
    """Neither commit nor versions change while tests run, and asking for them takes longer than a small run."""
    monkeypatch.setattr(provenance, "commit", _COMMIT)
    monkeypatch.setattr(provenance, "versions", _VERSIONS)
