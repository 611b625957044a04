"""What the project promises, each limit computed from the rows."""
import dataclasses
import math
from typing import Callable


@dataclasses.dataclass(frozen=True)
class Limit:
    what: str
    at_most: float
    ratio: Callable  # of the rows: a number, or None if it was not measured


def matching(rows, **fields):
    return [row for row in rows if all(row.get(key) == value for key, value in fields.items())
            and row["ratio"] is not None]


def largest(rows, value=lambda row: row["ratio"]):
    return max(map(value, rows), default=None)


def step(peer_test, network="vgg", batch=64, threads=2):
    """The ratio to the fastest of those peers: the largest."""
    def ratio(rows):
        return largest([row for row in matching(rows, part="step", network=network, batch=batch, threads=threads)
                        if peer_test(row)])
    return ratio


def named(peer):
    return lambda row: row["peer"] == peer


def is_pytorch(row):
    return row["library"] in ("PyTorch", "Debian's PyTorch")


def is_newest(row):
    return row["library"] == "PyTorch" and "malloc" not in row["peer"]


def evaluation(batch):
    return lambda rows: largest(matching(rows, part="inference", batch=batch, library="ONNX Runtime"))


def norm(layer, direction):
    return lambda rows: largest(matching(rows, part="layers", layer=layer, direction=direction))


def norm_floor(layer, direction):
    """Where the tensors are large enough that memory is what counts: a small one fits into a cache next to the core."""
    def ratio(rows):
        large = [row for row in matching(rows, part="layers", layer=layer, direction=direction)
                 if 4 * math.prod(row["shape"]) >= LARGE_BYTES]
        return largest(large, lambda row: row["floor_ratio"])
    return ratio


LARGE_BYTES = 8 << 20


def footprint(benchmark):
    def ratio(rows):
        found = matching(rows, part="footprint", benchmark=benchmark)
        return largest([row for row in found if "libtorch" in row["library"]] or found)
    return ratio


def layers_against_pytorch(rows):
    return largest(matching(rows, part="layers"))


def avx2_against_avx512(rows):
    ratio = step(named("Strata, AVX2"))(rows)
    return ratio and 1 / ratio


def two_threads_against_one(rows):
    return largest([row for row in matching(rows, peer="Strata, 1 thread")])


DEBIAN_NCHW, DEBIAN_LAST = "Debian's PyTorch, NCHW", "Debian's PyTorch, channels-last"
VGG = "vgg step, batch 64"

LIMITS = [
    Limit(f"{VGG}, against Debian's PyTorch, NCHW", 0.36, step(named(DEBIAN_NCHW))),
    Limit(f"{VGG}, against Debian's PyTorch, channels-last", 0.45, step(named(DEBIAN_LAST))),
    Limit(f"{VGG}, 1 thread, against Debian's PyTorch, NCHW", 0.42, step(named(DEBIAN_NCHW), threads=1)),
    Limit(f"{VGG}, 1 thread, against Debian's PyTorch, channels-last", 0.50, step(named(DEBIAN_LAST), threads=1)),
    Limit(f"{VGG}, against the newest PyTorch at its best", 0.5, step(is_newest)),
    Limit("quick step, batch 64, against the best PyTorch", 0.55, step(is_pytorch, "quick")),
    Limit("resnet step, batch 64, against the best PyTorch", 0.55, step(is_pytorch, "resnet")),
    Limit("vgg step, batch 16, against the best PyTorch", 0.55, step(is_pytorch, batch=16)),
    Limit("vgg step, batch 256, against the best PyTorch", 0.55, step(is_pytorch, batch=256)),
    *[Limit(f"evaluation, batch {batch}, against ONNX Runtime", at_most, evaluation(batch))
      for batch, at_most in ((64, 0.8), (8, 0.9), (1, 1.0))],
    *[Limit(f"{layer} {direction}, against PyTorch", 0.5, norm(layer, direction))
      for layer in ("SpatialBatchNorm + ReLU", "InstanceNorm2D") for direction in ("forward", "backward")],
    *[Limit(f"{layer} {direction}, tensors of {LARGE_BYTES >> 20} MB or more, against the memory floor", 1.35, norm_floor(layer, direction))
      for layer in ("SpatialBatchNorm + ReLU", "InstanceNorm2D") for direction in ("forward", "backward")],
    Limit("Fashion-MNIST to 92 %, against PyTorch", 0.4, lambda rows: largest(matching(rows, part="accuracy"))),
    Limit(f"{VGG}, against tiny-dnn", 0.02, step(named("tiny-dnn"))),
    Limit(f"{VGG}, against dlib", 0.1, step(named("dlib"))),
    Limit("peak memory of vgg training, against libtorch", 0.4, footprint("peak memory of vgg training")),
    Limit("start-up, against libtorch", 0.1, footprint("start-up")),
    Limit("compile time of a user's program, against libtorch", 0.15, footprint("compile time of a user's program")),
    Limit(f"{VGG}, 2 threads against 1", 0.55, step(named("Strata, 1 thread"))),
    Limit(f"{VGG}, AVX2 against AVX-512", 1.82, avx2_against_avx512),  # 0.55 of the speed
    Limit("any network and batch, 2 threads against 1", 1.05, two_threads_against_one),
    Limit("training step with the loader, against a batch at hand", 1.05,
          lambda rows: largest(matching(rows, part="loading"))),
    Limit("every layer at every shape, against PyTorch", 1.0, layers_against_pytorch),
]
