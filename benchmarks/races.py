"""Let four processes start mixed pairs of verbs at the same moment, round after round.

Prints, for each pair, how many acts were acknowledged and refused, and every fault: an
acknowledged write that is not there, a finding of the doctor, an error that speaks of internals.

    python benchmarks/races.py --rounds 20
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fakes_race import ACTS, four, wrong
from fakes_verbs import sources, world


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--acts", nargs="*", default=list(ACTS), choices=list(ACTS))
    parser.add_argument("--seconds", type=float, default=0, help="stop after this long; 0: never")
    args = parser.parse_args()
    started, faults, refused = time.monotonic(), 0, Counter[str]()
    n_pairs = n_acts = 0
    with tempfile.TemporaryDirectory() as scratch, four() as processes:
        root = Path(scratch)
        first = world(root / "first", sources(root / "given"))
        for pair in itertools.combinations_with_replacement(args.acts, 2):
            if args.seconds and time.monotonic() - started > args.seconds:
                break
            path = root / "-".join(pair).replace(" ", "_")
            shutil.copytree(first.path, path)
            for at in range(args.rounds):
                said = processes.act(path, pair, at)
                n_acts += len(said)
                refused.update(s.message for s in said if not s.done)
                for fault in wrong(path, pair, at, said):
                    faults += 1
                    print(f"{' + '.join(pair)}, round {at}: {fault}", flush=True)
            shutil.rmtree(path)
            n_pairs += 1
    print(f"{n_pairs} pairs x {args.rounds} rounds, {n_acts:,} acts, {refused.total():,} refused")
    for message, n in refused.most_common(8):
        print(f"  {n:5,} x {message[:140]}")
    print(f"{faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
