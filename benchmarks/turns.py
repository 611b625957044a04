"""Lets programs do the same work in turn, A B C A B C ..., so that a machine whose speed drifts slows them all."""
import time

from worker import PeerError

ROUNDS = 9
SLOW_PREPARATION = 400  # seconds; torch.compile under load


def take_turns(pool, programs, case, seconds):
    """{program: the milliseconds of each call}, {program: why it has none}, and what the programs told of the case.

    The programs share `seconds` equally, warm-up and preparation besides. A slow one has fewer turns, at least two.
    """
    workers, failed, about = {}, {}, {}
    for program in programs:
        attempt(failed, program, lambda: start(pool, program, case, workers))
    # All at once: the processors are better used while some load and some compile.
    for program in list(workers):
        attempt(failed, program, lambda: about.update({program: finish_start(workers[program])}))
    workers = {program: worker for program, worker in workers.items() if program not in failed}

    turns = {}
    for program, worker in workers.items():
        attempt(failed, program, lambda: turns.update({program: plan(worker, seconds / len(workers))}))
    times = {program: [] for program in turns if program not in failed}
    for round_ in range(ROUNDS):
        for program in list(times):
            calls, rounds = turns[program]
            if round_ in rounds and program not in failed:
                attempt(failed, program,
                        lambda: times[program].extend(workers[program].ask({"calls": calls}, SLOW_PREPARATION)["ms"]))
    return {program: values for program, values in times.items() if program not in failed}, failed, about


def attempt(failed, program, action):
    try:
        action()
    except PeerError as error:
        failed[program] = str(error)


def start(pool, program, case, workers):
    worker = pool.worker(program)
    worker.send({"case": program.request(case)})
    worker.send({"calls": 1})
    workers[program] = worker


def finish_start(worker):
    try:
        about = worker.receive(SLOW_PREPARATION)["ready"]
    except PeerError:
        if worker.alive():
            attempt({}, None, lambda: worker.receive(SLOW_PREPARATION))  # the answer to the call
        raise
    worker.receive(SLOW_PREPARATION)
    return about


def plan(worker, seconds):
    """Warms up, and says how many calls make a turn and in which rounds to take one."""
    end = time.perf_counter() + min(0.3, seconds / 5)
    call = float("inf")
    while call == float("inf") or time.perf_counter() < end:
        call = min(call, 1e-3 * worker.ask({"calls": 1}, SLOW_PREPARATION)["ms"][0])
    calls = max(1, min(1000, round(seconds / ROUNDS / call)))
    count = max(2, min(ROUNDS, int(seconds / (calls * call))))
    return calls, {round(i * (ROUNDS - 1) / (count - 1)) for i in range(count)}
