#include "strata/layers/convolution_run.hpp"

#include <algorithm>
#include <utility>

#include "strata/framework/parallel.hpp"
#include "strata/layers/kernels/convolution.hpp"
#include "strata/layers/relu.hpp"

namespace strata {
namespace {

// Runs body(first, count) over all images, some of them at a time.
template <class T, class Body>
void for_images(const normalization::ByImages<T>& norm, const Body& body) {
  constexpr Index kElements = Index{1} << 15;  // worth a thread
  parallel_ranges(norm.images(), std::max<Index>(1, kElements / norm.image_size()),
                  [&](Index begin, Index end) { body(begin, end - begin); });
}

// The next layer, if it is a Wanted; then it is taken off the chain.
template <class Wanted, class T>
Wanted* take(std::span<Layer<T>* const>& chain) {
  auto* layer = chain.empty() ? nullptr : dynamic_cast<Wanted*>(chain.front());
  if (layer) chain = chain.subspan(1);
  return layer;
}

}  // namespace

template <class T>
std::unique_ptr<ConvolutionRun<T>> ConvolutionRun<T>::at_front_of(std::span<Layer<T>* const> chain) {
  std::vector<Unit> units;
  while (auto* convolution = take<Conv2D<T>>(chain)) {
    auto* norm = take<SpatialBatchNorm<T>>(chain);
    if (!norm) {
      units.push_back({convolution, nullptr, false, nullptr});
      break;
    }
    const bool rectify = take<ReLU<T>>(chain) != nullptr;
    units.push_back({convolution, norm, rectify, rectify ? take<MaxPool2D<T>>(chain) : nullptr});
    if (!rectify) break;
  }
  return std::unique_ptr<ConvolutionRun>(new ConvolutionRun(std::move(units)));
}

template <class T>
Index ConvolutionRun<T>::size() const {
  Index layers = 0;
  for (const Unit& unit : units_) layers += unit.size();
  return layers;
}

template <class T>
auto ConvolutionRun<T>::Unit::by_images() const -> std::unique_ptr<Norm> {
  auto result = std::make_unique<Norm>(norm->x_.shape(), norm->affine(), norm->eps_, rectify);
  result->use(norm->statistics_);
  return result;
}

template <class T>
template <class Body>
void ConvolutionRun<T>::Unit::with_dy(const Tensor<T>& dy, Index first, Index count, const Body& body) const {
  const auto channels = static_cast<Index>(dy.shape()[1]),
             plane = static_cast<Index>(dy.shape()[2] * dy.shape()[3]);
  const T* images = dy.data() + first * channels * plane;
  if (!pool) return body(images);
  kernels::Scratch<T> room(count * channels * pool->planes_.plane_in());
  pool->planes_.backward(first * channels, count * channels, images, room.data());
  body(room.data());
}

template <class T>
void ConvolutionRun<T>::Unit::take_gradient(Norm& by_images, const Tensor<T>& dy, Index first,
                                            Index count) const {
  with_dy(dy, first, count, [&](const T* images) {
    by_images.take_gradient(images, norm->x_.data() + first * by_images.image_size(), first, count);
  });
}

template <class T>
void ConvolutionRun<T>::Unit::gradient(const Norm& by_images, const Tensor<T>& dy, Index first, Index count,
                                       T* dz) const {
  with_dy(dy, first, count, [&](const T* images) {
    by_images.gradient(images, norm->x_.data() + first * by_images.image_size(), count, dz);
  });
}

template <class T>
Tensor<T> ConvolutionRun<T>::Unit::all_gradients(const Norm& by_images, const Tensor<T>& dy) const {
  Tensor<T>& z = norm->x_;
  for_images(by_images, [&](Index first, Index count) {
    gradient(by_images, dy, first, count, z.data() + first * by_images.image_size());
  });
  return std::move(z);
}

template <class T>
bool ConvolutionRun<T>::streams(std::size_t k, const Shape& x) const {
  return kernels::convolution_streams<T>(units_[k].convolution->convolution(x));
}

template <class T>
kernels::ImageSource<T> ConvolutionRun<T>::normalized(std::size_t k, const Norm& norm) const {
  const T* z = units_[k].norm->x_.data();
  return {[&norm, z](Index first, Index count, T* room) {
    norm.normalize(z + first * norm.image_size(), count, room);
  }};
}

template <class T>
Tensor<T> ConvolutionRun<T>::forward_shared(Shared<T> x) {
  std::unique_ptr<Norm> before;  // of the unit before, if x is what it would compute
  for (std::size_t k = 0; k < units_.size(); ++k) {
    const Unit& unit = units_[k];
    const Shape in = before ? units_[k - 1].norm->x_.shape() : x->shape();
    unit.convolution->x_ = before ? Shared<T>() : std::move(x);
    if (!unit.norm) return convolve(k, in, before.get());
    const bool next_streams =
        k + 1 < units_.size() && !unit.pool && streams(k + 1, unit.convolution->output_shape(in));
    if (!next_streams && !streams(k, in)) {
      x = unit.behind().forward(convolve(k, in, nullptr));
      continue;
    }
    convolve_and_normalize(k, in, before.get());
    if (next_streams) {
      before = unit.by_images();
    } else {
      x = unit.behind().emit();
      before = nullptr;
    }
  }
  return std::move(x).take();
}

template <class T>
Tensor<T> ConvolutionRun<T>::convolve(std::size_t k, const Shape& in, const Norm* before) {
  const Conv2D<T>& convolution = *units_[k].convolution;
  if (!before) return convolution.apply(*convolution.x_);
  auto z = empty<T>(convolution.output_shape(in));
  stream_into(z, k, in, before, nullptr);
  return z;
}

// From the x that the layer has, or that the norm before makes.
template <class T>
void ConvolutionRun<T>::stream_into(Tensor<T>& z, std::size_t k, const Shape& in, const Norm* before,
                                    const kernels::ImageSink& done) {
  const Conv2D<T>& convolution = *units_[k].convolution;
  kernels::stream_convolve<T>(
      convolution.convolution(in),
      before ? normalized(k - 1, *before) : kernels::ImageSource<T>(convolution.x_->data()),
      convolution.weight_.value.data(), convolution.bias_ ? convolution.bias_->value.data() : nullptr,
      z.data(), done);
}

template <class T>
void ConvolutionRun<T>::convolve_and_normalize(std::size_t k, const Shape& in, const Norm* before) {
  NormalizationLayer<T>& norm = *units_[k].norm;
  const Shape out = units_[k].convolution->output_shape(in);
  norm.begin(out);
  Norm statistics(out, norm.affine(), norm.eps_, units_[k].rectify);
  Tensor<T> z = streams(k, in) ? empty<T>(out) : convolve(k, in, nullptr);
  const auto take = [&](Index first, Index count) {
    if (!norm.frozen_) statistics.take(z.data() + first * statistics.image_size(), first, count);
  };
  if (streams(k, in))
    stream_into(z, k, in, before, take);
  else
    for_images(statistics, take);
  norm.keep(std::move(z), norm.frozen_ ? normalization::Statistics() : statistics.statistics());
}

template <class T>
Tensor<T> ConvolutionRun<T>::pull_back(Shared<T> dy, bool wants_dx) {
  std::unique_ptr<Norm> norm;  // of unit k, if the convolution behind it has taken its sums
  for (std::size_t k = units_.size(); k-- > 0;) {
    const Unit& unit = units_[k];
    Conv2D<T>& convolution = *unit.convolution;
    std::unique_ptr<Norm> before = k > 0 ? units_[k - 1].by_images() : nullptr;
    const bool made = !convolution.x_;  // x is what the unit before computes
    const Shape in = made ? units_[k - 1].norm->x_.shape() : convolution.x_->shape();
    const bool wanted = wants_dx || k > 0, stream = streams(k, in) && !convolution.bias_;
    if (stream && unit.norm && !norm) {
      norm = unit.by_images();
      for_images(*norm, [&](Index first, Index count) { unit.take_gradient(*norm, *dy, first, count); });
    }
    if (norm) norm->finish(unit.norm->frozen_, unit.norm->weight_gradient(), unit.norm->bias_gradient());
    if (stream) {
      dy = pull_back_streaming(k, in, *dy, norm.get(), before.get(), wanted);
      norm = std::move(before);
    } else {
      if (norm)
        dy = unit.all_gradients(*norm, *dy);
      else if (unit.norm)
        dy = unit.behind().backward(std::move(dy).take());
      if (made) convolution.x_ = units_[k - 1].behind().emit();
      if (wanted) {
        dy = convolution.pull_back(*dy);
      } else {
        convolution.pull_back_parameters(*dy);
        dy = Tensor<T>();
      }
      norm = nullptr;
    }
    if (unit.norm) unit.norm->x_ = Tensor<T>();
    if (unit.pool) unit.pool->planes_.end();
  }
  return std::move(dy).take();
}

// dx, if it is wanted, whose sums go to the norm before. dz is made as it is read, and may take z's memory;
// without a norm it is dy.
template <class T>
Tensor<T> ConvolutionRun<T>::pull_back_streaming(std::size_t k, const Shape& in, const Tensor<T>& dy,
                                                 const Norm* norm, Norm* before, bool wants_dx) {
  const Unit& unit = units_[k];
  Conv2D<T>& convolution = *unit.convolution;
  Shared<T> x = std::exchange(convolution.x_, {});
  const auto x_source = x ? kernels::ImageSource<T>(x->data()) : normalized(k - 1, *before);
  Tensor<T> dx = !wants_dx ? Tensor<T>() : x ? memory_of(x) : empty<T>(in);
  const auto make_dz = [&](Index first, Index count, T* room) {
    unit.gradient(*norm, dy, first, count, room);
  };
  const auto dz =
      norm ? kernels::ImageSource<T>(make_dz, unit.norm->x_.data()) : kernels::ImageSource<T>(dy.data());
  const auto take = [&](Index first, Index count) {
    if (before) units_[k - 1].take_gradient(*before, dx, first, count);
  };
  kernels::stream_convolve_backward<T>(convolution.convolution(in), x_source, dz,
                                       convolution.weight_.value.data(), convolution.weight_.gradient.data(),
                                       wants_dx ? dx.data() : nullptr, take);
  return dx;
}

template class ConvolutionRun<float>;
template class ConvolutionRun<double>;

}  // namespace strata
