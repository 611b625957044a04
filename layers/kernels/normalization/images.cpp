#include "strata/layers/kernels/normalization/images.hpp"

namespace strata::normalization {
namespace {

constexpr Index kPilot = 64;  // elements of an image's plane that give a first idea of its mean

Index length_of(const Shape& x) {
  return static_cast<Index>(x[2] * x[3]);
}

}  // namespace

template <class T>
ByImages<T>::ByImages(const Shape& x, ImageLayout layout, Affine<T> affine, double eps, bool rectify)
    : images_(static_cast<Index>(x[0])),
      channels_(static_cast<Index>(x[1])),
      columns_(static_cast<Index>(x[3])),
      length_(length_of(x)),
      layout_(layout),
      affine_(affine),
      eps_(eps),
      rectify_(rectify),
      counts_(x[0]),
      entries_(2 * images_ * channels_),
      first_(entries_.data()),
      second_(first_ + images_ * channels_),
      shifts_(images_ * channels_),
      factors_(5 * channels_),
      center_(factors_.data()),
      scale_(center_ + channels_),
      offset_(scale_ + channels_),
      slope_(offset_ + channels_),
      intercept_(slope_ + channels_) {}

template <class T>
void ByImages<T>::take(const T* x, Index first, Index count) {
  counts_[static_cast<std::size_t>(first)] = count;
  const Index entry = first * channels_;
  T* shift = shifts_.data() + entry;
  const Index pilot = std::min(length_, kPilot);
  if (as_pixels())
    kernel_.pilot(x, {pilot, channels_, 1}, 1, shift);
  else
    kernel_.pilot(x, block(1), pilot, shift);
  kernel_.sums(x, block(count), shift, first_ + entry, second_ + entry);
}

// The mean of all parts' means, and then, so that nothing cancels, m2 = sum of m2 + n (mean - of all)^2.
template <class T>
Statistics ByImages<T>::statistics() const {
  const auto channels = static_cast<std::size_t>(channels_);
  Statistics all{std::vector<double>(channels), std::vector<double>(channels)};
  const double share = 1 / static_cast<double>(images_ * length_);
  const auto for_each_part = [&](const auto& body) {
    for (Index n = 0; n < images_; ++n) {
      const auto elements = static_cast<double>(counts_[static_cast<std::size_t>(n)] * length_);
      if (elements > 0) body(n * channels_, elements);
    }
  };
  const auto mean_of = [&](Index i, double elements) {
    return static_cast<double>(shifts_.data()[i]) + first_[i] / elements;
  };
  for_each_part([&](Index entry, double elements) {
    for (Index c = 0; c < channels_; ++c) all.mean[c] += mean_of(entry + c, elements) * elements * share;
  });
  for_each_part([&](Index entry, double elements) {
    for (Index c = 0; c < channels_; ++c) {
      const double sum = first_[entry + c], m2 = second_[entry + c] - sum * (sum / elements);
      const double delta = mean_of(entry + c, elements) - all.mean[c];
      all.variance[c] += (kernels::settled(m2) + delta * delta * elements) * share;
    }
  });
  return all;
}

template <class T>
void ByImages<T>::use(const Statistics& statistics) {
  std::fill(counts_.begin(), counts_.end(), 0);
  mean_ = statistics.mean;
  inv_std_.resize(mean_.size());
  kernel_.inverse_roots(statistics.variance.data(), eps_, channels_, inv_std_.data());
  terms_.coefficients(channels_, mean_.data(), inv_std_.data(), affine_.gamma, affine_.beta, center_, scale_,
                      offset_);
}

template <class T>
void ByImages<T>::normalize(const T* x, Index count, T* y) const {
  kernel_.normalize(x, y, block(count), coefficients());
}

template <class T>
template <class Body>
void ByImages<T>::for_parts(Index row_stride, const Body& body) const {
  const Index row = columns_ * channels_;
  if (!as_pixels() || row_stride == row) return body(block(1), 0, 0);
  for (Index r = 0; r < length_ / columns_; ++r)
    body(kernels::PlaneBlock{columns_, channels_, 1}, r * row, r * row_stride);
}

template <class T>
void ByImages<T>::normalize_image(const T* x, T* y, Index row_stride) const {
  for_parts(row_stride, [&](const kernels::PlaneBlock& part, Index from, Index to) {
    kernel_.normalize(x + from, y + to, part, coefficients());
  });
}

template <class T>
void ByImages<T>::take_gradient(const T* dy, const T* x, Index first, Index count) {
  counts_[static_cast<std::size_t>(first)] = count;
  const Index entry = first * channels_;
  kernel_.gradient_sums(dy, x, block(count), coefficients(), first_ + entry, second_ + entry);
}

template <class T>
void ByImages<T>::add_up(const double* entries, double* sums) const {
  std::fill_n(sums, channels_, 0.0);
  for (Index n = 0; n < images_; ++n)
    if (counts_[static_cast<std::size_t>(n)] > 0)
      for (Index c = 0; c < channels_; ++c) sums[c] += entries[n * channels_ + c];
}

template <class T>
void ByImages<T>::finish(bool frozen, T* dgamma, T* dbeta) {
  std::vector<double> sum_g(mean_.size()), sum_g_xhat(mean_.size());
  add_up(first_, sum_g.data());
  add_up(second_, sum_g_xhat.data());
  // The second sums become those of g xhat.
  terms_.pull(channels_, images_ * length_, mean_.data(), inv_std_.data(), affine_.gamma, sum_g.data(),
              sum_g_xhat.data(), slope_, intercept_);
  if (frozen) std::fill_n(slope_, 2 * channels_, T{0});  // and the intercepts
  if (!dgamma) return;
  for (Index c = 0; c < channels_; ++c) {
    dgamma[c] = static_cast<T>(sum_g_xhat[c]);
    dbeta[c] = static_cast<T>(sum_g[c]);
  }
}

template <class T>
void ByImages<T>::gradient(const T* dy, const T* x, Index count, T* dx) const {
  kernel_.gradient(dy, x, dx, block(count), coefficients());
}

template <class T>
void ByImages<T>::gradient_image(const T* dy, const T* x, T* dx, Index row_stride) const {
  for_parts(row_stride, [&](const kernels::PlaneBlock& part, Index from, Index to) {
    kernel_.gradient(dy + from, x + from, dx + to, part, coefficients());
  });
}

template class ByImages<float>;
template class ByImages<double>;

}  // namespace strata::normalization
