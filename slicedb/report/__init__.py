"""Reports of a suite's run: text, JSON, Markdown, JUnit XML and one HTML page."""

from __future__ import annotations

from slicedb.report.report import Report, report_of

__all__ = ["Report", "report_of"]
