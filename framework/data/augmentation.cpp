#include "strata/framework/data/augmentation.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "strata/framework/error.hpp"
#include "strata/framework/runtime/parallel.hpp"

namespace strata {
namespace {

struct Moments {
  double count = 0;
  double mean = 0;
  double squares = 0;  // sum of (x - mean)^2
};

Moments moments_of(std::span<const float> values) {
  Moments m;
  m.count = static_cast<double>(values.size());
  for (const float value : values) m.mean += value;
  m.mean /= m.count;
  for (const float value : values) m.squares += (value - m.mean) * (value - m.mean);
  return m;
}

// Chan, Golub, LeVeque (1979).
void add(Moments& a, const Moments& b) {
  const double count = a.count + b.count;
  const double delta = b.mean - a.mean;
  a.mean += delta * (b.count / count);
  a.squares += b.squares + delta * delta * (a.count * b.count / count);
  a.count = count;
}

template <class T>
struct Affine {
  T mean = 0;
  T deviation = 1;
  T operator()(float x) const { return (static_cast<T>(x) - mean) / deviation; }
};

template <class T>
Affine<T> channel_of(const Standardization* standardization, std::size_t channel) {
  if (!standardization) return {};
  return {static_cast<T>(standardization->mean[channel]),
          static_cast<T>(standardization->standard_deviation[channel])};
}

}  // namespace

Standardization standardization_of(const Dataset& dataset) {
  constexpr Index kSamplesPerPiece = 512;
  const Shape shape = dataset.sample_shape();
  const std::size_t channels = shape.at(0);
  const auto values = static_cast<std::size_t>(element_count(shape));
  const std::size_t plane = values / channels;
  const Index pieces = (dataset.size() + kSamplesPerPiece - 1) / kSamplesPerPiece;
  std::vector<std::vector<Moments>> parts(pieces, std::vector<Moments>(channels));
  parallel_ranges(dataset.size(), kSamplesPerPiece, [&](Index begin, Index end) {
    auto& part = parts[begin / kSamplesPerPiece];
    std::vector<float> sample(values);
    for (Index i = begin; i < end; ++i) {
      dataset.read(i, sample);
      for (std::size_t c = 0; c < channels; ++c)
        add(part[c], moments_of(std::span(sample).subspan(c * plane, plane)));
    }
  });

  Standardization result;
  for (std::size_t c = 0; c < channels; ++c) {
    Moments total;
    for (const auto& part : parts) add(total, part[c]);
    const double deviation = std::sqrt(total.squares / total.count);
    result.mean.push_back(total.mean);
    result.standard_deviation.push_back(deviation > 0 ? deviation : 1);
  }
  return result;
}

template <class T>
void standardize(Tensor<T>& samples, const Standardization& standardization) {
  const std::size_t channels = standardization.mean.size();
  if (samples.dimension() < 2 || samples.shape(1) != channels)
    throw ShapeError("standardize: expected samples of shape (N, " + std::to_string(channels) +
                     ", ...), got " + to_string(samples.shape()));
  const Shape sample_shape(samples.shape().begin() + 1, samples.shape().end());
  detail::check_standardization(standardization, sample_shape);
  const Index plane = element_count(sample_shape) / static_cast<Index>(channels);
  T* x = samples.data();
  for (std::size_t n = 0; n < samples.shape(0); ++n)
    for (std::size_t c = 0; c < channels; ++c, x += plane) {
      const auto affine = channel_of<T>(&standardization, c);
      for (Index i = 0; i < plane; ++i) x[i] = (x[i] - affine.mean) / affine.deviation;
    }
}

AugmentationDraw draw_augmentation(const Augmentation& augmentation, const Shape& sample_shape,
                                   Random random) {
  const auto below = [&](Index bound) {
    return static_cast<Index>(random.below(static_cast<std::uint64_t>(bound)));
  };
  const Index offsets = 2 * augmentation.crop_padding + 1;
  const Index half = augmentation.cutout / 2;
  AugmentationDraw draw;
  draw.crop_top = below(offsets);
  draw.crop_left = below(offsets);
  draw.flip = below(2) == 1;
  draw.cutout_top = below(static_cast<Index>(sample_shape.at(1))) - half;
  draw.cutout_left = below(static_cast<Index>(sample_shape.at(2))) - half;
  return draw;
}

namespace detail {

void check_augmentation(const Augmentation& augmentation, const Shape& sample_shape) {
  if (augmentation.crop_padding < 0 || augmentation.cutout < 0)
    throw ArgumentError("Augmentation: crop_padding and cutout must be at least 0, got " +
                        std::to_string(augmentation.crop_padding) + " and " +
                        std::to_string(augmentation.cutout));
  if (augmentation != Augmentation{} && sample_shape.size() != 3)
    throw ArgumentError("Augmentation: only images (C, H, W) can be augmented, samples have shape " +
                        to_string(sample_shape));
  if (augmentation == Augmentation{}) return;
  const auto side = static_cast<Index>(std::min(sample_shape[1], sample_shape[2]));
  if (augmentation.crop_padding >= side)
    throw ArgumentError("Augmentation: crop_padding " + std::to_string(augmentation.crop_padding) +
                        " could leave nothing of an image of shape " + to_string(sample_shape));
}

void check_standardization(const Standardization& standardization, const Shape& sample_shape) {
  const auto& [mean, deviation] = standardization;
  if (sample_shape.empty() || mean.size() != sample_shape[0] || deviation.size() != sample_shape[0])
    throw ArgumentError("Standardization: samples of shape " + to_string(sample_shape) +
                        " need one mean and one standard deviation per channel, got " +
                        std::to_string(mean.size()) + " and " + std::to_string(deviation.size()));
  for (std::size_t c = 0; c < mean.size(); ++c)
    if (!std::isfinite(mean[c]) || !std::isfinite(deviation[c]) || deviation[c] <= 0)
      throw ArgumentError("Standardization: the standard deviation of channel " + std::to_string(c) +
                          " must be positive and both values finite, got mean " + std::to_string(mean[c]) +
                          " and deviation " + std::to_string(deviation[c]));
}

template <class T>
void prepare_sample(std::span<const float> sample, std::span<T> out, const Standardization* standardization) {
  if (!standardization) {
    std::copy(sample.begin(), sample.end(), out.begin());
    return;
  }
  const std::size_t channels = standardization->mean.size();
  const std::size_t plane = sample.size() / channels;
  for (std::size_t c = 0; c < channels; ++c) {
    const auto affine = channel_of<T>(standardization, c);
    for (std::size_t i = c * plane; i < (c + 1) * plane; ++i) out[i] = affine(sample[i]);
  }
}

template <class T>
void prepare_image(std::span<const float> image, std::span<T> out, const Shape& shape,
                   const Augmentation& augmentation, const AugmentationDraw& draw,
                   const Standardization* standardization) {
  const auto height = static_cast<Index>(shape[1]), width = static_cast<Index>(shape[2]);
  const Index down = draw.crop_top - augmentation.crop_padding;
  const Index right = draw.crop_left - augmentation.crop_padding;
  const bool flip = augmentation.horizontal_flip && draw.flip;
  // Columns of the window, before the flip, that lie within the image.
  const Index first = std::max<Index>(0, -right), last = std::min(width, width - right);
  const Index cut_top = std::max<Index>(0, draw.cutout_top);
  const Index cut_bottom = std::min(height, draw.cutout_top + augmentation.cutout);
  const Index cut_left = std::max<Index>(0, draw.cutout_left);
  const Index cut_right = std::min(width, draw.cutout_left + augmentation.cutout);

  for (std::size_t c = 0; c < shape[0]; ++c) {
    const auto affine = channel_of<T>(standardization, c);
    const float* plane = image.data() + static_cast<Index>(c) * height * width;
    T* row = out.data() + static_cast<Index>(c) * height * width;
    for (Index y = 0; y < height; ++y, row += width) {
      const Index source_y = y + down;
      if (source_y < 0 || source_y >= height) {
        std::fill_n(row, width, affine(0));
      } else {
        const float* source = plane + source_y * width + right;
        if (flip) {
          for (Index x = first; x < last; ++x) row[width - 1 - x] = affine(source[x]);
          std::fill(row, row + (width - last), affine(0));
          std::fill(row + (width - first), row + width, affine(0));
        } else {
          for (Index x = first; x < last; ++x) row[x] = affine(source[x]);
          std::fill(row, row + first, affine(0));
          std::fill(row + last, row + width, affine(0));
        }
      }
      if (y >= cut_top && y < cut_bottom && cut_left < cut_right)
        std::fill(row + cut_left, row + cut_right, T{0});
    }
  }
}

template void prepare_sample(std::span<const float>, std::span<float>, const Standardization*);
template void prepare_sample(std::span<const float>, std::span<double>, const Standardization*);
template void prepare_image(std::span<const float>, std::span<float>, const Shape&, const Augmentation&,
                            const AugmentationDraw&, const Standardization*);
template void prepare_image(std::span<const float>, std::span<double>, const Shape&, const Augmentation&,
                            const AugmentationDraw&, const Standardization*);

}  // namespace detail

template void standardize(Tensor<float>&, const Standardization&);
template void standardize(Tensor<double>&, const Standardization&);

}  // namespace strata
