"""Rows of docs/benchmarks.json: what was measured, how long it took us and a peer, and the ratio of the two."""
import datetime
import json
import os
import pathlib

import numpy


def spread(values):
    """First quartile, median, third quartile."""
    return [significant(quartile) for quartile in numpy.percentile(values, [25, 50, 75])]


def significant(value):
    return float(f"{value:.4g}")


def row(part, benchmark, peer, ours, theirs, *, batch=None, threads=2, unit="ms", **extra):
    """`ours` and `theirs` are lists of samples; the figures are their medians. `peer` is a Program."""
    low, ours_median, high = spread(ours)
    peer_low, peer_median, peer_high = spread(theirs)
    is_time = unit == "ms"
    return {
        "part": part, "benchmark": benchmark, "batch": batch, "threads": threads, "peer": peer.name,
        "ours_ms": ours_median if is_time else None, "peer_ms": peer_median if is_time else None,
        "ratio": significant(numpy.median(ours) / numpy.median(theirs)),
        "unit": unit, "ours": ours_median, "theirs": peer_median,
        "ours_quartiles": [low, high], "peer_quartiles": [peer_low, peer_high], "samples": [len(ours), len(theirs)],
        "library": peer.library, "version": peer.version, **extra, **provenance(),
    }


def missing_row(part, benchmark, peer, reason, *, batch=None, threads=2, **extra):
    """Stands where a peer could not be measured."""
    return {
        "part": part, "benchmark": benchmark, "batch": batch, "threads": threads, "peer": peer.name, "ours_ms": None,
        "peer_ms": None, "ratio": None, "missing": reason, "library": peer.library, "version": peer.version, **extra,
        **provenance(),
    }


def comparison_rows(part, benchmark, ours, times, failed, **fields):
    """A row for every program that took turns with `ours`."""
    if ours not in times:
        return [missing_row(part, benchmark, ours, failed.get(ours, "failed"), **fields)]
    return [row(part, benchmark, peer, times[ours], values, **fields)
            for peer, values in times.items() if peer != ours] + \
        [missing_row(part, benchmark, peer, reason, **fields) for peer, reason in failed.items()]


def key(entry):
    """What tells one measurement from another."""
    return tuple(entry[name] for name in ("part", "benchmark", "batch", "threads", "peer"))


def provenance():
    return {"processor": processor(), "cores": len(os.sched_getaffinity(0)),
            "date": datetime.date.today().isoformat()}


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    fields = dict([part.strip() for part in line.split(":", 1)] for line in lines if ":" in line)
    if "model name" not in fields:
        return os.uname().machine
    return f"{fields['model name']} (family {fields.get('cpu family')}, model {fields.get('model')})"


def load(path):
    return json.loads(path.read_text()) if path.exists() else []


def save(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = ",\n".join(json.dumps(entry) for entry in rows)
    temporary = path.with_suffix(".new")
    temporary.write_text(f"[\n{text}\n]\n")
    temporary.replace(path)
