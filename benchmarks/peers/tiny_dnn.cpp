// tiny-dnn's training step of the vgg network.
#include <omp.h>
#include <random>
#include <stdexcept>
#include <tiny_dnn/tiny_dnn.h>

#include "benchmarks/protocol.hpp"

namespace tn = tiny_dnn;
using Net = tn::network<tn::sequential>;

namespace {

// Without the bias, which the norm cancels, its convolution reads past the end of its arguments.
void add_conv_norm(Net& net, unsigned side, unsigned inputs, unsigned outputs) {
  net << tn::convolutional_layer<tn::activation::identity>(side, side, 3, inputs, outputs, tn::padding::same)
      << tn::batch_normalization_layer(side * side, outputs);
}

// Activations belong to layers here: a linear layer of scale 1 is a ReLU alone, and pooling before ReLU gives
// what ReLU before pooling does.
void add_vgg(Net& net) {
  unsigned side = 32, inputs = 3;
  for (const unsigned outputs : {32, 64, 128}) {
    add_conv_norm(net, side, inputs, outputs);
    net << tn::linear_layer<tn::activation::relu>(side * side * outputs);
    add_conv_norm(net, side, outputs, outputs);
    net << tn::max_pooling_layer<tn::activation::relu>(side, side, outputs, 2);
    side /= 2;
    inputs = outputs;
  }
  net << tn::fully_connected_layer<tn::activation::identity>(side * side * inputs, 256)
      << tn::batch_normalization_layer(1, 256) << tn::linear_layer<tn::activation::relu>(256)
      << tn::dropout_layer(256, 0.5f) << tn::fully_connected_layer<tn::activation::softmax>(256, 10);
}

benchmarks::Work prepare(const nlohmann::json& request) {
  if (request.at("network") != "vgg" || request.at("task") != "train")
    throw std::invalid_argument("tiny-dnn is measured on the training step of vgg alone");
  omp_set_num_threads(request.at("threads"));
  const std::size_t batch = request.at("batch");

  std::mt19937 generator(0);
  std::normal_distribution<float> normal;
  std::vector<tn::vec_t> images(batch, tn::vec_t(3 * 32 * 32));
  std::vector<tn::label_t> labels;
  for (tn::vec_t& image : images) {
    for (float& value : image) value = normal(generator);
    labels.push_back(generator() % 10);
  }
  auto net = std::make_shared<Net>();
  add_vgg(*net);
  benchmarks::Work work;
  work.call = [=, optimizer = tn::momentum()]() mutable {
    net->train<tn::cross_entropy_multiclass>(optimizer, images, labels, batch, 1);
  };
  return work;
}

}  // namespace

int main() {
  benchmarks::serve(prepare);
}
