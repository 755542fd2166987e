"""The page in a browser, for the tests that need it."""

import pytest


@pytest.fixture(scope="module")
def page_url():
    """A server of the default recipe."""
    from page_browser import serving

    with serving() as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    """Chromium; the test is skipped where there is none."""
    from page_browser import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture
def seen(browser, page_url):
    """The page, just opened; afterwards nothing may have gone wrong, and nobody else have been asked."""
    from page_browser import Seen

    page = Seen(browser, page_url)
    yield page
    page.settle()
    assert page.errors == []
    assert page.dialogs == []
    assert [one for one in page.asked if not one.startswith((page_url, "blob:", "data:"))] == []
    page.close()
