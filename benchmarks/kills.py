"""Kill every verb with SIGKILL at random moments, run it again, and compare with a clean run.

Prints one line per verb: its kills, how many of them struck while it ran, and every fault: a
database that does not open, a finding of the doctor, a result that differs from a clean run.

    python benchmarks/kills.py --kills 40
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fakes_kill import Kills
from fakes_verbs import VERBS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--verbs", nargs="*", default=list(VERBS), choices=list(VERBS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, faults = np.random.default_rng(args.seed), 0
    with tempfile.TemporaryDirectory() as scratch:
        kills = Kills(Path(scratch))
        for name in args.verbs:
            deaths = [kills.kill(name, share) for share in rng.random(args.kills)]
            struck = sum(death.struck for death in deaths)
            print(f"{name:24} {args.kills} kills, {struck} while it ran", flush=True)
            for death in deaths:
                faults += bool(death.fault)
                if death.fault:
                    print(f"  after {death.seconds:.3f} s: {death.fault}", flush=True)
    print(f"{len(args.verbs)} verbs x {args.kills} kills, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
