// Strata's side of the measurements of whole networks; see protocol.hpp for how it is asked.
#include <memory>
#include <stdexcept>
#include <string>

#include "benchmarks/protocol.hpp"
#include "models/cifar.hpp"

namespace st = strata;
using benchmarks::Work;
using nlohmann::json;

namespace {

std::shared_ptr<st::Layer<float>> make_network(const json& request, const st::Shape& sample) {
  const std::string name = request.at("network");
  if (name == "vgg") return std::make_shared<st::Sequential<float>>(st::models::vgg<float>(sample, 10));
  if (name == "quick") return std::make_shared<st::Sequential<float>>(st::models::quick<float>(sample, 10));
  if (name == "resnet") return std::make_shared<st::Graph<float>>(st::models::resnet<float>(sample, 10));
  if (name == "block") {
    const auto channels = static_cast<st::Index>(sample.at(0));
    auto block = std::make_shared<st::Sequential<float>>();
    st::models::conv_norm_relu(*block, channels, channels, 3, st::models::Norm::batch);
    return block;
  }
  throw std::invalid_argument("unknown network '" + name + "'");
}

// Forward, cross-entropy, backward, SGD with momentum.
std::function<void()> training_step(std::shared_ptr<st::Layer<float>> net, st::Tensor<float> images,
                                    st::Labels labels) {
  auto optimizer = std::make_shared<st::SGD<float>>(st::SGDOptions{.learning_rate = 0.01, .momentum = 0.9});
  return [=, parameters = net->parameters(), loss = st::SoftmaxCrossEntropy<float>{}] {
    auto result = loss(net->forward(st::copy(images)), labels);
    net->backward_parameters(std::move(result.gradient));
    optimizer->step(parameters);
  };
}

Work prepare(const json& request) {
  st::set_num_threads(request.at("threads"));
  const std::size_t batch = request.at("batch"), image = request.value("image", 32);
  const st::Shape sample{request.value("channels", std::size_t{3}), image, image};
  const st::Shape shape{batch, sample[0], image, image};
  const std::shared_ptr<st::Layer<float>> net = make_network(request, sample);
  net->initialize(0);
  st::Random random(1);
  auto images = random.normal<float>(shape);

  Work work;
  work.about["multiply_adds"] = net->multiply_adds(st::models::batch_of_one(sample));
  const std::string task = request.at("task");
  if (task == "train") {
    st::Labels labels;
    for (std::size_t i = 0; i < batch; ++i) labels.push_back(static_cast<std::int32_t>(random.below(10)));
    work.call = training_step(net, std::move(images), std::move(labels));
  } else if (task == "infer") {
    net->eval();
    work.call = [=] { net->infer(images); };
  } else if (task == "forward-backward") {
    work.call = [=, dy = random.normal<float>(net->output_shape(shape))] {
      net->forward(st::copy(images));
      net->backward(st::copy(dy));
    };
  } else {
    throw std::invalid_argument("unknown task '" + task + "'");
  }
  return work;
}

}  // namespace

int main() {
  benchmarks::serve(prepare);
}
