"""How long `import slicedb` and `slicedb --help` take, beside `python -c pass`.

    python benchmarks/startup.py [--runs 15]

The commands run in turn, as whole processes; medians in milliseconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import slicedb": [sys.executable, "-c", "import slicedb"],
    "slicedb --help": [sys.executable, "-c", "from slicedb.cli import main; main(['--help'])"],
    "import numpy": [sys.executable, "-c", "import numpy"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times[name].append(1000 * (time.perf_counter() - start))
    bare = statistics.median(times["python -c pass"])
    print(f"{'command':18}{'median ms':>10}{'over pass':>11}")
    for name, found in times.items():
        middle = statistics.median(found)
        print(f"{name:18}{middle:10.0f}{middle - bare:11.0f}")


if __name__ == "__main__":
    main()
