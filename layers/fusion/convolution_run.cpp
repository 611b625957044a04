#include "strata/layers/fusion/convolution_run.hpp"

#include "strata/layers/convolution/conv_2d.hpp"
#include "strata/layers/fusion/exactly.hpp"
#include "strata/layers/fusion/image_norm.hpp"
#include "strata/layers/kernels/convolution/convolution.hpp"
#include "strata/layers/normalization/batch_norm.hpp"
#include "strata/layers/relu.hpp"

namespace strata::fusion {
namespace {

/// x -> z -> y: a convolution and what follows it, if there is a norm; then y is z.
template <class T>
struct Unit {
  Unit(Stretch<T> nodes, std::size_t first);

  std::size_t size() const { return 1 + (tail.norm != nullptr) + tail.rectify + (tail.pool != nullptr); }
  ImageLayouts z_and_y() const { return {z_layout, y_layout}; }

  Conv2D<T>* convolution;
  NormTail<T> tail;
  Shape x;
  Shape z;
  kernels::ConvolutionShape geometry;
  kernels::ImageAbilities able;
  // Settled by the run; y is the next unit's x.
  ImageLayout x_layout = ImageLayout::planes;
  ImageLayout z_layout = ImageLayout::planes;
  ImageLayout y_layout = ImageLayout::planes;
};

template <class T>
Unit<T>::Unit(Stretch<T> nodes, std::size_t first)
    : convolution(exactly<Conv2D<T>>(nodes, first)),
      x(nodes[first]->inputs[0]),
      z(nodes[first]->output),
      geometry(convolution->geometry(x)),
      able(kernels::image_abilities<T>(geometry)) {
  if (convolution->has_bias()) able.x_as_pixels = able.y_as_pixels = false;  // backward does not stream
  tail.norm = exactly<SpatialBatchNorm<T>>(nodes, first + 1);
  tail.rectify = tail.norm && exactly<ReLU<T>>(nodes, first + 2);
  if (tail.rectify) tail.pool = exactly<MaxPool2D<T>>(nodes, first + 3);
}

/// What a unit keeps for backward.
template <class T>
struct UnitKept {
  Shared<T> x = {};  // nothing if it is what the unit before makes of its z
  typename NormTail<T>::Kept tail = {};
};

template <class T>
class ConvolutionRun final : public TrainingStep<T> {
 public:
  explicit ConvolutionRun(std::vector<Unit<T>> units) : units_(std::move(units)) {}

  std::size_t size() const override {
    std::size_t nodes = 0;
    for (const Unit<T>& unit : units_) nodes += unit.size();
    return nodes;
  }
  Step::Pixels pixels() const override {
    return {.x = units_.front().able.x_as_pixels, .y = units_.back().able.y_as_pixels};
  }
  void settle(ImageLayouts layouts) override;
  Tensor<T> forward(std::vector<Shared<T>> x, Record& record) const override;
  std::vector<Shared<T>> backward(std::vector<Shared<T>> dy, Record& record, bool wants_dx) const override;

 private:
  using Norm = std::unique_ptr<ImageNorm<T>>;

  Norm image_norm(std::size_t k, std::vector<UnitKept<T>>& kept) const {
    return std::make_unique<ImageNorm<T>>(units_[k].tail, kept[k].tail, units_[k].z_and_y());
  }
  /// x of a unit: a tensor, or if there is none what the norm before makes of its z.
  kernels::ImageSource<T> source_of_x(const Unit<T>& unit, const Shared<T>& x,
                                      const ImageNorm<T>* before) const;
  /// z; `statistics`, if given, takes it in.
  Tensor<T> convolve(const Unit<T>& unit, const Shared<T>& x, const ImageNorm<T>* before,
                     normalization::ByImages<T>* statistics = nullptr) const;
  /// z, which is kept with its statistics.
  void convolve_and_normalize(const Unit<T>& unit, UnitKept<T>& kept, const ImageNorm<T>* before) const;
  /// dx, if it is wanted, whose sums go to the norm before, if there is one. With a norm, which has all sums,
  /// dz is made as it is read where the convolution streams, and takes z's memory.
  Tensor<T> pull_back(const Unit<T>& unit, UnitKept<T>& kept, Shared<T> dy, const ImageNorm<T>* norm,
                      ImageNorm<T>* before, bool wants_dx) const;

  std::vector<Unit<T>> units_;
};

template <class T>
void ConvolutionRun<T>::settle(ImageLayouts layouts) {
  const auto layout = [](bool pixels) { return pixels ? ImageLayout::pixels : ImageLayout::planes; };
  units_.front().x_layout = layouts.x;
  for (std::size_t k = 0; k < units_.size(); ++k) {
    Unit<T>& unit = units_[k];
    const bool is_last = k + 1 == units_.size();
    const bool next = is_last ? layouts.y == ImageLayout::pixels : units_[k + 1].able.x_as_pixels;
    const bool pixels = unit.able.y_as_pixels && (unit.tail.pool || next);
    unit.z_layout = unit.tail.norm ? layout(pixels) : layouts.y;
    unit.y_layout = is_last ? layouts.y : layout(pixels && next);
    if (!is_last) units_[k + 1].x_layout = unit.y_layout;
  }
}

template <class T>
Tensor<T> ConvolutionRun<T>::forward(std::vector<Shared<T>> inputs, Record& record) const {
  auto& kept = record.keep(std::vector<UnitKept<T>>(units_.size()));
  Shared<T> x = std::move(inputs[0]);
  Norm before;  // of the unit before, if x is what it would compute
  for (std::size_t k = 0; k < units_.size(); ++k) {
    const Unit<T>& unit = units_[k];
    if (!before) kept[k].x = std::move(x);
    if (!unit.tail.norm) return convolve(unit, kept[k].x, before.get());
    const bool next_streams = k + 1 < units_.size() && !unit.tail.pool && units_[k + 1].able.streams;
    if (!next_streams && !unit.able.streams && unit.z_layout == ImageLayout::planes) {
      x = unit.tail.forward(convolve(unit, kept[k].x, nullptr), kept[k].tail);
      continue;
    }
    convolve_and_normalize(unit, kept[k], before.get());
    before = image_norm(k, kept);
    if (next_streams) continue;
    x = before->emit();
    before = nullptr;
  }
  return std::move(x).take();
}

template <class T>
kernels::ImageSource<T> ConvolutionRun<T>::source_of_x(const Unit<T>& unit, const Shared<T>& x,
                                                       const ImageNorm<T>* before) const {
  if (x) return {x->data(), unit.x_layout};
  const auto make = [before](Index image, T* to, Index row_stride) {
    before->normalize(image, to, row_stride);
  };
  return {make, unit.x_layout};
}

template <class T>
Tensor<T> ConvolutionRun<T>::convolve(const Unit<T>& unit, const Shared<T>& x, const ImageNorm<T>* before,
                                      normalization::ByImages<T>* statistics) const {
  auto z = empty<T>(unit.z);
  const auto take = [&](Index first, Index count) {
    statistics->take(z.data() + first * statistics->image_size(), first, count);
  };
  const bool stream = statistics && unit.able.streams;
  kernels::ImageSink<T> sink(z.data(), unit.z_layout);
  if (stream) sink.done = take;
  const Conv2D<T>& convolution = *unit.convolution;
  kernels::convolve(unit.geometry, source_of_x(unit, x, before), convolution.weight().value.data(),
                    convolution.bias_values(), sink);
  if (statistics && !stream) statistics->for_each(take);
  return z;
}

template <class T>
void ConvolutionRun<T>::convolve_and_normalize(const Unit<T>& unit, UnitKept<T>& kept,
                                               const ImageNorm<T>* before) const {
  NormalizationLayer<T>& norm = *unit.tail.norm;
  kept.tail.norm = norm.begin(unit.z);
  if (kept.tail.norm.frozen) {
    kept.tail.norm.x = convolve(unit, kept.x, before);
    return;
  }
  normalization::ByImages<T> statistics(unit.z, unit.z_layout, norm.affine(), norm.eps(), unit.tail.rectify);
  Tensor<T> z = convolve(unit, kept.x, before, &statistics);
  norm.take_in(statistics.statistics(), unit.z, kept.tail.norm);
  kept.tail.norm.x = std::move(z);
}

template <class T>
std::vector<Shared<T>> ConvolutionRun<T>::backward(std::vector<Shared<T>> parts, Record& record,
                                                   bool wants_dx) const {
  auto kept = record.take<std::vector<UnitKept<T>>>();
  Shared<T> dy = total(std::move(parts));
  Norm norm;  // of unit k, if the convolution behind it has taken its sums
  for (std::size_t k = units_.size(); k-- > 0;) {
    const Unit<T>& unit = units_[k];
    const bool stream = unit.able.streams && !unit.convolution->has_bias();
    if (unit.tail.norm && !norm && (stream || unit.z_layout == ImageLayout::pixels)) {
      norm = image_norm(k, kept);
      norm->take_gradient(*dy);
    }
    if (norm) norm->finish();
    Norm before = k > 0 ? image_norm(k - 1, kept) : nullptr;
    if (!stream) {
      if (!kept[k].x) kept[k].x = before->emit();
      before = nullptr;
    }
    dy = pull_back(unit, kept[k], std::move(dy), norm.get(), before.get(), wants_dx || k > 0);
    norm = std::move(before);
    kept[k] = {};
  }
  if (!wants_dx) return {};
  return {std::move(dy)};
}

template <class T>
Tensor<T> ConvolutionRun<T>::pull_back(const Unit<T>& unit, UnitKept<T>& kept, Shared<T> dy,
                                       const ImageNorm<T>* norm, ImageNorm<T>* before, bool wants_dx) const {
  Conv2D<T>& convolution = *unit.convolution;
  const bool make_dz = norm && unit.able.streams && !convolution.has_bias();
  if (norm && !make_dz)
    dy = norm->gradients(*dy);
  else if (unit.tail.norm && !norm)
    dy = unit.tail.backward(std::move(dy).take(), std::move(kept.tail));
  const auto make = [&](Index image, T* to, Index row_stride) { norm->gradient(*dy, image, to, row_stride); };
  const auto dz = make_dz ? kernels::ImageSource<T>(make, unit.z_layout, kept.tail.norm.x.data())
                          : kernels::ImageSource<T>(dy->data(), unit.z_layout);
  convolution.set_bias_gradient(*dy);

  Shared<T> x = std::move(kept.x);
  const auto x_source = source_of_x(unit, x, before);
  Tensor<T> dx = !wants_dx ? Tensor<T>() : x ? memory_of(x) : empty<T>(unit.x);
  kernels::ImageSink<T> sink(wants_dx ? dx.data() : nullptr, unit.x_layout);
  if (before) sink.done = [&](Index first, Index count) { before->take_gradient(dx, first, count); };
  Parameter<T>& weight = convolution.weight();
  kernels::convolve_backward(unit.geometry, x_source, dz, weight.value.data(), weight.gradient.data(), sink);
  return dx;
}

}  // namespace

template <class T>
std::unique_ptr<TrainingStep<T>> convolution_run(Stretch<T> nodes) {
  std::vector<Unit<T>> units;
  for (std::size_t first = 0; exactly<Conv2D<T>>(nodes, first);) {
    units.emplace_back(nodes, first);
    first += units.back().size();
    if (!units.back().tail.rectify) break;
  }
  if (units.empty()) return nullptr;
  return std::make_unique<ConvolutionRun<T>>(std::move(units));
}

template std::unique_ptr<TrainingStep<float>> convolution_run(Stretch<float>);
template std::unique_ptr<TrainingStep<double>> convolution_run(Stretch<double>);

}  // namespace strata::fusion
