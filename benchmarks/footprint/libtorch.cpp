// footprint/strata.cpp for libtorch.
#include <cstdlib>
#include <iostream>
#include <torch/torch.h>

namespace nn = torch::nn;

void add_stage(nn::Sequential& net, int in, int out) {
  for (const int channels : {in, out}) {
    net->push_back(nn::Conv2d(nn::Conv2dOptions(channels, out, 3).padding(1).bias(false)));
    net->push_back(nn::BatchNorm2d(out));
    net->push_back(nn::ReLU(nn::ReLUOptions(true)));
  }
  net->push_back(nn::MaxPool2d(2));
}

int main(int argc, char** argv) {
  torch::manual_seed(0);
  nn::Sequential net;
  add_stage(net, 3, 32);
  add_stage(net, 32, 64);
  add_stage(net, 64, 128);
  net->push_back(nn::Flatten());
  net->push_back(nn::Linear(2048, 256));
  net->push_back(nn::BatchNorm1d(256));
  net->push_back(nn::ReLU(nn::ReLUOptions(true)));
  net->push_back(nn::Dropout(0.5));
  net->push_back(nn::Linear(256, 10));

  float score = 0;
  {
    torch::NoGradGuard no_gradients;
    net->eval();
    score = net->forward(torch::randn({1, 3, 32, 32})).index({0, 0}).item<float>();
    net->train();
  }
  const int steps = argc > 1 ? std::atoi(argv[1]) : 0;
  if (steps > 0) {
    const auto images = torch::randn({64, 3, 32, 32});
    const auto labels = torch::zeros({64}, torch::kLong);
    torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.01).momentum(0.9));
    for (int step = 0; step < steps; ++step) {
      optimizer.zero_grad();
      nn::functional::cross_entropy(net->forward(images), labels).backward();
      optimizer.step();
    }
  }
  std::cout << "{\"score\": " << score << "}" << std::endl;
  std::cin.get();
}
