"""Processor seconds of short commands of the shell: a count, a text query, the first `matches`.

    python benchmarks/shell.py --dir SCRATCH [--runs 5]

250 rendered scenes, embedded by the bundled encoder; whole processes, medians. "first" is with an
empty cache folder, as in the first process after `slicedb embed` on another machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

COMMANDS = {
    "--count": ["label <> 'Soup'", "--count"],
    "--ids": ["label <> 'Soup'", "--ids"],
    "text query, a new text": ["ORDER BY similarity('a plate number {}') DESC LIMIT 5", "--ids"],
    "text query, asked before": ["ORDER BY similarity('a cat') DESC LIMIT 5", "--ids"],
    "matches, a new text": ["matches('a bowl number {}')", "--ids"],
}


def seconds(database: Path, arguments: list[str]) -> float:
    """Return the processor seconds of a command."""
    code = "import sys; from slicedb.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "--db", str(database), *arguments]
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    spent = after.children_user + after.children_system
    return spent - before.children_user - before.children_system


def main() -> None:
    """Build what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    database = options.dir / "data.slicedb"
    if not database.exists():
        import slicedb
        from slicedb.demo.scenes import write

        options.dir.mkdir(parents=True, exist_ok=True)
        table = write(options.dir / "pictures", 250, 0)
        db = slicedb.open(database)
        db.ingest(table)
        db.embed()
    print(f"{'processor seconds':28}{'warm':>8}{'first':>8}")
    for name, arguments in COMMANDS.items():
        warm = []
        for run in range(options.runs + 1):
            warm.append(seconds(database, [part.format(run) for part in arguments]))
        shutil.rmtree(database / ".cache")
        first = seconds(database, [part.format("x") for part in arguments])
        seconds(database, [part.format("x") for part in arguments])
        print(f"{name:28}{statistics.median(warm[1:]):8.2f}{first:8.2f}", flush=True)


if __name__ == "__main__":
    main()
