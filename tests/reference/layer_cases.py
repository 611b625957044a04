"""Which layers and losses are compared, in which configurations. Arguments have Strata's names."""
import contextlib

import torch
from torch import nn
from torch.nn import functional

# How a case of Strata's arguments is built in PyTorch.
BUILD = {
    "Conv2D": lambda in_channels, out_channels, kernel, **o: nn.Conv2d(
        in_channels, out_channels, pair(kernel), **pairs(o)),
    "ConvTranspose2D": lambda in_channels, out_channels, kernel, **o: nn.ConvTranspose2d(
        in_channels, out_channels, pair(kernel), **pairs(o)),
    "Linear": nn.Linear,
    "BatchNorm1D": lambda features, **o: nn.BatchNorm1d(features, **known(o)),
    "SpatialBatchNorm": lambda channels, **o: nn.BatchNorm2d(channels, **known(o)),
    "InstanceNorm2D": lambda channels, **o: nn.InstanceNorm2d(channels, **known({"affine": True, **o})),
    "GroupNorm": lambda groups, channels, **o: nn.GroupNorm(groups, channels, **o),
    "LayerNorm": lambda normalized_shape, eps=1e-5, affine=True: nn.LayerNorm(normalized_shape, eps, affine),
    "ReLU": nn.ReLU,
    "LeakyReLU": nn.LeakyReLU,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "Dropout": nn.Dropout,
    "Dropout2D": nn.Dropout2d,
    "MaxPool2D": lambda window, **o: nn.MaxPool2d(pair(window), **pairs(o)),
    "AvgPool2D": lambda window, **o: nn.AvgPool2d(pair(window), **pairs(o)),
    "GlobalAvgPool2D": lambda: nn.AdaptiveAvgPool2d(1),
    "Flatten": nn.Flatten,
    "Upsample2D": lambda scale: nn.Upsample(scale_factor=tuple(map(float, pair(scale))), mode="nearest"),
}


def pair(size):
    return (size, size) if isinstance(size, int) else tuple(size)


def pairs(options):
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}


def known(options):
    """Without the options that PyTorch does not have; RunningStatistics supplies those."""
    return {k: v for k, v in options.items() if k not in ("unbiased", "minimum_factor")}


class RunningStatistics:
    """The running averages of a norm, with the choices that PyTorch lacks.

    PyTorch averages the unbiased variance; Strata does with `unbiased`, and averages the biased one by default.
    PyTorch's InstanceNorm2d never counts batches and takes momentum None for 0; Strata counts them, and None is
    the cumulative average as in batch norm. `minimum_factor` bounds the cumulative average's 1/n from below.
    """

    def __init__(self, module, arguments):
        self.module = module if getattr(module, "running_mean", None) is not None else None
        self.is_instance = isinstance(module, nn.InstanceNorm2d)
        self.unbiased = arguments.get("unbiased", False)
        self.momentum = arguments.get("momentum", 0.1)
        self.minimum = arguments.get("minimum_factor", 0.0)
        self.batches = 0

    def buffers(self):
        if self.module is None:
            return []
        return [("running_mean", self.module.running_mean), ("running_var", self.module.running_var)]

    @contextlib.contextmanager
    def update(self, x, training):
        """Around a forward and backward pass."""
        if self.module is None or not training:
            yield
            return
        self.batches += 1
        factor = max(1 / self.batches, self.minimum) if self.momentum is None else self.momentum
        if self.momentum is None and (self.is_instance or self.minimum > 0):
            self.module.momentum = factor
        old = self.module.running_var.clone()
        yield
        if not self.unbiased:
            axes = [2, 3] if self.is_instance else [axis for axis in range(x.dim()) if axis != 1]
            variance = x.detach().var(axes, unbiased=False)
            if self.is_instance:
                variance = variance.mean(0)
            self.module.running_var.copy_((1 - factor) * old + factor * variance)


def layers():
    """(layer, name, arguments, shape of x, [(training, batch size)], module) of every case."""
    for layer, cases in CASES.items():
        for name, arguments, shape in cases:
            keeps_averages = layer in ("BatchNorm1D", "SpatialBatchNorm", "InstanceNorm2D")
            if keeps_averages:
                # Evaluation after three training batches, the batch size changing.
                batches = [(True, shape[0]), (True, shape[0] + 1), (True, shape[0]), (False, 3)]
            elif layer.startswith("Dropout"):
                # No two libraries draw the same mask; without dropping there is none.
                batches = [(arguments["p"] == 0, shape[0]), (False, shape[0] + 1)]
            else:
                batches = [(True, shape[0]), (False, shape[0] + 1)]
            yield layer, name, arguments, shape, batches, BUILD[layer](**arguments)


def conv(in_channels, out_channels, kernel, **options):
    return dict(in_channels=in_channels, out_channels=out_channels, kernel=kernel, **options)


# The same options for each layer that keeps running averages.
def norm_options(**size):
    return {
        "defaults": size,
        "as_pytorch": {**size, "unbiased": True},
        "slow_average": {**size, "momentum": 0.01, "unbiased": True},
        "last_batch_only": {**size, "momentum": 1.0},
        "cumulative": {**size, "momentum": None},
        "cumulative_unbiased": {**size, "momentum": None, "unbiased": True},
        "cumulative_with_minimum": {**size, "momentum": None, "minimum_factor": 0.4},
        "no_affine": {**size, "affine": False, "unbiased": True},
        "large_eps": {**size, "eps": 0.1},
    }


PLANE = (2, 3, 4, 5)
ELEMENTWISE = [
    ("features", {}, (3, 7)), ("images", {}, PLANE), ("one_sample", {}, (1, 2, 3, 3)),
    ("one_row", {}, (2, 1, 1, 9)), ("one_element", {}, (1, 1)), ("sequences", {}, (2, 3, 5)),
]
TRACKED = {"track_running_stats": True}

CASES = {
    "Conv2D": [
        ("kernel_1", conv(3, 4, 1), (2, 3, 4, 5)),
        ("kernel_3_padding_1", conv(2, 3, 3, padding=1), (2, 2, 6, 5)),
        ("kernel_3_padding_1_no_bias", conv(4, 4, 3, padding=1, bias=False), (1, 4, 5, 7)),
        ("kernel_5_padding_2", conv(1, 3, 5, padding=2), (2, 1, 7, 7)),
        ("kernel_2x3", conv(2, 2, [2, 3], padding=[0, 1]), (2, 2, 5, 4)),
        ("stride_2", conv(2, 3, 3, stride=2, padding=1), (2, 2, 7, 6)),
        ("stride_greater_than_kernel", conv(2, 2, 2, stride=3), (2, 2, 8, 7)),
        ("stride_1x2_padding_2x0", conv(1, 2, 3, stride=[1, 2], padding=[2, 0]), (2, 1, 4, 8)),
        ("dilation_2", conv(2, 2, 3, dilation=2, padding=2), (1, 2, 7, 6)),
        ("dilation_2x3_stride_2", conv(1, 2, [3, 2], dilation=[2, 3], stride=2, padding=1), (2, 1, 8, 9)),
        ("groups_2", conv(4, 6, 3, groups=2, padding=1), (2, 4, 4, 4)),
        ("depthwise", conv(3, 3, 3, groups=3, padding=1, bias=False), (2, 3, 5, 4)),
        ("depthwise_multiplier_2_stride_2", conv(2, 4, 3, groups=2, stride=2), (1, 2, 7, 7)),
        ("one_row", conv(2, 3, [1, 3], padding=[0, 1]), (2, 2, 1, 9)),
        ("kernel_is_image", conv(2, 3, [4, 5]), (3, 2, 4, 5)),
        ("padding_greater_than_image", conv(1, 2, 3, padding=3), (1, 1, 2, 2)),
        ("channels_17", conv(17, 5, 3, padding=1), (1, 17, 4, 4)),
    ],
    "ConvTranspose2D": [
        ("kernel_1", conv(3, 2, 1), (2, 3, 3, 4)),
        ("kernel_3", conv(2, 3, 3), (2, 2, 4, 3)),
        ("kernel_2_stride_2", conv(3, 2, 2, stride=2), (2, 3, 3, 3)),
        ("stride_2_padding_1_output_padding_1", conv(2, 2, 3, stride=2, padding=1, output_padding=1), (2, 2, 3, 4)),
        ("stride_3x2_output_padding_2x1", conv(1, 2, [3, 2], stride=[3, 2], output_padding=[2, 1]), (2, 1, 2, 3)),
        ("stride_greater_than_kernel", conv(2, 1, 2, stride=3), (1, 2, 3, 3)),
        ("dilation_2", conv(2, 2, 3, dilation=2, padding=1), (1, 2, 3, 4)),
        ("groups_2_no_bias", conv(4, 6, 3, groups=2, bias=False), (2, 4, 3, 3)),
        ("depthwise", conv(3, 3, 3, groups=3, padding=1), (1, 3, 4, 3)),
        ("one_row", conv(2, 2, [1, 3], stride=[1, 2]), (2, 2, 1, 5)),
    ],
    "Linear": [
        ("small", dict(in_features=3, out_features=4), (2, 3)),
        ("no_bias", dict(in_features=5, out_features=2, bias=False), (3, 5)),
        ("one_sample", dict(in_features=4, out_features=3), (1, 4)),
        ("one_input", dict(in_features=1, out_features=3), (4, 1)),
        ("one_output", dict(in_features=6, out_features=1), (3, 6)),
        ("wide", dict(in_features=17, out_features=9), (5, 17)),
    ],
    "BatchNorm1D":
        [("features_" + name, options, (4, 3)) for name, options in norm_options(features=3).items()] +
        [("sequences_" + name, options, (2, 3, 5)) for name, options in norm_options(features=3).items()] +
        [("no_running_statistics", dict(features=3, track_running_stats=False), (4, 3)),
         ("sequence_of_one_sample", dict(features=2, unbiased=True), (1, 2, 6)),
         ("one_feature", dict(features=1), (5, 1))],
    "SpatialBatchNorm":
        [(name, options, (2, 3, 3, 4)) for name, options in norm_options(channels=3).items()] +
        [("no_running_statistics", dict(channels=3, track_running_stats=False), (2, 3, 3, 2)),
         ("one_sample", dict(channels=2, unbiased=True), (1, 2, 3, 4)),
         ("one_row", dict(channels=2), (2, 2, 1, 7)),
         ("one_channel", dict(channels=1), (2, 1, 4, 3)),
         ("one_pixel", dict(channels=3), (5, 3, 1, 1))],
    "InstanceNorm2D":
        [("tracked_" + name, {**options, **TRACKED}, (2, 3, 3, 4))
         for name, options in norm_options(channels=3).items()] +
        [("defaults", dict(channels=3), (2, 3, 4, 4)),
         ("no_affine", dict(channels=3, affine=False), (2, 3, 3, 4)),
         ("large_eps", dict(channels=2, eps=0.1), (2, 2, 3, 4)),
         ("one_sample", dict(channels=2), (1, 2, 3, 4)),
         ("one_row", dict(channels=2), (2, 2, 1, 7)),
         ("one_channel", dict(channels=1, unbiased=True, **TRACKED), (2, 1, 4, 3))],
    "GroupNorm": [
        ("groups_2", dict(groups=2, channels=4), (2, 4, 3, 3)),
        ("one_group", dict(groups=1, channels=3), (2, 3, 4, 3)),
        ("groups_of_one", dict(groups=3, channels=3), (2, 3, 4, 3)),
        ("no_affine", dict(groups=2, channels=6, affine=False), (2, 6, 2, 3)),
        ("large_eps", dict(groups=2, channels=4, eps=0.1), (2, 4, 3, 2)),
        ("one_sample", dict(groups=2, channels=4), (1, 4, 3, 3)),
        ("one_row", dict(groups=2, channels=4), (2, 4, 1, 5)),
        ("one_pixel", dict(groups=2, channels=8), (3, 8, 1, 1)),
    ],
    "LayerNorm": [
        ("features", dict(normalized_shape=[6]), (3, 6)),
        ("last_axis_of_images", dict(normalized_shape=[5]), (2, 3, 2, 5)),
        ("last_two_axes", dict(normalized_shape=[3, 4]), (2, 2, 3, 4)),
        ("whole_sample", dict(normalized_shape=[2, 3, 4]), (2, 2, 3, 4)),
        ("no_affine", dict(normalized_shape=[7], affine=False), (3, 7)),
        ("large_eps", dict(normalized_shape=[6], eps=0.1), (3, 6)),
        ("one_sample", dict(normalized_shape=[9]), (1, 9)),
    ],
    "ReLU": ELEMENTWISE,
    "LeakyReLU": ELEMENTWISE + [
        ("slope_0", dict(negative_slope=0.0), (3, 5)),
        ("slope_0_2", dict(negative_slope=0.2), (3, 5)),
        ("slope_1_5", dict(negative_slope=1.5), (3, 5)),
    ],
    "Sigmoid": ELEMENTWISE,
    "Tanh": ELEMENTWISE,
    "Dropout": [(name, dict(p=0.5), shape) for name, _, shape in ELEMENTWISE] + [
        ("p_0", dict(p=0.0), (3, 4)), ("p_0_9", dict(p=0.9), (3, 4))],
    "Dropout2D": [
        ("images", dict(p=0.5), PLANE), ("one_sample", dict(p=0.5), (1, 2, 3, 3)),
        ("one_row", dict(p=0.5), (2, 2, 1, 5)), ("one_channel", dict(p=0.5), (2, 1, 3, 3)),
        ("p_0", dict(p=0.0), PLANE), ("p_0_9", dict(p=0.9), PLANE),
    ],
    "MaxPool2D": [
        ("window_2", dict(window=2), (2, 3, 6, 4)),
        ("window_2_odd_image", dict(window=2), (2, 2, 5, 7)),
        ("window_3_stride_2", dict(window=3, stride=2), (2, 2, 7, 7)),
        ("window_3_stride_2_padding_1", dict(window=3, stride=2, padding=1), (1, 2, 6, 7)),
        ("window_3_stride_1_padding_1", dict(window=3, stride=1, padding=1), (1, 1, 5, 5)),
        ("window_2x3_stride_1x2_padding_1x0", dict(window=[2, 3], stride=[1, 2], padding=[1, 0]), (2, 1, 4, 7)),
        ("stride_greater_than_window", dict(window=2, stride=3), (2, 2, 8, 7)),
        ("one_row", dict(window=[1, 2]), (2, 2, 1, 9)),
        ("window_is_image", dict(window=[3, 4]), (2, 2, 3, 4)),
        ("window_1", dict(window=1), (1, 2, 3, 2)),
    ],
    "AvgPool2D": [
        ("window_2", dict(window=2), (2, 3, 6, 4)),
        ("window_2_odd_image", dict(window=2), (2, 2, 5, 7)),
        ("window_3_stride_2", dict(window=3, stride=2), (2, 2, 7, 7)),
        ("padding_counted", dict(window=3, stride=2, padding=1), (1, 2, 6, 7)),
        ("padding_not_counted", dict(window=3, stride=2, padding=1, count_include_pad=False), (1, 2, 6, 7)),
        ("window_2x3_stride_1x2_padding_1x0",
         dict(window=[2, 3], stride=[1, 2], padding=[1, 0], count_include_pad=False), (2, 1, 4, 7)),
        ("stride_greater_than_window", dict(window=2, stride=3), (2, 2, 8, 7)),
        ("one_row", dict(window=[1, 2]), (2, 2, 1, 9)),
        ("window_is_image", dict(window=[3, 4]), (2, 2, 3, 4)),
    ],
    "GlobalAvgPool2D": [
        ("square", {}, (2, 3, 4, 4)), ("rectangle", {}, (2, 2, 3, 5)), ("one_sample", {}, (1, 3, 2, 2)),
        ("one_row", {}, (2, 2, 1, 7)), ("one_pixel", {}, (2, 3, 1, 1)), ("one_channel", {}, (2, 1, 5, 3)),
    ],
    "Flatten": [
        ("images", {}, PLANE), ("one_sample", {}, (1, 2, 3, 3)), ("one_row", {}, (2, 2, 1, 5)),
        ("one_pixel", {}, (3, 4, 1, 1)), ("one_channel", {}, (2, 1, 3, 3)), ("sequences", {}, (2, 3, 4)),
    ],
    "Upsample2D": [
        ("scale_2", dict(scale=2), (2, 2, 3, 4)), ("scale_3", dict(scale=3), (1, 2, 2, 3)),
        ("scale_2x1", dict(scale=[2, 1]), (2, 2, 3, 2)), ("scale_1x3", dict(scale=[1, 3]), (2, 1, 2, 3)),
        ("scale_1", dict(scale=1), (2, 2, 2, 3)), ("one_pixel", dict(scale=4), (1, 3, 1, 1)),
    ],
}


def losses():
    """(loss, name, options, samples, classes, spread of the scores, function) of every case."""

    def entropy(smoothing):
        return lambda scores, labels: functional.cross_entropy(scores, labels, label_smoothing=smoothing)

    def hinge(margin):
        # PyTorch divides by the number of classes; CS231n and Strata do not.
        def function(scores, labels):
            gaps = scores.detach() - scores.detach().gather(1, labels[:, None]) + margin
            assert gaps.abs().min() > 1e-6, "a score stands on the hinge's kink"
            return scores.shape[1] * functional.multi_margin_loss(scores, labels, margin=margin)

        return function

    sizes = [("small", 3, 4, 1.0), ("one_sample", 1, 5, 1.0), ("two_classes", 6, 2, 2.0), ("ten_classes", 8, 10, 3.0)]
    for name, *size in sizes + [("huge_scores", 4, 5, 1e4), ("tiny_scores", 4, 5, 0.1)]:
        yield "SoftmaxCrossEntropy", name, {}, *size, entropy(0.0)
        yield "MulticlassHinge", name, {}, *size, hinge(1.0)
        yield "MeanSquaredError", name, {}, *size, functional.mse_loss
    for smoothing in (0.1, 0.5, 1.0):
        for name, *size in sizes:
            yield ("SoftmaxCrossEntropy", f"{name}_smoothing_{smoothing}".replace(".", "_"),
                   {"label_smoothing": smoothing}, *size, entropy(smoothing))
    for margin in (0.5, 2.0):
        yield "MulticlassHinge", f"margin_{margin}".replace(".", "_"), {"margin": margin}, 5, 4, 1.0, hinge(margin)
