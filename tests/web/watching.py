"""What a real browser is watched for: errors, violations of the policy, foreign requests."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; frame-ancestors 'self'"
)
"""The content security policy that every page is served with."""

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_LISTEN = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} forbids ${event.blockedURI} (${event.sample})`);
});
"""


class Watch:
    """What went wrong in the pages of a test, without what the test expects."""

    def __init__(self) -> None:
        self._seen: list[str] = []
        self._expected: list[str] = []

    def expect(self, pattern: str) -> None:
        """Let messages pass that match a regular expression, such as `status of 400`."""
        self._expected.append(pattern)

    def follow(self, context: BrowserContext) -> None:
        """Listen to every page of a context, from its first script."""
        context.add_init_script(_LISTEN)
        context.on(
            "console", lambda m: m.type == "error" and self._see(f"{m.text} [{m.location['url']}]")
        )
        context.on("weberror", lambda error: self._see(f"{error.error}"))
        context.on("request", lambda request: self._check(request.url))

    def _see(self, text: str) -> None:
        self._seen.append(text)

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != "127.0.0.1":
            self._see(f"a request left this machine: {url}")

    @property
    def faults(self) -> list[str]:
        """What was seen and not expected."""
        return [text for text in self._seen if not any(re.search(p, text) for p in self._expected)]


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome on this machine."""
    named = os.environ.get("SLICEDB_CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)
