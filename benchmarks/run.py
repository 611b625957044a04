#!/usr/bin/python3
"""Measures Strata beside its peers and writes docs/benchmarks.json and docs/benchmarks.md.

Parts: step, inference, layers, loading, accuracy, scaling, footprint; all of them, in at most half an hour, unless
some are named. What is not measured again stays in the files. A peer that is not installed, or fails, is left out, and
the page says so.
"""
import argparse
import importlib
import pathlib
import sys
import traceback

import report
import rows
from programs import HERE, Pool, Programs
from session import Session

# Minutes of each part.
PLAN = {"step": 10.5, "inference": 2.5, "layers": 4.5, "loading": 1, "accuracy": 6, "scaling": 3, "footprint": 2.5}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=[*PLAN, []], default=[], metavar="NAME", help=", ".join(PLAN))
    parser.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build" / "bench",
                        help="where the benchmarks were built")
    parser.add_argument("--output", type=pathlib.Path, default=HERE.parent / "docs", help="folder of the results")
    parser.add_argument("--minutes", type=float, default=sum(PLAN.values()),
                        help="what all parts may take; less makes a trial with few rounds")
    parser.add_argument("--report", action="store_true", help="only write the page anew from the figures")
    args = parser.parse_args()

    path = args.output / "benchmarks.json"
    programs = Programs(args.build)
    pool = Pool(programs.build / "logs")
    session = Session(programs, pool, HERE / "layers.json", programs.build)
    status = 0
    try:
        for part in [] if args.report else args.part or PLAN:
            session.begin(60 * PLAN[part] * args.minutes / sum(PLAN.values()))
            status |= measure(part, session, path)
    finally:
        pool.close()
    report.write(rows.load(path), args.output)
    return status


def measure(part, session, path):
    """Puts the part's new rows in place of the old. Of a part that fails, or is stopped, the new rows take the place
    of those of the same measurement, the rest stands, and the status is 1."""
    new, complete = [], False
    try:
        for row in importlib.import_module(f"parts.{part}").measure(session):
            new.append(row)
        complete = True
    except Exception:
        traceback.print_exc()
        session.say(f"{part}: failed; what it had not measured yet stays as it was")
    finally:
        replaced = {rows.key(row) for row in new}
        old = [row for row in rows.load(path)
               if row["part"] != part or not complete and rows.key(row) not in replaced]
        rows.save(path, sorted(old + new, key=lambda row: list(PLAN).index(row["part"])))
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
