"""One self-contained HTML page."""

from __future__ import annotations

import html
from typing import Any

from slicedb.report.tables import headline, to_html_table


def to_html(run: Any) -> str:
    """Return one page that opens offline."""
    title = html.escape(headline(run))
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{title}</title>"
        f"<body>{to_html_table(run)}</body></html>\n"
    )
