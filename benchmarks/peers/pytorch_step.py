#!/usr/bin/python3
"""Times PyTorch's training step of a model; prints one JSON line a round, as benchmarks/step.cpp does.

A step is forward, cross-entropy, backward and SGD with momentum on one fixed batch. The networks are those of
examples/models. Runs with PyTorch 1.13 and newer.
"""
import argparse
import json
import time

import torch
from torch import nn


def conv_norm_relu(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def vgg(image):
    features = []
    inputs = 3
    for outputs in (32, 64, 128):
        features += conv_norm_relu(inputs, outputs) + conv_norm_relu(outputs, outputs) + [nn.MaxPool2d(2)]
        inputs = outputs
    width = 128 * (image // 8) ** 2
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(width, 256), nn.BatchNorm1d(256), nn.ReLU(inplace=True),
                         nn.Dropout(0.5), nn.Linear(256, 10))


def quick(image):
    features = nn.Sequential(
        nn.Conv2d(3, 32, 5, padding=2), nn.MaxPool2d(3, 2), nn.ReLU(inplace=True),
        nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(inplace=True), nn.AvgPool2d(3, 2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(inplace=True), nn.AvgPool2d(3, 2), nn.Flatten())
    with torch.no_grad():
        width = features(torch.zeros(1, 3, image, image)).shape[1]
    return nn.Sequential(features, nn.Linear(width, 64), nn.Linear(64, 10))


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        same_shape = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same_shape else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return torch.relu_(self.body(x) + self.shortcut(x))


def resnet(image):
    return nn.Sequential(*conv_norm_relu(3, 16), ResidualBlock(16, 16, 1), ResidualBlock(16, 32, 2),
                         ResidualBlock(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def measure(args):
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    net = {"vgg": vgg, "quick": quick, "resnet": resnet}[args.model](args.image).train()
    images = torch.randn(args.batch, 3, args.image, args.image)
    labels = torch.randint(0, 10, (args.batch,))
    if args.channels_last:
        net = net.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    # The list form of the update saves a dispatch a parameter.
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, foreach=True)
    run = torch.compile(net) if args.compile else net
    loss_function = nn.CrossEntropyLoss()

    for step in range(-args.warmup, args.rounds):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(run(images), labels)
        loss.backward()
        optimizer.step()
        milliseconds = 1e3 * (time.perf_counter() - start)
        if step >= 0:
            print(json.dumps({"ms": milliseconds, "loss": loss.item()}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="vgg", choices=["vgg", "quick", "resnet"])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--image", type=int, default=32, help="height and width")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile; needs PyTorch 2 and a C++ compiler")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
