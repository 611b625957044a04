#include "benchmarks/layer_factory.hpp"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "strata/framework/runtime/parallel.hpp"
#include "strata/strata.hpp"

namespace benchmarks {
namespace {

namespace st = strata;
using nlohmann::json;
using LayerPointer = std::unique_ptr<st::Layer<float>>;
using Tensors = std::vector<st::Tensor<float>>;

constexpr st::Index kGrain = st::Index{1} << 15;

// Normal numbers, the same few over and over: they stay in the cache next to each core.
st::Tensor<float> numbers(const st::Shape& shape) {
  static const auto block = st::Random(1).normal<float>({static_cast<std::size_t>(kGrain)});
  auto result = st::empty<float>(shape);
  st::parallel_ranges(static_cast<st::Index>(result.size()), kGrain, [&](st::Index begin, st::Index end) {
    std::copy_n(block.data(), end - begin, result.data() + begin);
  });
  return result;
}

class LayerSubject final : public Subject {
 public:
  LayerSubject(LayerPointer layer, const st::Shape& shape) : layer_(std::move(layer)), shape_(shape) {
    layer_->initialize(0);
  }
  void make_input() override {
    dx_ = {};
    x_ = numbers(shape_);
  }
  void forward() override { y_ = layer_->forward(std::move(x_)); }
  void make_gradient() override {
    y_ = {};
    dy_ = numbers(layer_->output_shape(shape_));
  }
  void backward() override { dx_ = layer_->backward(std::move(dy_)); }

 private:
  LayerPointer layer_;
  const st::Shape shape_;
  st::Tensor<float> x_, y_, dy_, dx_;
};

class JoinSubject final : public Subject {
 public:
  JoinSubject(std::unique_ptr<st::Join<float>> join, std::vector<st::Shape> shapes)
      : join_(std::move(join)), shapes_(std::move(shapes)) {}
  void make_input() override {
    dx_.clear();
    x_.clear();
    for (const st::Shape& shape : shapes_) x_.push_back(numbers(shape));
  }
  void forward() override { y_ = join_->forward(std::move(x_)); }
  void make_gradient() override {
    y_ = {};
    dy_ = numbers(join_->output_shape(shapes_));
  }
  void backward() override { dx_ = join_->backward(std::move(dy_), shapes_); }

 private:
  std::unique_ptr<st::Join<float>> join_;
  const std::vector<st::Shape> shapes_;
  Tensors x_, dx_;
  st::Tensor<float> y_, dy_;
};

// Compiled for the processor at hand, as the kernels are.
__attribute__((target_clones("avx512f", "avx2", "default"))) void add(float* a, const float* b,
                                                                      st::Index count) {
  for (st::Index i = 0; i < count; ++i) a[i] += b[i];
}

class FloorSubject final : public Subject {
 public:
  explicit FloorSubject(st::Index count) : shape_{static_cast<std::size_t>(count)}, count_(count) {}
  void make_input() override {
    dy_ = {};
    x_ = numbers(shape_);
  }
  void forward() override {
    y_ = st::empty<float>(shape_);
    st::parallel_ranges(count_, kGrain, [&](st::Index begin, st::Index end) {
      std::copy(x_.data() + begin, x_.data() + end, y_.data() + begin);
    });
  }
  void make_gradient() override {
    y_ = {};
    dy_ = numbers(shape_);
  }
  void backward() override {
    st::parallel_ranges(count_, kGrain, [&](st::Index begin, st::Index end) {
      add(dy_.data() + begin, x_.data() + begin, end - begin);
    });
    x_ = {};
  }

 private:
  const st::Shape shape_;
  const st::Index count_;
  st::Tensor<float> x_, y_, dy_;
};

template <class L, class... Arguments>
LayerPointer make(Arguments&&... arguments) {
  return std::make_unique<L>(std::forward<Arguments>(arguments)...);
}

LayerPointer make_layer(const json& entry, const json& shape, const std::vector<std::size_t>& input) {
  using T = float;
  const std::string name = entry.at("layer");
  const auto channels = static_cast<st::Index>(input.at(1));
  const auto option = [&](const char* key, st::Index otherwise) { return entry.value(key, otherwise); };
  const auto out = [&] { return shape.at("out").get<st::Index>(); };
  const bool bias = entry.value("bias", true);

  if (name == "Conv2D") {
    const st::Index groups = entry.value("groups", json(1)) == "depthwise" ? channels : option("groups", 1);
    return make<st::Conv2D<T>>(channels, out(), option("kernel", 1),
                               st::Conv2DOptions{.stride = option("stride", 1),
                                                 .padding = option("padding", 0),
                                                 .dilation = option("dilation", 1),
                                                 .groups = groups,
                                                 .bias = bias});
  }
  if (name == "ConvTranspose2D")
    return make<st::ConvTranspose2D<T>>(
        channels, out(), option("kernel", 1),
        st::ConvTranspose2DOptions{.stride = option("stride", 1),
                                   .padding = option("padding", 0),
                                   .output_padding = option("output_padding", 0),
                                   .bias = bias});
  if (name == "Linear") return make<st::Linear<T>>(channels, out(), st::LinearOptions{.bias = bias});
  if (name == "BatchNorm1D") return make<st::BatchNorm1D<T>>(channels);
  if (name == "SpatialBatchNorm") return make<st::SpatialBatchNorm<T>>(channels);
  if (name == "SpatialBatchNorm + ReLU")
    return make<st::Sequential<T>>(st::SpatialBatchNorm<T>{channels}, st::ReLU<T>{});
  if (name == "InstanceNorm2D") return make<st::InstanceNorm2D<T>>(channels);
  if (name == "GroupNorm") return make<st::GroupNorm<T>>(shape.at("groups").get<st::Index>(), channels);
  if (name == "LayerNorm") return make<st::LayerNorm<T>>(st::Shape(input.begin() + 1, input.end()));
  if (name == "ReLU") return make<st::ReLU<T>>();
  if (name == "LeakyReLU") return make<st::LeakyReLU<T>>();
  if (name == "Sigmoid") return make<st::Sigmoid<T>>();
  if (name == "Tanh") return make<st::Tanh<T>>();
  if (name == "Dropout") return make<st::Dropout<T>>(0.5);
  if (name == "Dropout2D") return make<st::Dropout2D<T>>(0.5);
  if (name == "MaxPool2D")
    return make<st::MaxPool2D<T>>(option("kernel", 1), st::MaxPool2DOptions{.stride = option("stride", 1),
                                                                            .padding = option("padding", 0)});
  if (name == "AvgPool2D")
    return make<st::AvgPool2D<T>>(option("kernel", 1), st::AvgPool2DOptions{.stride = option("stride", 1),
                                                                            .padding = option("padding", 0)});
  if (name == "GlobalAvgPool2D") return make<st::GlobalAvgPool2D<T>>();
  if (name == "Upsample2D") return make<st::Upsample2D<T>>(option("scale", 1));
  if (name == "Flatten") return make<st::Flatten<T>>();
  throw std::invalid_argument("layers.json names an unknown layer '" + name + "'");
}

}  // namespace

std::unique_ptr<Subject> make_subject(const json& entry, const json& shape) {
  const auto extents = shape.at("input").get<std::vector<std::size_t>>();
  const st::Shape input(extents.begin(), extents.end());
  const std::string name = entry.at("layer");
  const std::vector<st::Shape> inputs(entry.value("inputs", 1), input);
  if (name == "Add") return std::make_unique<JoinSubject>(std::make_unique<st::Add<float>>(), inputs);
  if (name == "Concat") return std::make_unique<JoinSubject>(std::make_unique<st::Concat<float>>(), inputs);
  return std::make_unique<LayerSubject>(make_layer(entry, shape, extents), input);
}

std::unique_ptr<Subject> make_floor(st::Index count) {
  return std::make_unique<FloorSubject>(count);
}

}  // namespace benchmarks
