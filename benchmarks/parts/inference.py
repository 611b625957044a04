"""The evaluation of whole networks."""
from rows import comparison_rows
from turns import take_turns


def measure(session):
    programs = session.programs
    ours = programs.strata()
    peers = [programs.onnx_runtime(), programs.any_pytorch("NCHW"), programs.any_pytorch("channels-last"),
             programs.pytorch("channels-last", compiled=True), programs.strata(1)]
    cases = [(network, batch) for network in ("vgg", "resnet") for batch in (64, 8, 1)]
    for index, (network, batch) in enumerate(cases):
        session.say(f"inference: {network}, batch {batch}")
        request = {"task": "infer", "network": network, "batch": batch, "threads": 2}
        times, failed, _ = take_turns(session.pool, [ours, *peers], request, session.share([1] * (len(cases) - index)))
        yield from comparison_rows("inference", f"{network} evaluation", ours, times, failed, batch=batch,
                                   network=network)
