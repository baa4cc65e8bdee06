"""A real browser: the system's Chromium, driven by Playwright, with nothing to download."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDE = {"width": 1280, "height": 900}


@dataclass
class Heard:
    """What a page said and asked for while it was open."""

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")  # its event loop would stay in the way of later tests
def browser():
    """A headless Chromium; a missing one is skipped on a desk, but fails where CI is set."""
    if not CHROMIUM.exists() and not os.environ.get("CI"):
        pytest.skip(f"no browser at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A new page, 1280 pixels wide; `page.heard` has its complaints and its requests."""
    opened = browser.new_page(viewport=WIDE)
    opened.set_default_timeout(30_000)
    opened.heard = listened(opened)
    yield opened
    opened.close()


def listened(page) -> Heard:
    """What ``page`` says from now on: console warnings and errors, exceptions, requests."""
    heard = Heard()

    def complain(message):
        if message.type in ("warning", "error"):
            heard.complaints.append(message.text)

    page.on("console", complain)
    page.on("pageerror", lambda error: heard.complaints.append(str(error)))
    page.on("request", lambda request: heard.requests.append(request.url))
    return heard
