"""Trains PyTorch's vgg on Fashion-MNIST as accuracy.cpp does, and prints the same lines.

The images stay in memory as bytes and a batch is made by whole-tensor operations, which is faster than a DataLoader.
"""
import argparse
import gzip
import json

import numpy
import torch
from torch import nn

from pytorch_networks import NETWORKS


def read_idx(path):
    with gzip.open(path, "rb") as file:
        data = file.read()
    rank = data[3]
    shape = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(rank)]
    return torch.from_numpy(numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * rank).reshape(shape).copy())


def load(folder, name):
    images = read_idx(f"{folder}/{name}-images-idx3-ubyte.gz").unsqueeze(1)
    return images, read_idx(f"{folder}/{name}-labels-idx1-ubyte.gz").long()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--target", type=float, default=0.92)
    parser.add_argument("--limit", type=int, help="train on so many images")
    args = parser.parse_args()
    print(json.dumps({"epoch": 0}), flush=True)
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    images, labels = load(args.data, "train")
    images, labels = images[:args.limit], labels[:args.limit]
    test_images, test_labels = load(args.data, "t10k")
    mean, deviation = images.double().mean().item(), images.double().std(unbiased=False).item()

    def batch_of(source, flips=None):
        x = (source.float() - mean) / deviation
        if flips is not None:
            x = torch.where(flips, x.flip(3), x)
        return x.contiguous(memory_format=torch.channels_last)

    net = NETWORKS["vgg"](1, 28).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, foreach=True)
    steps = (len(images) + 63) // 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=args.epochs * steps,
                                                   cycle_momentum=False)
    loss_function = nn.CrossEntropyLoss()
    for epoch in range(1, args.epochs + 1):
        net.train()
        order = torch.randperm(len(images))
        for indices in order.split(64):
            if len(indices) == 1:
                continue
            flips = torch.rand(len(indices), 1, 1, 1) < 0.5
            optimizer.zero_grad(set_to_none=True)
            loss_function(net(batch_of(images[indices], flips)), labels[indices]).backward()
            optimizer.step()
            schedule.step()
        net.eval()
        with torch.inference_mode():
            correct = sum((net(batch_of(x)).argmax(1) == y).sum().item()
                          for x, y in zip(test_images.split(64), test_labels.split(64)))
        accuracy = correct / len(test_labels)
        print(json.dumps({"epoch": epoch, "accuracy": accuracy}), flush=True)
        if accuracy >= args.target:
            break


if __name__ == "__main__":
    main()
