"""How the cost grows: the vgg step with its batch, a conv-norm-ReLU block with its image and with its channels."""
from rows import comparison_rows
from turns import take_turns

THREADS = 2
BLOCK_BATCH = 8
CLIFF = 1.5  # a change of the cost per unit between neighbors that is a cliff

SWEEPS = {
    "batch": (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512),
    "image": (8, 10, 12, 14, 16, 20, 24, 28, 32, 33, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224),
    "channels": (8, 12, 16, 20, 24, 32, 33, 48, 64, 80, 96, 128, 192, 256, 384, 512),
}


def request(sweep, value):
    if sweep == "batch":
        return {"task": "train", "network": "vgg", "batch": value}
    sizes = {"image": 32, "channels": 32 if sweep == "image" else 16} | {sweep: value}
    if sweep == "channels":
        sizes["image"] = 16
    return {"task": "forward-backward", "network": "block", "batch": BLOCK_BATCH} | sizes


def title(sweep, value):
    if sweep == "batch":
        return f"vgg training step, batch {value}"
    case = request(sweep, value)
    return f"block of {case['channels']} channels, image {case['image']}x{case['image']}"


def measure(session):
    ours, peer = session.programs.strata(), session.programs.any_pytorch("channels-last")
    cases = [(sweep, value) for sweep, values in SWEEPS.items() for value in values]
    weights = [1 + request(*case)["batch"] / 32 for case in cases]
    for index, (sweep, value) in enumerate(cases):
        case = request(sweep, value) | {"threads": THREADS}
        if value == SWEEPS[sweep][0]:
            session.say(f"scaling: {sweep}")
        times, failed, about = take_turns(session.pool, [ours, peer], case, session.share(weights[index:]))
        yield from comparison_rows("scaling", title(sweep, value), ours, times, failed, batch=case["batch"], sweep=sweep,
                                   value=value, multiply_adds=about.get(ours, {}).get("multiply_adds"))


def curves(rows):
    """{sweep: [(value, our ms an image, PyTorch's), ...]} and the same with picoseconds a multiply-add."""
    per_image, per_work = {}, {}
    for row in rows:
        if row["part"] == "scaling" and row["ratio"]:
            images = [row["value"], row["ours_ms"] / row["batch"], row["peer_ms"] / row["batch"]]
            # A training step is three passes of as many multiply-adds.
            work = [row["value"]] + [1e9 * ms / (3 * row["multiply_adds"]) for ms in images[1:]]
            per_image.setdefault(row["sweep"], []).append(images)
            per_work.setdefault(row["sweep"], []).append(work)
    return per_image, per_work


def cliffs(points, column):
    """Neighbors between which the cost per unit changes too much: [(from, to, factor), ...]."""
    result = []
    for before, after in zip(points, points[1:]):
        factor = after[column] / before[column]
        if max(factor, 1 / factor) > CLIFF:
            result.append((before[0], after[0], factor))
    return result
