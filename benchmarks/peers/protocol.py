"""benchmarks/protocol.hpp in Python: one line of JSON each way, until the input ends."""
import json
import os
import sys
import time


def serve(prepare):
    """{"case": {...}} prepares the work, a function without arguments; {"calls": n} times n calls of it."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    work = None
    for line in sys.stdin:
        try:
            request = json.loads(line)
            if "case" in request:
                work = None  # frees the last one first
                work = prepare(request["case"])
                answer = {"ready": {}}
            else:
                answer = {"ms": [milliseconds(work) for _ in range(request["calls"])]}
        except Exception as error:  # the runner leaves this row out and says why
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


def milliseconds(work):
    start = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - start)
