"""The training step of whole networks: forward, loss, backward, update."""
from rows import comparison_rows
from turns import take_turns

NETWORKS = ("vgg", "quick", "resnet")
BATCHES = (64, 16, 256)
# torch.compile takes half a minute a case, so it runs where a limit stands.
COMPILED = {("vgg", 64, 2), ("vgg", 16, 2), ("vgg", 256, 2), ("quick", 64, 2), ("resnet", 64, 2), ("vgg", 64, 1)}
SLOW = {("vgg", 64, 2), ("vgg", 16, 2)}
TUNED = {("vgg", 64, 2)}
LAYOUTS = ("NCHW", "channels-last")


def peers(programs, case):
    """Who takes part in a case (network, batch, threads)."""
    result = [programs.debian_pytorch(layout) for layout in LAYOUTS]
    result += [programs.pytorch(layout) for layout in LAYOUTS]
    if case in COMPILED:
        result += [programs.pytorch(layout, compiled=True) for layout in LAYOUTS]
    if case in TUNED:
        result += [programs.debian_pytorch("channels-last", tuned_malloc=True),
                   programs.pytorch("channels-last", tuned_malloc=True)]
    if case in SLOW:
        result += [programs.tiny_dnn(), programs.dlib()]
    if case[2] > 1:
        result.append(programs.strata(1))
    if case[:2] == ("vgg", 64):
        result.append(programs.strata_avx2())
    return result


def measure(session):
    cases = [(network, batch, threads) for threads in (2, 1) for network in NETWORKS for batch in BATCHES]
    weights = [len(peers(session.programs, case)) * (1 + case[1] / 64) for case in cases]
    ours = session.programs.strata()
    for index, case in enumerate(cases):
        network, batch, threads = case
        session.say(f"step: {network}, batch {batch}, threads {threads}")
        request = {"task": "train", "network": network, "batch": batch, "threads": threads}
        times, failed, _ = take_turns(session.pool, [ours, *peers(session.programs, case)], request,
                                      session.share(weights[index:]))
        yield from comparison_rows("step", f"{network} training step", ours, times, failed, batch=batch,
                                   threads=threads, network=network)
