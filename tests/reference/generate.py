#!/usr/bin/env python3
"""Writes what PyTorch computes for the cases below; tests/layers and tests/optim compare Strata with it.

    generate.py                  rewrite the files beside this script (or in --output DIR)
    generate.py --check          recompute with the PyTorch at hand and compare with the files

Needs torch (1.13 or newer) and numpy. Everything is float64 on one thread. The random inputs come from numpy's
frozen RandomState, seeded by the case's name and rounded to four digits, so every version sees the same ones.

A file is gzip'd JSON lines: first {"torch": version, "cases": [names]}, then one case a line.
"""
import argparse
import gzip
import json
import math
import pathlib
import sys
import warnings
import zlib

import numpy as np
import torch
from torch import nn

import layer_cases
import optim_cases


class Draw:
    """The random numbers of one case."""

    def __init__(self, name):
        self.random = np.random.RandomState(zlib.crc32(name.encode()))

    def normal(self, shape, mean=0.0, deviation=1.0):
        """Rounded; never within 1e-3 of 0, where ReLU has its kink."""
        values = np.round(mean + deviation * self.random.standard_normal(shape), 4)
        return torch.tensor(np.where(np.abs(values) < 1e-3, 0.5, values))

    def distinct(self, shape):
        """No two values are equal, so that a maximum is never tied."""
        count = int(np.prod(shape))
        return torch.tensor((self.random.permutation(count).reshape(shape) - count // 2 + 0.25) / 16)

    def labels(self, count, classes):
        return torch.tensor(self.random.randint(0, classes, count))


def tensor(value):
    value = value.detach()
    return {"shape": list(value.shape), "values": value.reshape(-1).tolist()}


def tensors(named):
    return {name: tensor(value) for name, value in named}


def randomize(module, draw):
    """Draws parameters and running statistics; gammas are around 1, on both sides of 0 now and then."""
    is_norm = not isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            mean = 1.0 if is_norm and name == "weight" else 0.0
            parameter.copy_(draw.normal(tuple(parameter.shape), mean, 0.7))
        for name, buffer in module.named_buffers():
            if name == "running_mean":
                buffer.copy_(draw.normal(tuple(buffer.shape)))
            elif name == "running_var":
                buffer.copy_(draw.normal(tuple(buffer.shape)).abs() + 0.5)


def layer_case(layer, name, arguments, shape, batches, module):
    """A sequence of forward and backward passes, and all that each of them leaves behind."""
    draw = Draw(f"{layer}/{name}")
    randomize(module, draw)
    running = layer_cases.RunningStatistics(module, arguments)
    case = {"name": name, "layer": layer, "arguments": arguments,
            "state": tensors(list(module.named_parameters()) + running.buffers()), "steps": []}
    for training, batch in batches:
        x = (draw.distinct if layer == "MaxPool2D" else draw.normal)((batch, *shape[1:]))
        x.requires_grad_()
        module.train(training)
        module.zero_grad()
        with running.update(x, training):
            y = module(x)
            dy = draw.normal(tuple(y.shape))
            y.backward(dy)
        case["steps"].append({
            "training": training, "x": tensor(x), "dy": tensor(dy), "y": tensor(y), "dx": tensor(x.grad),
            "gradients": tensors((n, p.grad) for n, p in module.named_parameters()),
            "buffers": tensors(running.buffers())})
    return case


def loss_case(loss, name, options, samples, classes, spread, function):
    """The value, mean over the batch, and its gradient."""
    draw = Draw(f"{loss}/{name}")
    scores = draw.normal((samples, classes), 0.0, spread).requires_grad_()
    case = {"name": name, "loss": loss, "options": options, "scores": tensor(scores)}
    if loss == "MeanSquaredError":
        target = draw.normal((samples, classes), 0.0, spread)
        case["target"] = tensor(target)
    else:
        target = draw.labels(samples, classes)
        case["labels"] = target.tolist()
    value = function(scores, target)
    value.backward()
    return {**case, "value": value.item(), "gradient": tensor(scores.grad)}


def optimizer_case(optimizer, name, options, rates, build):
    """Two parameters after each step, under given gradients and, if any, a given learning rate a step."""
    draw = Draw(f"{optimizer}/{name}")
    parameters = [nn.Parameter(draw.normal((2, 3))), nn.Parameter(draw.normal((4,)))]
    update = build(parameters)
    case = {"name": name, "optimizer": optimizer, "options": options, "rates": rates,
            "initial": [tensor(p) for p in parameters], "steps": []}
    for step in range(20):
        gradients = [draw.normal(tuple(p.shape)) for p in parameters]
        for parameter, gradient in zip(parameters, gradients):
            parameter.grad = gradient.clone()
        if rates:
            update.param_groups[0]["lr"] = rates[step]
        update.step()
        case["steps"].append({"gradients": [tensor(g) for g in gradients], "values": [tensor(p) for p in parameters]})
    return case


def schedule_case(schedule, name, options, build, metrics=None):
    """The learning rate of each step, the first included; metrics are what ReduceLROnPlateau watches."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=options["learning_rate"])
    scheduler = build(optimizer)
    rates = []
    for step in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < 19:
            scheduler.step(*([metrics[step]] if metrics else []))
    return {"name": name, "schedule": schedule, "options": options, "metrics": metrics or [], "rates": rates}


def clipping_case(name, max_norm, scale):
    """torch.nn.utils.clip_grad_norm_ over three gradients."""
    draw = Draw(f"clip/{name}")
    parameters = [nn.Parameter(torch.zeros(shape)) for shape in ((2, 3), (4,), (1, 2, 2))]
    for parameter in parameters:
        parameter.grad = draw.normal(tuple(parameter.shape), 0.0, scale)
    before = [tensor(p.grad) for p in parameters]
    norm = nn.utils.clip_grad_norm_(parameters, max_norm)
    return {"name": name, "max_norm": max_norm, "norm": float(norm), "before": before,
            "after": [tensor(p.grad) for p in parameters]}


def training_run(name, options, build):
    """Twenty steps of a small network: every loss, then the weights, running statistics and scores."""
    draw = Draw(f"training/{name}")
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(36, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    with torch.no_grad():
        for key, parameter in net.named_parameters():
            is_gamma = key in ("1.weight", "6.weight")
            parameter.copy_(draw.normal(tuple(parameter.shape), 1.0 if is_gamma else 0.0, 0.3))

    def state():
        buffers = [(n, b) for n, b in net.named_buffers() if "num_batches" not in n]
        return tensors(list(net.named_parameters()) + buffers)

    case = {"name": name, "options": options, "initial": state(), "steps": []}
    update = build(net.parameters())
    for _ in range(20):
        x, labels = draw.normal((6, 2, 6, 6)), draw.labels(6, 3)
        update.zero_grad()
        loss = nn.functional.cross_entropy(net(x), labels)
        loss.backward()
        update.step()
        case["steps"].append({"x": tensor(x), "labels": labels.tolist(), "loss": loss.item()})
    net.eval()
    x = draw.normal((3, 2, 6, 6))
    case["final"] = state()
    case["evaluation"] = {"x": tensor(x), "y": tensor(net(x))}
    return case


def all_cases():
    """File name -> its cases."""
    files = {}
    for layer, *rest in layer_cases.layers():
        files.setdefault(layer, []).append(layer_case(layer, *rest))
    for loss, *rest in layer_cases.losses():
        files.setdefault(loss, []).append(loss_case(loss, *rest))
    for optimizer, *rest in optim_cases.optimizers():
        files.setdefault(optimizer, []).append(optimizer_case(optimizer, *rest))
    files["schedules"] = [schedule_case(*rest) for rest in optim_cases.schedules()]
    files["clipping"] = [clipping_case(*rest) for rest in optim_cases.clippings()]
    files["training"] = [training_run(*rest) for rest in optim_cases.training_runs()]
    return files


def write(path, cases):
    header = {"torch": torch.__version__, "cases": [case["name"] for case in cases]}
    lines = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in [header, *cases])
    path.write_bytes(gzip.compress(lines.encode(), 9, mtime=0))


def difference(ours, theirs, where):
    """Yields (relative difference, where); for a tensor, of its largest magnitude."""
    if isinstance(ours, dict) and ours.keys() == {"shape", "values"} and ours["shape"] == theirs["shape"]:
        scale = max(map(abs, theirs["values"]), default=0.0) or 1.0
        yield max(abs(a - b) for a, b in zip(ours["values"], theirs["values"])) / scale, where
    elif isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        for key in ours:
            yield from difference(ours[key], theirs[key], f"{where}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, pair in enumerate(zip(ours, theirs)):
            yield from difference(*pair, f"{where}/{i}")
    elif isinstance(ours, float) and isinstance(theirs, float):
        yield abs(ours - theirs) / (abs(theirs) or 1.0), where
    elif ours != theirs:
        yield math.inf, where


def check(directory, files):
    """Prints the largest difference of each file; true if all are below 1e-11."""
    worst = 0.0
    for name, cases in files.items():
        lines = gzip.decompress((directory / f"{name}.jsonl.gz").read_bytes()).decode().splitlines()
        stored = [json.loads(line) for line in lines]
        # Keyed by name; through JSON, so that both sides have the same types.
        ours, theirs = ({case["name"]: case for case in side} for side in (json.loads(json.dumps(cases)), stored[1:]))
        found = max(difference(ours, theirs, ""))
        print(f"{name:16} {len(cases):3} cases  {found[0]:.1e}  {found[1]}")
        worst = max(worst, found[0])
    print(f"torch {torch.__version__} against {stored[0]['torch']}: largest relative difference {worst:.1e}")
    return worst < 1e-11


def main():
    here = pathlib.Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=pathlib.Path, default=here, metavar="DIR")
    parser.add_argument("--check", action="store_true", help="compare with the files in DIR instead of writing them")
    arguments = parser.parse_args()

    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.filterwarnings("ignore", category=UserWarning, module="torch")
    files = all_cases()
    if arguments.check:
        sys.exit(0 if check(arguments.output, files) else 1)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, cases in files.items():
        write(arguments.output / f"{name}.jsonl.gz", cases)


if __name__ == "__main__":
    main()
