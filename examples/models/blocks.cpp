#include "models/blocks.hpp"

namespace strata::models {
namespace {

constexpr Index kChannelsPerGroup = 8;

Size2D same(Size2D kernel) {
  return {kernel.h / 2, kernel.w / 2};
}

}  // namespace

template <class T>
std::unique_ptr<Layer<T>> image_norm(Norm norm, Index channels) {
  switch (norm) {
    case Norm::batch:
      return std::make_unique<SpatialBatchNorm<T>>(channels);
    case Norm::instance:
      return std::make_unique<InstanceNorm2D<T>>(channels);
    case Norm::group:
      return std::make_unique<GroupNorm<T>>(std::max<Index>(1, channels / kChannelsPerGroup), channels);
    case Norm::layer:
      return std::make_unique<GroupNorm<T>>(1, channels);
    case Norm::none:
      break;
  }
  return nullptr;
}

template <class T>
std::unique_ptr<Layer<T>> feature_norm(Norm norm, Index features) {
  if (norm == Norm::none) return nullptr;
  if (norm == Norm::batch) return std::make_unique<BatchNorm1D<T>>(features);
  return std::make_unique<LayerNorm<T>>(Shape{static_cast<std::size_t>(features)});
}

template <class T>
void conv_norm_relu(Sequential<T>& net, Index in, Index out, Size2D kernel, Norm norm) {
  net.add(Conv2D<T>{in, out, kernel, {.padding = same(kernel), .bias = norm == Norm::none}});
  if (auto layer = image_norm<T>(norm, out)) net.add(std::move(layer));
  net.add(ReLU<T>{});
}

template <class T>
void conv_relu_pool(Sequential<T>& net, Index in, Index out, Size2D kernel) {
  net.add(Conv2D<T>{in, out, kernel, {.padding = same(kernel)}});
  net.add(ReLU<T>{});
  net.add(MaxPool2D<T>{2});
}

template <class T>
void linear_norm_relu(Sequential<T>& net, Index in, Index out, Norm norm, double dropout) {
  net.add(Linear<T>{in, out});
  if (auto layer = feature_norm<T>(norm, out)) net.add(std::move(layer));
  net.add(ReLU<T>{});
  if (dropout > 0) net.add(Dropout<T>{dropout});
}

template <class T>
Index features_of(const Layer<T>& net, const Shape& sample) {
  return element_count(net.output_shape(batch_of_one(sample)));
}

Shape batch_of_one(const Shape& sample) {
  Shape batch{1};
  for (const std::size_t extent : sample) batch.push_back(extent);
  return batch;
}

#define STRATA_INSTANTIATE(T)                                                    \
  template std::unique_ptr<Layer<T>> image_norm<T>(Norm, Index);                 \
  template std::unique_ptr<Layer<T>> feature_norm<T>(Norm, Index);               \
  template void conv_norm_relu<T>(Sequential<T>&, Index, Index, Size2D, Norm);   \
  template void conv_relu_pool<T>(Sequential<T>&, Index, Index, Size2D);         \
  template void linear_norm_relu<T>(Sequential<T>&, Index, Index, Norm, double); \
  template Index features_of<T>(const Layer<T>&, const Shape&);
STRATA_INSTANTIATE(float)
STRATA_INSTANTIATE(double)

}  // namespace strata::models
