"""The time to 92 % test accuracy on Fashion-MNIST, data loading included: network, recipe, schedule and augmentation
are the same."""
import time

from programs import HERE
from rows import missing_row, row
from training import Training
from worker import PeerError

DATA = "/usr/share/datasets/fashion-mnist"
TARGET = 0.92
THREADS = 2
# Seconds. After a switch the caches fill again, which takes milliseconds; the machine's speed drifts within minutes.
TURN = 5


def measure(session):
    peer = session.programs.any_pytorch("channels-last")
    benchmark = "Fashion-MNIST to 92 %"
    options = ["--data", DATA, "--target", str(TARGET), "--threads", str(THREADS)]
    try:
        if peer.missing:
            raise PeerError(peer.missing)
        ours = training(session, "Strata", [str(session.programs.built("accuracy")), *options])
        theirs = training(session, peer.name,
                          [peer.command[0], str(HERE / "peers" / "pytorch_accuracy.py"), *options])
        train_in_turn(session, [ours, theirs], TARGET)
    except PeerError as error:
        yield missing_row("accuracy", benchmark, peer, str(error), batch=64)
        return
    yield row("accuracy", benchmark, peer, [1e3 * ours.seconds], [1e3 * theirs.seconds], batch=64,
              ours_accuracy=ours.accuracy, peer_accuracy=theirs.accuracy, ours_epochs=ours.epoch,
              peer_epochs=theirs.epoch)


def training(session, name, command):
    return Training(name, command, {"OMP_NUM_THREADS": str(THREADS)}, session.pool.log(f"accuracy {name}"), session.say)


def train_in_turn(session, trainings, target):
    """Until all have ended; only one runs at a time. Throws PeerError if one fails, misses the target or takes too
    long."""
    session.say("accuracy: " + " and ".join(training.name for training in trainings) + " in turn")
    limit = session.left() + 120
    end = time.monotonic() + limit
    try:
        while running := [training for training in trainings if not training.ended]:
            if time.monotonic() > end:
                raise PeerError(" and ".join(training.name for training in running)
                                + f" did not end within {limit:.0f} s")
            # The faster one waits for the other after each epoch: alone at the end, the slower one would meet a drift
            # that the faster one never saw.
            current = min(running, key=lambda training: (training.epoch, training.resumed))
            current.take_turn(TURN)
            if current.ended and current.accuracy < target:
                raise PeerError(f"{current.name} reached an accuracy of {current.accuracy:.4f} only")
    finally:
        for training in trainings:
            training.kill()
