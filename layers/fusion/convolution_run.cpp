#include "strata/layers/fusion/convolution_run.hpp"

#include <utility>

#include "strata/layers/kernels/convolution/convolution.hpp"
#include "strata/layers/relu.hpp"

namespace strata {
namespace {

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
bool ConvolutionRun<T>::gives_pixels(const Shape& x) const {
  Shape in = x;
  for (std::size_t k = 0; k + 1 < units_.size(); ++k) {
    in = units_[k].convolution->output_shape(in);
    if (units_[k].pool) in = units_[k].pool->output_shape(in);
  }
  return abilities(units_.size() - 1, in).y_as_pixels;
}

template <class T>
kernels::ImageAbilities ConvolutionRun<T>::abilities(std::size_t k, const Shape& x) const {
  const Conv2D<T>& convolution = *units_[k].convolution;
  kernels::ImageAbilities abilities = kernels::image_abilities<T>(convolution.convolution(x));
  if (convolution.bias_) abilities.x_as_pixels = abilities.y_as_pixels = false;  // backward does not stream
  return abilities;
}

template <class T>
void ConvolutionRun<T>::choose_layouts(std::size_t k, const Shape& x) {
  const Unit& unit = units_[k];
  Shape y = unit.convolution->output_shape(x);
  if (unit.pool) y = unit.pool->output_shape(y);
  const bool is_last = k + 1 == units_.size();
  const bool next = is_last ? this->layouts().y == ImageLayout::pixels : abilities(k + 1, y).x_as_pixels;
  const bool pixels = abilities(k, x).y_as_pixels && (unit.pool || next);
  unit.norm->x_layout_ = pixels ? ImageLayout::pixels : ImageLayout::planes;
  if (!is_last)
    units_[k + 1].convolution->x_layout_ = pixels && next ? ImageLayout::pixels : ImageLayout::planes;
}

template <class T>
std::unique_ptr<ImageNorm<T>> ConvolutionRun<T>::image_norm(std::size_t k) const {
  const Unit& unit = units_[k];
  return std::make_unique<ImageNorm<T>>(*unit.norm, unit.rectify, unit.pool, layout_of_x(k + 1));
}

template <class T>
Tensor<T> ConvolutionRun<T>::forward_shared(Shared<T> x) {
  std::unique_ptr<ImageNorm<T>> before;  // of the unit before, if x is what it would compute
  for (std::size_t k = 0; k < units_.size(); ++k) {
    const Unit& unit = units_[k];
    const Shape in = before ? before->shape() : x->shape();
    unit.convolution->x_ = before ? Shared<T>() : std::move(x);
    if (!unit.norm) return convolve(k, in, before.get());
    choose_layouts(k, in);
    const bool next_streams =
        k + 1 < units_.size() && !unit.pool && streams(k + 1, unit.convolution->output_shape(in));
    if (!next_streams && !streams(k, in) && layout_of_z(k) == ImageLayout::planes) {
      x = unit.behind().forward(convolve(k, in, nullptr));
      continue;
    }
    convolve_and_normalize(k, in, before.get());
    before = image_norm(k);
    if (next_streams) continue;
    x = before->emit();
    before = nullptr;
  }
  return std::move(x).take();
}

template <class T>
kernels::ImageSource<T> ConvolutionRun<T>::source_of_x(std::size_t k, const Tensor<T>* x,
                                                       const ImageNorm<T>* before) const {
  if (x) return {x->data(), layout_of_x(k)};
  const auto make = [before](Index image, T* to, Index row_stride) {
    before->normalize(image, to, row_stride);
  };
  return {make, layout_of_x(k)};
}

template <class T>
Tensor<T> ConvolutionRun<T>::convolve(std::size_t k, const Shape& in, const ImageNorm<T>* before,
                                      normalization::ByImages<T>* statistics) const {
  const Unit& unit = units_[k];
  const Conv2D<T>& convolution = *unit.convolution;
  auto z = empty<T>(convolution.output_shape(in));
  const auto take = [&](Index first, Index count) {
    statistics->take(z.data() + first * statistics->image_size(), first, count);
  };
  const bool stream = statistics && streams(k, in);
  kernels::ImageSink<T> sink(z.data(), layout_of_z(k));
  if (stream) sink.done = take;
  kernels::convolve_images<T>(
      convolution.convolution(in), source_of_x(k, before ? nullptr : &*convolution.x_, before),
      convolution.weight_.value.data(), convolution.bias_ ? convolution.bias_->value.data() : nullptr, sink);
  if (statistics && !stream) statistics->for_each(take);
  return z;
}

template <class T>
void ConvolutionRun<T>::convolve_and_normalize(std::size_t k, const Shape& in, const ImageNorm<T>* before) {
  const Unit& unit = units_[k];
  NormalizationLayer<T>& norm = *unit.norm;
  const Shape out = unit.convolution->output_shape(in);
  norm.begin(out);
  if (norm.frozen_) return norm.keep(convolve(k, in, before), normalization::Statistics());
  normalization::ByImages<T> statistics(out, layout_of_z(k), norm.affine(), norm.eps_, unit.rectify);
  Tensor<T> z = convolve(k, in, before, &statistics);
  norm.keep(std::move(z), statistics.statistics());
}

template <class T>
Tensor<T> ConvolutionRun<T>::pull_back(Shared<T> dy, bool wants_dx) {
  std::unique_ptr<ImageNorm<T>> norm;  // of unit k, if the convolution behind it has taken its sums
  for (std::size_t k = units_.size(); k-- > 0;) {
    const Unit& unit = units_[k];
    const bool made = !unit.convolution->x_;  // x is what the unit before computes
    const Shape in = made ? units_[k - 1].norm->x_.shape() : unit.convolution->x_->shape();
    const bool stream = streams(k, in) && !unit.convolution->bias_;
    if (unit.norm && !norm && (stream || layout_of_z(k) == ImageLayout::pixels)) {
      norm = image_norm(k);
      norm->take_gradient(*dy);
    }
    if (norm) norm->finish();
    std::unique_ptr<ImageNorm<T>> before = k > 0 ? image_norm(k - 1) : nullptr;
    if (!stream) {
      if (made) unit.convolution->x_ = before->emit();
      before = nullptr;
    }
    dy = pull_back_unit(k, in, std::move(dy), norm.get(), before.get(), wants_dx || k > 0);
    norm = std::move(before);
    if (unit.norm) unit.norm->x_ = Tensor<T>();
    if (unit.pool) unit.pool->parts_.end();
  }
  return std::move(dy).take();
}

template <class T>
Tensor<T> ConvolutionRun<T>::pull_back_unit(std::size_t k, const Shape& in, Shared<T> dy,
                                            const ImageNorm<T>* norm, ImageNorm<T>* before, bool wants_dx) {
  const Unit& unit = units_[k];
  Conv2D<T>& convolution = *unit.convolution;
  const kernels::ConvolutionShape shape = convolution.convolution(in);
  const bool make_dz = norm && streams(k, in) && !convolution.bias_;
  if (norm && !make_dz)
    dy = norm->gradients(*dy);
  else if (unit.norm && !norm)
    dy = unit.behind().backward(std::move(dy).take());
  const auto make = [&](Index image, T* to, Index row_stride) { norm->gradient(*dy, image, to, row_stride); };
  const auto dz = make_dz ? kernels::ImageSource<T>(make, layout_of_z(k), unit.norm->x_.data())
                          : kernels::ImageSource<T>(dy->data(), layout_of_z(k));
  convolution.compute_bias_gradient(shape, *dy);

  Shared<T> x = std::exchange(convolution.x_, {});
  const auto x_source = source_of_x(k, x ? &*x : nullptr, before);
  Tensor<T> dx = !wants_dx ? Tensor<T>() : x ? memory_of(x) : empty<T>(in);
  kernels::ImageSink<T> sink(wants_dx ? dx.data() : nullptr, layout_of_x(k));
  if (before) sink.done = [&](Index first, Index count) { before->take_gradient(dx, first, count); };
  kernels::convolve_images_backward<T>(shape, x_source, dz, convolution.weight_.value.data(),
                                       convolution.weight_.gradient.data(), sink);
  return dx;
}

template class ConvolutionRun<float>;
template class ConvolutionRun<double>;

}  // namespace strata
