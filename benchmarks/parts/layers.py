"""Every layer alone, forward and backward, beside PyTorch's; what the machine can do at best stands beside it."""
import dataclasses
import json
import os
import pathlib
import subprocess
import time

from programs import HERE
from rows import missing_row, row, significant
from statistics import median
from worker import PeerError

THREADS = 2
ROUNDS = 6
SLOW_ROUND = 400  # seconds; the first one under load


def measure(session):
    entries = json.loads(session.layers_file.read_text())
    cases = sum(len(entry["cases"]) for entry in entries)
    peer = session.programs.any_pytorch("NCHW")
    each = session.left() / ROUNDS / cases / 4  # two programs; half of it goes into making the layers and warming up
    ours, theirs = {}, {}
    worker = None if peer.missing else session.pool.worker(layers_program(session, peer))
    for round_ in range(ROUNDS):
        start = time.monotonic()
        session.say(f"layers: round {round_ + 1} of {ROUNDS}")
        for name, ms in strata_round(session, each).items():
            ours.setdefault(name, []).append(ms)
        if worker:
            for name, ms in worker.ask({"seconds": each}, SLOW_ROUND).items():
                theirs.setdefault(name, []).append(ms)
        if round_ >= 1 and session.left() < time.monotonic() - start:
            break
    flops = 2 * max((size / median(ms) for name, ms in ours.items() for size in [gemm_size(name)] if size), default=0)
    for entry in entries:
        for index, case in enumerate(entry["cases"]):
            for direction in ("forward", "backward"):
                yield layer_row(entry, index, case, direction, ours, theirs, peer, flops)


def gemm_size(name):
    """Multiply-adds of one "gemm/n", all threads together; 0 for other names."""
    kind, _, n = name.partition("/")
    return int(n) ** 3 * THREADS if kind == "gemm" else 0


def layer_row(entry, index, case, direction, ours, theirs, peer, flops):
    key = f"{entry['name']}/{index}/{direction}"
    fields = {"batch": case["input"][0], "threads": THREADS, "layer": entry["name"], "direction": direction,
              "shape": case["input"], "out": case.get("out")}
    benchmark = f"{entry['name']} {direction}, {describe(case)}"
    if key not in ours or key not in theirs:
        return missing_row("layers", benchmark, peer, peer.missing or "failed", **fields)
    mine = median(ours[key])
    elements = 1
    for extent in case["input"]:
        elements *= extent
    if entry.get("floor"):
        passes = ours[f"floor/{elements}/{direction}"]
        fields |= {"floor_ms": significant(median(passes)), "floor_ratio": significant(mine / median(passes))}
    if entry["layer"].startswith("Conv") and flops:
        work = 2 * multiply_adds(entry, case) * (1 if direction == "forward" else 2)
        fields |= {"gflops": significant(work / mine / 1e6), "peak_share": significant(work / mine / flops)}
    return row("layers", benchmark, peer, ours[key], theirs[key], **fields)


def describe(case):
    text = "x".join(map(str, case["input"]))
    if "out" in case:
        text += f" to {case['out']}"
    return text + (f", {case['groups']} groups" if "groups" in case else "")


def multiply_adds(entry, case):
    """Of a forward pass, counted from the definition."""
    batch, channels, height, width = case["input"]
    kernel, stride = entry["kernel"], entry.get("stride", 1)
    groups = channels if entry.get("groups") == "depthwise" else entry.get("groups", 1)
    taps = kernel * kernel * channels // groups * case["out"]
    if entry["layer"] == "ConvTranspose2D":
        return batch * height * width * taps
    reach = 2 * entry.get("padding", 0) - entry.get("dilation", 1) * (kernel - 1) - 1
    return batch * ((height + reach) // stride + 1) * ((width + reach) // stride + 1) * taps


def strata_round(session, seconds):
    command = [session.programs.built("layers"), session.layers_file, f"{seconds:.4f}", "--benchmark_format=json"]
    # Every round is a new process: OpenBLAS's own threads would spin through the first cases, as README.md says.
    environment = os.environ | {"STRATA_NUM_THREADS": str(THREADS), "OPENBLAS_NUM_THREADS": "1"}
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    if result.returncode:
        raise PeerError(f"{command[0]}: exit status {result.returncode}: {result.stderr.strip()}")
    times = {}
    for entry in json.loads(result.stdout)["benchmarks"]:
        name = entry["name"].partition("/min_time:")[0]
        times |= {f"{name}/{direction}": entry[f"{direction}_ms"] for direction in ("forward", "backward")
                  if f"{direction}_ms" in entry}
        if "ms" in entry:
            times[name] = entry["ms"]
    return times


def layers_program(session, peer):
    """The peer's program that times layers."""
    script = pathlib.Path(HERE) / "peers" / "pytorch_layers.py"
    command = (peer.command[0], str(script), str(session.layers_file), "--threads", str(THREADS))
    return dataclasses.replace(peer, name=f"{peer.name}, layers", command=command)
