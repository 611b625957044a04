// dlib's training step of the vgg network, single-threaded but for OpenBLAS.
#include <dlib/dnn.h>
#include <random>
#include <stdexcept>

#include <cblas.h>

#include "benchmarks/protocol.hpp"

using namespace dlib;

namespace {

template <int outputs, class Below>
using conv_norm_relu = relu<bn_con<add_layer<con_<outputs, 3, 3, 1, 1, 1, 1>, Below>>>;
template <int outputs, class Below>
using stage = max_pool<2, 2, 2, 2, conv_norm_relu<outputs, conv_norm_relu<outputs, Below>>>;
using Image = std::array<matrix<float>, 3>;
using Features = stage<128, stage<64, stage<32, input<Image>>>>;
using Vgg = loss_multiclass_log<fc<10, dropout<relu<bn_fc<fc<256, Features>>>>>>;

benchmarks::Work prepare(const nlohmann::json& request) {
  if (request.at("network") != "vgg" || request.at("task") != "train")
    throw std::invalid_argument("dlib is measured on the training step of vgg alone");
  openblas_set_num_threads(request.at("threads"));
  const long batch = request.at("batch");

  auto net = std::make_shared<Vgg>();
  disable_duplicative_biases(*net);
  std::mt19937 generator(0);
  std::normal_distribution<float> normal;
  std::vector<Image> images(batch);
  std::vector<unsigned long> labels;
  for (Image& image : images) {
    for (matrix<float>& channel : image) {
      channel.set_size(32, 32);
      for (float& value : channel) value = normal(generator);
    }
    labels.push_back(generator() % 10);
  }
  auto x = std::make_shared<resizable_tensor>();
  net->to_tensor(images.begin(), images.end(), *x);

  std::vector<sgd> solvers(Vgg::num_computational_layers, sgd(0, 0.9f));
  benchmarks::Work work;
  work.call = [=]() mutable {
    net->compute_parameter_gradients(*x, labels.begin());
    net->update_parameters(solvers, 0.01);
  };
  return work;
}

}  // namespace

int main() {
  benchmarks::serve(prepare);
}
