// usage: rooms TRIP
// Makes a trip through the library twice and leaves counters of the lines that ran the second time, when all
// is ready that is made once. rooms.py runs it and reads the counters; it is built with --coverage.

#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <unistd.h>

#include "models/cifar.hpp"

extern "C" void __gcov_reset();
extern "C" void __gcov_dump();

namespace {

using namespace strata;

Tensor<float> images(std::size_t count, std::size_t channels, std::size_t side) {
  return Random(1).normal<float>({count, channels, side, side});
}

// What holds the network and its input, and runs it.
using Trip = std::function<void()>;

Trip instance_norm(bool reference) {
  set_reference(reference);
  const auto norm = std::make_shared<InstanceNorm2D<float>>(16);
  return [norm, x = images(8, 16, 32), dy = images(8, 16, 32)] {
    norm->forward(x);
    norm->backward(dy);
  };
}

Trip training_step() {
  const auto net =
      std::make_shared<Sequential<float>>(Conv2D<float>{16, 32, 3, {.padding = 1, .bias = false}},
                                          SpatialBatchNorm<float>{32}, ReLU<float>{}, MaxPool2D<float>{2});
  return [net, x = images(8, 16, 32), dy = images(8, 32, 16)] {
    net->forward(x);
    net->backward_parameters(dy);
  };
}

Trip resnet(std::size_t batch) {
  const auto model = std::make_shared<const Inference<float>>(models::resnet<float>({3, 32, 32}, 10));
  return [model, x = images(batch, 3, 32)] { (*model)(x); };
}

const std::map<std::string, std::function<Trip()>> trips{
    {"instance_norm_reference", [] { return instance_norm(true); }},
    {"instance_norm", [] { return instance_norm(false); }},
    {"training_step", training_step},
    {"resnet_1", [] { return resnet(1); }},
    {"resnet_64", [] { return resnet(64); }},
};

}  // namespace

int main(int argc, char** argv) {
  const auto trip = trips.find(argc == 2 ? argv[1] : "");
  if (trip == trips.end()) {
    std::cerr << "usage: rooms TRIP, one of:";
    for (const auto& [name, prepare] : trips) std::cerr << ' ' << name;
    std::cerr << '\n';
    return 2;
  }
  set_num_threads(2);  // whatever the machine has
  const Trip run = trip->second();
  run();
  __gcov_reset();
  run();
  __gcov_dump();
  _exit(0);  // what ends the program belongs to no trip
}
