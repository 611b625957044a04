"""Times PyTorch's layers alone on the cases of layers.json, as layers.cpp does.

For every line {"seconds": of each case} that it reads it prints a line {"NAME/CASE/DIRECTION": ms}. It stays alive, as
the first calls of convolutions take long.

Forward and backward take turns, as in a training step. A layer here leaves its input and its gradient as they are, so
they are made once.
"""
import argparse
import json
import os
import statistics
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

    def call(self):
        """Seconds of a forward and of the backward behind it."""
        for tensor in self.tensors:
            tensor.grad = None
        start = time.perf_counter()
        y = self.layer(*self.inputs)
        middle = time.perf_counter()
        y.backward(self.gradient)
        return middle - start, time.perf_counter() - middle


def median_ms(subject, seconds):
    """Of the forwards and of the backwards, so many seconds long after a tenth of that to warm up."""
    for limit in (seconds / 10, seconds):
        times, end = [], time.perf_counter() + limit
        while len(times) < 3 or time.perf_counter() < end:
            times.append(subject.call())
    return [1e3 * statistics.median(direction) for direction in zip(*times)]


def measure(entries, seconds):
    times = {}
    for entry in entries:
        for index, case in enumerate(entry["cases"]):
            name = f"{entry['name']}/{index}"
            try:
                forward, backward = median_ms(Subject(entry, case), seconds)
                times |= {f"{name}/forward": forward, f"{name}/backward": backward}
            except Exception as error:  # the other rows stand
                print(f"{name}: {error}", file=sys.stderr)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layers")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    with open(args.layers, encoding="utf-8") as file:
        entries = json.load(file)
    for line in sys.stdin:
        print(json.dumps(measure(entries, json.loads(line)["seconds"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
