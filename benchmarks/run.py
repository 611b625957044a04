#!/usr/bin/python3
"""Measures Strata's training step beside PyTorch's, in turn, and prints medians and their ratio.

Both programs print one JSON line a round, {"ms": milliseconds}. They run A B A B ..., so that a machine whose speed
drifts slows both; a figure is the median over all rounds of all turns.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def rounds(command, threads):
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "STRATA_NUM_THREADS": str(threads)}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return [json.loads(line)["ms"] for line in output.splitlines() if line.startswith("{")]


def quartiles(values):
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:8.1f} ms  ({low:.1f} to {high:.1f})"


def compare(args, model, batch, threads, channels_last):
    common = ["--model", model, "--batch", str(batch), "--threads", str(threads), "--rounds", str(args.rounds)]
    ours = [str(pathlib.Path(args.build) / "benchmarks" / "step"), *common]
    peer = [args.python, str(HERE / "peers" / "pytorch_step.py"), *common]
    if channels_last:
        peer.append("--channels-last")
    ours_ms, peer_ms = [], []
    for _ in range(args.turns):
        ours_ms += rounds(ours, threads)
        peer_ms += rounds(peer, threads)
    name = "PyTorch, channels-last" if channels_last else "PyTorch"
    ratio = statistics.median(ours_ms) / statistics.median(peer_ms)
    print(f"{model} step, batch {batch}, threads {threads}")
    print(f"  {'Strata':24}{quartiles(ours_ms)}")
    print(f"  {name:24}{quartiles(peer_ms)}    ratio {ratio:.3f}", flush=True)
    return {
        "benchmark": f"{model} training step", "batch": batch, "threads": threads, "peer": name,
        "ours_ms": round(statistics.median(ours_ms), 3), "peer_ms": round(statistics.median(peer_ms), 3),
        "ratio": round(ratio, 4),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/bench", help="where the benchmarks were built")
    parser.add_argument("--python", default="/usr/bin/python3", help="an interpreter that has PyTorch")
    parser.add_argument("--model", nargs="+", default=["vgg"], choices=["vgg", "quick", "resnet"])
    parser.add_argument("--batch", nargs="+", type=int, default=[64])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--turns", type=int, default=3, help="how often the two programs take turns")
    parser.add_argument("--rounds", type=int, default=20, help="training steps counted in a turn")
    parser.add_argument("--json", type=pathlib.Path, help="write the rows to this file")
    args = parser.parse_args()

    rows = [
        compare(args, model, batch, threads, channels_last)
        for model in args.model for batch in args.batch for threads in args.threads for channels_last in (False, True)
    ]
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
