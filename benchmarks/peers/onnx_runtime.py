"""ONNX Runtime's side of the evaluation of whole networks, on networks written node by node."""
import numpy
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from protocol import serve


class Graph:
    """Nodes and random weights of a network; each call appends a layer and returns the name of its output."""

    def __init__(self):
        self.nodes = []
        self.weights = []
        self.random = numpy.random.default_rng(0)

    def node(self, operation, *inputs, **attributes):
        output = f"{operation}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [output], **attributes))
        return output

    def weight(self, values):
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values.astype(numpy.float32), name))
        return name

    def conv(self, x, inputs, outputs, kernel=3, stride=1):
        fan_in = inputs * kernel * kernel
        weight = self.random.standard_normal((outputs, inputs, kernel, kernel)) / fan_in ** 0.5
        pad = kernel // 2
        return self.node("Conv", x, self.weight(weight), kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4)

    def norm(self, x, channels):
        state = [self.weight(self.random.uniform(0.5, 1.5, channels)) for _ in range(4)]
        return self.node("BatchNormalization", x, *state)

    def relu(self, x):
        return self.node("Relu", x)

    def linear(self, x, inputs, outputs):
        weight = self.random.standard_normal((outputs, inputs)) / inputs ** 0.5
        return self.node("Gemm", x, self.weight(weight), self.weight(numpy.zeros(outputs)), transB=1)

    def model(self, output, sample):
        graph = helper.make_graph(
            self.nodes, "network", [helper.make_tensor_value_info("image", TensorProto.FLOAT, sample)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def vgg(batch):
    net = Graph()
    x, inputs = "image", 3
    for outputs in (32, 64, 128):
        x = net.relu(net.norm(net.conv(x, inputs, outputs), outputs))
        x = net.relu(net.norm(net.conv(x, outputs, outputs), outputs))
        x = net.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        inputs = outputs
    x = net.relu(net.norm(net.linear(net.node("Flatten", x), 2048, 256), 256))
    return net.model(net.linear(x, 256, 10), [batch, 3, 32, 32])


def resnet(batch):
    net = Graph()

    def block(x, inputs, outputs, stride):
        y = net.relu(net.norm(net.conv(x, inputs, outputs, stride=stride), outputs))
        y = net.norm(net.conv(y, outputs, outputs), outputs)
        same_shape = inputs == outputs and stride == 1
        shortcut = x if same_shape else net.norm(net.conv(x, inputs, outputs, 1, stride), outputs)
        return net.relu(net.node("Add", y, shortcut))

    x = net.relu(net.norm(net.conv("image", 3, 16), 16))
    x = block(block(block(x, 16, 16, 1), 16, 32, 2), 32, 64, 2)
    x = net.node("Flatten", net.node("GlobalAveragePool", x))
    return net.model(net.linear(x, 64, 10), [batch, 3, 32, 32])


def prepare(case):
    if case["task"] != "infer":
        raise ValueError("ONNX Runtime is measured on evaluation alone")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = case["threads"]
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    model = {"vgg": vgg, "resnet": resnet}[case["network"]](case["batch"])
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    image = numpy.random.default_rng(1).standard_normal((case["batch"], 3, 32, 32), dtype=numpy.float32)
    return lambda: session.run(None, {"image": image})


if __name__ == "__main__":
    serve(prepare)
