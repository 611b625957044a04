"""The networks of examples/models in PyTorch 1.13 and newer."""
import torch
from torch import nn


def conv_norm_relu(inputs, outputs, stride=1):
    return [nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True)]


def vgg(channels, image):
    features = []
    inputs = channels
    for outputs in (32, 64, 128):
        features += conv_norm_relu(inputs, outputs) + conv_norm_relu(outputs, outputs) + [nn.MaxPool2d(2)]
        inputs = outputs
    width = 128 * (image // 8) ** 2
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(width, 256), nn.BatchNorm1d(256), nn.ReLU(inplace=True),
                         nn.Dropout(0.5), nn.Linear(256, 10))


def quick(channels, image):
    features = nn.Sequential(
        nn.Conv2d(channels, 32, 5, padding=2), nn.MaxPool2d(3, 2), nn.ReLU(inplace=True),
        nn.Conv2d(32, 32, 5, padding=2), nn.ReLU(inplace=True), nn.AvgPool2d(3, 2),
        nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(inplace=True), nn.AvgPool2d(3, 2), nn.Flatten())
    with torch.no_grad():
        width = features(torch.zeros(1, channels, image, image)).shape[1]
    return nn.Sequential(features, nn.Linear(width, 64), nn.Linear(64, 10))


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(
            *conv_norm_relu(inputs, outputs, stride),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs))
        same_shape = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same_shape else nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return torch.relu_(self.body(x) + self.shortcut(x))


def resnet(channels, _image):
    return nn.Sequential(*conv_norm_relu(channels, 16), ResidualBlock(16, 16, 1), ResidualBlock(16, 32, 2),
                         ResidualBlock(32, 64, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def block(channels, _image):
    return nn.Sequential(*conv_norm_relu(channels, channels))


NETWORKS = {"vgg": vgg, "quick": quick, "resnet": resnet, "block": block}
