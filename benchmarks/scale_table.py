"""Derive what larger data sets need from what `large.py` measured: the table of SCALE.md.

    python benchmarks/scale_table.py            # print it
    python benchmarks/scale_table.py --check    # exit status 1 if SCALE.md has another one

Every cell is arithmetic on the constants below. After a run of `large.py`, change those that it
prints and paste the table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

SIZES = {"10 M": 10, "100 M": 100, "1 B": 1000}
"""Millions of samples."""

# --- measured by large.py at 10 M samples, and 2 M vectors ----------------------------------------
METADATA, MODEL, VECTOR = 64, 95, 2_077
"""Bytes of files per sample, per sample and model, per vector of 512 numbers (float32)."""
CACHED_VECTOR, CACHED_COLUMNS = 1_032, 20
"""Bytes in the local cache per vector (float16) and per sample."""
LOAD, LOG, VECTORS = 14.8, 13.4, 77.4
"""Processor seconds: load 10 M rows, log one model for them, log 2 M vectors."""
QUERIES = (0.047, 0.260)
"""Processor seconds of the quickest and the slowest of four warm queries."""
SEARCH = (3.1, 5.0)
"""Processor seconds of a text search in a new process: 200,000 and 2 M vectors."""
QUERY, EVALUATE, COMPARE = 26, 284, 360
"""Bytes of memory per sample: the slope of `own` between 1 M and 10 M."""
OWN = {"query": 417, "evaluate": 3_014, "compare": 3_750}
"""MiB of memory at 10 M samples, mapped files left out."""
FILES = 1_009
"""Objects of the database at 10 M samples."""
PREDICT = 3.9 / 200
"""Core-seconds per photo of 500 x 375 pixels: `predict.py`, MobileNetV2, writing included."""

# --- list prices in dollars, us-east-1; SCALE.md says where they were read ------------------------
CORE_HOUR = 0.0816 / 2
"""An m7g.large has two cores."""
LARGE = {"large": 8, "xlarge": 16, "2xlarge": 32, "4xlarge": 64, "8xlarge": 128, "16xlarge": 256}
"""GiB of the sizes of m7g, which cost in proportion."""
STORED, WRITTEN = 0.023, 0.005 / 1000
"""A GB for a month, and a write."""


def seconds(value: float) -> str:
    """Return a duration in the unit that people would say it in."""
    if value < 120:
        return f"{value:.0f} s" if value >= 10 else f"{value:.2g} s"
    return f"{value / 60:.0f} min" if value < 5_400 else f"{value / 3_600:.0f} h"


def _gigabytes(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def _memory(name: str, slope: float) -> Callable[[int], str]:
    """Return what tells the memory of a verb: measured at 10 M, and the slope beyond."""

    def cell(millions: int) -> str:
        if millions == SIZES["10 M"]:
            return f"{OWN[name] * 2**20 / 1e9:.1f} GB (measured)"
        return f"{slope * millions / 1e3:,.1f} GB"

    return cell


def _machine(millions: int) -> str:
    needed = max(OWN["compare"] / 2**10, COMPARE * millions * 1e6 / 2**30)
    for name, gibibytes in LARGE.items():
        if gibibytes >= needed:
            return f"{name} ({gibibytes} GiB), ${0.0816 * gibibytes / 8:.2f} an hour"
    return f"none: {max(LARGE.values())} GiB is the largest"


def _stored(millions: int) -> float:
    return (METADATA + 2 * MODEL + VECTOR) * millions / 1e3


ROWS: dict[str, Callable[[int], str]] = {
    "metadata and two models, GB": lambda m: _gigabytes((METADATA + 2 * MODEL) * m / 1e3),
    "vectors, GB": lambda m: _gigabytes(VECTOR * m / 1e3),
    "both on S3, a month": lambda m: f"${_stored(m) * STORED:,.2f}",
    "writing the files to S3": lambda m: f"${FILES * m / 10 * WRITTEN:,.3f}",
    "local cache, GB (vectors as float16)": lambda m: _gigabytes(
        (CACHED_VECTOR + CACHED_COLUMNS) * m / 1e3
    ),
    "load and log two models, processor time": lambda m: seconds((LOAD + 2 * LOG) * m / 10),
    "log vectors, processor time": lambda m: seconds(VECTORS * m / 2),
    "warm query, processor time": lambda m: " to ".join(seconds(q * m / 10) for q in QUERIES),
    "text search, first of a process": lambda m: seconds((SEARCH[1] - SEARCH[0]) / 1.8 * m),
    "memory of a query": _memory("query", QUERY),
    "memory to evaluate on 100 slices": _memory("evaluate", EVALUATE),
    "memory to compare on 100 slices": _memory("compare", COMPARE),
    "smallest m7g with that memory": _machine,
    "predict with MobileNetV2, core-hours": lambda m: f"{PREDICT * m * 1e6 / 3600:,.0f}",
    "the same, in money": lambda m: f"${PREDICT * m * 1e6 / 3600 * CORE_HOUR:,.2f}",
}


def table() -> str:
    """Return the table in Markdown."""
    lines = [f"| | {' | '.join(SIZES)} |", "| --- " * (len(SIZES) + 1) + "|"]
    for name, cell in ROWS.items():
        lines.append(f"| {name} | {' | '.join(cell(m) for m in SIZES.values())} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    page = Path(__file__).parent / "SCALE.md"
    if not args.check:
        print(table())
        return 0
    is_same = table() in page.read_text()
    print(f"{page.name}: the table is {'as derived' if is_same else 'another than derived'}")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
