// A user's program: builds vgg, evaluates one image, takes as many training steps as it is told, and waits.
#include <cstdlib>
#include <iostream>
#include <strata/strata.hpp>

namespace st = strata;

void add_stage(st::Sequential<float>& net, st::Index in, st::Index out) {
  for (const st::Index channels : {in, out})
    net.add(st::Conv2D<float>{channels, out, 3, {.padding = 1, .bias = false}})
        .add(st::SpatialBatchNorm<float>{out})
        .add(st::ReLU<float>{});
  net.add(st::MaxPool2D<float>{2});
}

int main(int argc, char** argv) {
  st::Sequential<float> net;
  add_stage(net, 3, 32);
  add_stage(net, 32, 64);
  add_stage(net, 64, 128);
  net.add(st::Flatten<float>{}).add(st::Linear<float>{2048, 256}).add(st::BatchNorm1D<float>{256});
  net.add(st::ReLU<float>{}).add(st::Dropout<float>{0.5}).add(st::Linear<float>{256, 10});

  st::Random random(0);
  st::Tensor<float> scores = net.infer(random.normal<float>({1, 3, 32, 32}));

  const int steps = argc > 1 ? std::atoi(argv[1]) : 0;
  if (steps > 0) {
    const auto images = random.normal<float>({64, 3, 32, 32});
    const st::Labels labels(64, 0);
    const st::SoftmaxCrossEntropy<float> loss;
    st::SGD<float> optimizer{{.learning_rate = 0.01, .momentum = 0.9}};
    for (int step = 0; step < steps; ++step) {
      auto result = loss(net.forward(images), labels);
      net.backward_parameters(std::move(result.gradient));
      optimizer.step(net.parameters());
    }
  }
  std::cout << "{\"score\": " << scores(0, 0) << "}" << std::endl;
  std::cin.get();
}
