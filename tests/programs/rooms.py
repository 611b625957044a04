#!/usr/bin/env python3
"""usage: rooms.py BUILD
Lists the rooms that some trips through the library enter, and fails where these are more than a limit.

A room is a source with its header (NAME.hpp, NAME.cpp, NAME.simd.cpp) of framework/, layers/ or optim/, and is entered
if one of its lines runs, be it an accessor in a header. BUILD is the preset "coverage" with the program of rooms.cpp.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ("framework", "layers", "optim")

# Name, what it is, the most rooms outside framework/, the most in all.
TRIPS = [
    ("instance_norm_reference", "InstanceNorm2D on its reference, forward and backward", 2, None),
    ("instance_norm", "InstanceNorm2D, forward and backward", 8, 16),
    ("training_step", "a training step of convolution, batch norm, ReLU and max pooling", None, 32),
    ("resnet_1", "Inference of the resnet, one image", None, 32),
    ("resnet_64", "Inference of the resnet, 64 images", None, 32),
]


def room_of(file):
    """framework/layer for framework/layer.hpp, or None for a file that is not the library's."""
    path = pathlib.Path(os.path.realpath(file))  # headers are included through links
    if not path.is_relative_to(ROOT) or path.relative_to(ROOT).parts[0] not in FOLDERS:
        return None
    path = path.relative_to(ROOT)
    return str(path.parent / path.name.split(".")[0])


def rooms_entered(program, trip):
    # Nothing from outside shall change the way that a trip takes.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("STRATA_", "GCOV_"))}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, trip], env={**environment, "GCOV_PREFIX": folder}, check=True)
        counters = sorted(pathlib.Path(folder).rglob("*.gcda"))
        if not counters:
            sys.exit(f"rooms: {program} left no counters; is it built by the preset \"coverage\"?")
        for file in counters:  # gcov wants the notes beside the counters
            notes = file.with_suffix(".gcno")
            notes.symlink_to("/" / notes.relative_to(folder))
        output = subprocess.run(["gcov", "--json-format", "--stdout", *counters], cwd=folder, check=True, text=True,
                                stdout=subprocess.PIPE).stdout
    rooms = set()
    for report in map(json.loads, output.splitlines()):
        for file in report["files"]:
            if any(line["count"] for line in file["lines"]):
                rooms.add(room_of(os.path.join(report["current_working_directory"], file["file"])))
    return sorted(rooms - {None})


def count(what, number, limit):
    """The line, and whether it is within the limit."""
    fits = limit is None or number <= limit
    bound = "" if limit is None else f", at most {limit}" + ("" if fits else ": TOO MANY")
    return f"  {what}: {number}{bound}", fits


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = pathlib.Path(sys.argv[1]).resolve() / "tests" / "rooms"
    all_fit = True
    for trip, description, most_outside, most in TRIPS:
        rooms = rooms_entered(program, trip)
        inside = [room for room in rooms if room.startswith("framework/")]
        outside = [room for room in rooms if not room.startswith("framework/")]
        print(description)
        for what, listed, limit in (("outside framework/", outside, most_outside), ("framework/", inside, None)):
            line, fits = count(what, len(listed), limit)
            all_fit &= fits
            print(line, *listed, sep="\n    ")
        line, fits = count("in all", len(rooms), most)
        all_fit &= fits
        print(line, end="\n\n")
    sys.exit(not all_fit)


if __name__ == "__main__":
    main()
