from fiducial import versions


def test_packages_that_are_missing_are_told(monkeypatch):
    monkeypatch.setattr(versions, "PACKAGES", ("numpy", "no-such-package"))
    found = versions.versions()
    assert found["numpy"]
    assert found["no-such-package"] is None
