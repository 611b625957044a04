"""The time to 92 % test accuracy on Fashion-MNIST, data loading included: network, recipe, schedule and augmentation
are the same."""
import json
import os
import subprocess

from programs import HERE
from rows import missing_row, row
from worker import PeerError

DATA = "/usr/share/datasets/fashion-mnist"
TARGET = 0.92
THREADS = 2


def measure(session):
    ours, peer = session.programs.strata(), session.programs.any_pytorch("channels-last")
    benchmark = "Fashion-MNIST to 92 %"
    common = ["--data", DATA, "--target", str(TARGET), "--threads", str(THREADS)]
    try:
        # A run is minutes of steps; ours is made twice, on both sides of the peer's, for the spread.
        commands = [[str(session.programs.built("accuracy")), *common]] * 2
        runs = [run(session, "Strata", commands[0])]
        if peer.missing:
            raise PeerError(peer.missing)
        theirs = run(session, peer.name, [peer.command[0], str(HERE / "peers" / "pytorch_accuracy.py"), *common])
        if session.left() > runs[0]["seconds"]:
            runs.append(run(session, "Strata", commands[1]))
    except PeerError as error:
        yield missing_row("accuracy", benchmark, peer, str(error), batch=64)
        return
    yield row("accuracy", benchmark, peer, [1e3 * last["seconds"] for last in runs], [1e3 * theirs["seconds"]], batch=64,
              ours_accuracy=runs[0]["accuracy"], peer_accuracy=theirs["accuracy"], ours_epochs=runs[0]["epoch"],
              peer_epochs=theirs["epoch"])


def run(session, name, command):
    """The last epoch's record. Throws PeerError if it did not reach the accuracy."""
    session.say(f"accuracy: {name}")
    limit = max(session.left() + 120, 120)
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS)}
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment)
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"{name} did not end within {limit:.0f} s") from error
    if result.returncode:
        raise PeerError(f"{name}: exit status {result.returncode}: {result.stderr.strip().splitlines()[-1:]}")
    epochs = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    for epoch in epochs:
        session.say(f"  epoch {epoch['epoch']}: {epoch['seconds']:.0f} s, accuracy {epoch['accuracy']:.4f}")
    if epochs[-1]["accuracy"] < TARGET:
        raise PeerError(f"{name} reached an accuracy of {epochs[-1]['accuracy']:.4f} only")
    return epochs[-1]
