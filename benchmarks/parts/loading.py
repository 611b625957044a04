"""What training costs beyond its steps: the loader, which crops, mirrors, cuts out and standardizes meanwhile."""
import numpy

from rows import missing_row, row, significant
from turns import attempt, take_turns

CASES = [(network, threads) for network in ("vgg", "quick") for threads in (2, 1)]
BATCH = 64


def measure(session):
    loaded = session.programs.strata()
    at_hand = session.programs.strata_doing("train", "Strata, the batch at hand")
    for index, (network, threads) in enumerate(CASES):
        session.say(f"loading: {network}, threads {threads}")
        fields = {"batch": BATCH, "threads": threads, "network": network}
        request = {"task": "train-loaded", **fields}
        times, failed, _ = take_turns(session.pool, [loaded, at_hand], request,
                                      0.6 * session.share([1] * (len(CASES) - index)))
        benchmark = f"{network} training step with the loader"
        waits = []
        if not failed:
            attempt(failed, loaded, lambda: waits.extend(waits_for_batches(session.pool.worker(loaded), request,
                                                                           len(times[loaded]))))
        if failed:
            yield missing_row("loading", benchmark, at_hand, "; ".join(failed.values()), **fields)
            continue
        yield row("loading", benchmark, at_hand, times[loaded], times[at_hand],
                  wait_ms=significant(numpy.mean(waits)), wait_ms_99=significant(numpy.percentile(waits, 99)), **fields)


def waits_for_batches(worker, request, count):
    """Milliseconds. Not in turn: turns of so short a call would have a thousand, with a step before each."""
    worker.ask({"case": request | {"task": "wait"}})
    return worker.ask({"calls": count})["ms"]
