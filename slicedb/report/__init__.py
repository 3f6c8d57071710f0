"""Reports of a suite's run: text, JSON, Markdown, JUnit XML and one HTML page.

Each writer takes a run (`slicedb.suite.Report`) and returns a string.
"""

from __future__ import annotations

from slicedb.report.machine import to_json, to_junit
from slicedb.report.page import to_html
from slicedb.report.tables import to_html_table, to_markdown, to_text

__all__ = ["to_html", "to_html_table", "to_json", "to_junit", "to_markdown", "to_text"]
