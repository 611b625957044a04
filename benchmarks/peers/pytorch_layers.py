"""Times PyTorch's layers alone on the cases of layers.json, as layers.cpp does; prints {"NAME/CASE/DIRECTION": ms}."""
import argparse
import json
import os
import sys
import time

import torch
from torch import nn


class Add(nn.Module):
    def forward(self, a, b):
        return a + b


class Concat(nn.Module):
    def forward(self, a, b):
        return torch.cat([a, b], 1)


def make_layer(entry, case):
    kind, channels, out = entry["layer"], case["input"][1], case.get("out")
    options = {key: entry[key] for key in ("stride", "padding", "output_padding", "dilation", "groups", "bias")
               if key in entry}
    if options.get("groups") == "depthwise":
        options["groups"] = channels
    window = entry.get("kernel")
    makers = {
        "Conv2D": lambda: nn.Conv2d(channels, out, window, **options),
        "ConvTranspose2D": lambda: nn.ConvTranspose2d(channels, out, window, **options),
        "Linear": lambda: nn.Linear(channels, out),
        "BatchNorm1D": lambda: nn.BatchNorm1d(channels),
        "SpatialBatchNorm": lambda: nn.BatchNorm2d(channels),
        "SpatialBatchNorm + ReLU": lambda: nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True)),
        "InstanceNorm2D": lambda: nn.InstanceNorm2d(channels, affine=True),
        "GroupNorm": lambda: nn.GroupNorm(case["groups"], channels),
        "LayerNorm": lambda: nn.LayerNorm(case["input"][1:]),
        "ReLU": nn.ReLU,
        "LeakyReLU": nn.LeakyReLU,
        "Sigmoid": nn.Sigmoid,
        "Tanh": nn.Tanh,
        "Dropout": lambda: nn.Dropout(0.5),
        "Dropout2D": lambda: nn.Dropout2d(0.5),
        "MaxPool2D": lambda: nn.MaxPool2d(window, **options),
        "AvgPool2D": lambda: nn.AvgPool2d(window, **options),
        "GlobalAvgPool2D": lambda: nn.AdaptiveAvgPool2d(1),
        "Upsample2D": lambda: nn.Upsample(scale_factor=entry["scale"]),
        "Flatten": nn.Flatten,
        "Add": Add,
        "Concat": Concat,
    }
    return makers[kind]().train()


class Subject:
    def __init__(self, entry, case):
        self.layer = make_layer(entry, case)
        self.inputs = [torch.randn(case["input"], requires_grad=True) for _ in range(entry.get("inputs", 1))]
        self.gradient = torch.randn_like(self.layer(*self.inputs))
        self.tensors = self.inputs + list(self.layer.parameters())

    def forward(self):
        start = time.perf_counter()
        y = self.layer(*self.inputs)
        return time.perf_counter() - start, y

    def backward(self):
        y = self.forward()[1]
        for tensor in self.tensors:
            tensor.grad = None
        start = time.perf_counter()
        y.backward(self.gradient)
        return time.perf_counter() - start


def mean_ms(measure, seconds):
    """The mean over calls that take so long together, after a tenth of that to warm up, as Google Benchmark's."""
    for limit in (seconds / 10, seconds):
        total, calls = 0.0, 0
        while total < limit:
            total += measure()
            calls += 1
    return 1e3 * total / calls


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layers")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--min-time", type=float, default=0.02, help="seconds a measurement")
    args = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    times = {}
    with open(args.layers, encoding="utf-8") as file:
        entries = json.load(file)
    for entry in entries:
        for index, case in enumerate(entry["cases"]):
            name = f"{entry['name']}/{index}"
            try:
                subject = Subject(entry, case)
                times[f"{name}/forward"] = mean_ms(lambda: subject.forward()[0], args.min_time)
                times[f"{name}/backward"] = mean_ms(subject.backward, args.min_time)
            except Exception as error:  # the other rows stand
                print(f"{name}: {error}", file=sys.stderr)
    json.dump(times, answers)


if __name__ == "__main__":
    main()
