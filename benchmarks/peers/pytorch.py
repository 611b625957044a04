"""PyTorch's side of the measurements of whole networks; PyTorch 1.13 and newer.

A case may name a `layout`, "NCHW" or "channels-last", and ask to `compile`.
"""
import torch
from torch import nn

from protocol import serve
from pytorch_networks import NETWORKS


def prepare(case):
    torch.manual_seed(0)
    torch.set_num_threads(case["threads"])
    torch.set_flush_denormal(True)
    layout = torch.channels_last if case.get("layout") == "channels-last" else torch.contiguous_format
    channels, image = case.get("channels", 3), case.get("image", 32)
    net = NETWORKS[case["network"]](channels, image).to(memory_format=layout)
    images = torch.randn(case["batch"], channels, image, image).to(memory_format=layout)
    task = {"train": training_step, "infer": evaluation, "forward-backward": forward_backward}[case["task"]]
    return task(net, images, compiler(case))


def compiler(case):
    if not case.get("compile"):
        return lambda net: net
    import torch._inductor.config
    torch._dynamo.reset()
    torch._inductor.config.freezing = case["task"] == "infer"  # folds norms into convolutions
    return torch.compile


def training_step(net, images, compiled):
    labels = torch.randint(0, 10, (len(images),))
    loss_function = nn.CrossEntropyLoss()
    # The list form of the update saves a dispatch a parameter.
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, foreach=True)
    run = compiled(net.train())

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss_function(run(images), labels).backward()
        optimizer.step()

    return step


def evaluation(net, images, compiled):
    run = compiled(net.eval())

    def evaluate():
        with torch.inference_mode():
            run(images)

    return evaluate


def forward_backward(net, images, compiled):
    run = compiled(net.train())
    images.requires_grad_()
    dy = torch.randn_like(run(images))

    def step():
        images.grad = None
        net.zero_grad(set_to_none=True)
        run(images).backward(dy)

    return step


if __name__ == "__main__":
    serve(prepare)
