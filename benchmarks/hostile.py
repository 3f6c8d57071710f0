"""Ask hostile queries, one after the other in one process, and see whether each keeps its bounds.

    python benchmarks/hostile.py [--timeout 5] [--memory 1GB] [--match recursive]

Printed is each text that took more than its time (and a fifth), each that made the process larger
than its memory allows (and a fifth), and each that raised anything but an error of SliceDB. What
the process took before the first query does not count. Then the database answers a plain query.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "query"))

from fakes_judge import small_store
from hostile import HOSTILE

import slicedb
from slicedb.errors import SliceDBError
from slicedb.query.run.clock import allocated


class Peak(threading.Thread):
    """Notes the most that the process has allocated."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0

    def run(self) -> None:
        while True:
            self.most = max(self.most, allocated())
            time.sleep(0.005)


def main() -> None:
    """Read the options, ask, and print what is over a bound."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds of each query")
    parser.add_argument("--memory", default="1GB", help="memory of each query")
    parser.add_argument("--match", default="", help="only kinds that match this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = small_store(Path(scratch))[0].path
        db = slicedb.open(path, timeout=options.timeout, memory=options.memory)
        plain = db.query("label = 'cat'").ids()
        bound, before = db.engine.session.bounds.memory, allocated()
        peak = Peak()
        peak.start()
        fates: Counter[str] = Counter()
        asked = slowest = largest = 0.0
        for kind, text in ((kind, t) for kind, texts in HOSTILE.items() for t in texts):
            if not re.search(options.match, kind):
                continue
            peak.most, started, worked = 0, time.monotonic(), time.process_time()
            try:
                db.query(text).to_arrow()
                fate = "answered"
            except SliceDBError as error:
                fate = type(error).__name__
            except Exception as error:  # a bare exception is a finding
                fate = f"raised {type(error).__name__}"
            seconds, taken = time.monotonic() - started, (peak.most - before) / bound
            asked, slowest, largest = asked + 1, max(slowest, seconds), max(largest, taken)
            fates[fate] += 1
            over = [f"{seconds:.1f} s"] * (seconds > 1.2 * options.timeout)
            over += [f"{taken:.0%} of its memory"] * (taken > 1.2)
            over += [fate] * fate.startswith("raised")
            if over:
                shown = " ".join(text[:70].split())
                used = time.process_time() - worked
                print(f"{kind}: {', '.join(over)} ({used:.1f} of the processors): {shown}")
        assert db.query("label = 'cat'").ids() == plain
        print(
            f"{asked:.0f} texts; slowest {slowest:.1f} s of {options.timeout:g}; largest "
            f"{largest:.0%} of {options.memory}; the process lives"
        )
        print(", ".join(f"{n} {fate}" for fate, n in fates.most_common()))


if __name__ == "__main__":
    main()
