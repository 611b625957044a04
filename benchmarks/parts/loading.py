"""What training costs beyond its steps: the loader, which crops, mirrors, cuts out and standardizes in the background."""
import numpy

from rows import missing_row, row, significant
from turns import take_turns

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
        if failed:
            yield missing_row("loading", benchmark, at_hand, "; ".join(failed.values()), **fields)
            continue
        worker = session.pool.worker(loaded)
        worker.ask({"case": request | {"task": "wait"}})
        waits = worker.ask({"calls": len(times[loaded])})["ms"]
        yield row("loading", benchmark, at_hand, times[loaded], times[at_hand],
                  wait_ms=significant(numpy.mean(waits)), wait_ms_99=significant(numpy.percentile(waits, 99)), **fields)
