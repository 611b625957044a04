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
std::function<void(st::Batch<float>)> training_step(std::shared_ptr<st::Layer<float>> net) {
  auto optimizer = std::make_shared<st::SGD<float>>(st::SGDOptions{.learning_rate = 0.01, .momentum = 0.9});
  return
      [=, parameters = net->parameters(), loss = st::SoftmaxCrossEntropy<float>{}](st::Batch<float> batch) {
        auto result = loss(net->forward(std::move(batch.samples)), batch.labels);
        net->backward_parameters(std::move(result.gradient));
        optimizer->step(parameters);
      };
}

// Batches of one epoch after the other, with as many images as CIFAR-10 has and all augmentations on.
class Batches {
 public:
  explicit Batches(st::Index size) : Batches(size, st::synthetic(50'000)) {}

  st::Batch<float> next() {
    auto batch = loader_.next();
    while (!batch) {
      loader_.start_epoch(++epoch_);
      batch = loader_.next();
    }
    return std::move(*batch);
  }

 private:
  Batches(st::Index size, const std::shared_ptr<const st::ImageDataset>& images)
      : loader_(images, {.batch_size = size,
                         .drop_last = true,
                         .augmentation = {.crop_padding = 4, .horizontal_flip = true, .cutout = 8},
                         .standardization = st::standardization_of(*images)}) {
    loader_.start_epoch(epoch_);
  }

  st::DataLoader<float> loader_;
  st::Index epoch_ = 0;
};

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
    work.call = [=, step = training_step(net)] { step({st::copy(images), labels}); };
  } else if (task == "train-loaded") {
    work.call = [step = training_step(net), batches = std::make_shared<Batches>(batch)] {
      step(batches->next());
    };
  } else if (task == "wait") {  // between training steps
    const auto batches = std::make_shared<Batches>(batch);
    const auto next = std::make_shared<st::Batch<float>>(batches->next());
    work.before = [=, step = training_step(net)] { step(std::move(*next)); };
    work.call = [=] { *next = batches->next(); };
  } else if (task == "infer") {
    const auto model = std::make_shared<const st::Inference<float>>(*net);
    work.call = [=] { (*model)(images); };
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
