#include "strata/layers/normalization/normalization_layer.hpp"

#include <cmath>
#include <sstream>

#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/normalization/normalization.hpp"
#include "strata/layers/reference/normalization.hpp"

namespace strata {

template <class T>
NormalizationLayer<T>::NormalizationLayer(Kind kind, double eps, bool affine)
    : kind_(std::move(kind)), eps_(eps) {
  if (!(eps > 0 && std::isfinite(eps)))
    throw ArgumentError(std::string(kind_.type) + ": expected a finite eps > 0, got " + std::to_string(eps));
  if (!affine) return;
  weight_ = Parameter<T>("weight", full<T>(kind_.affine_shape, T{1}), /*decay=*/false);
  bias_ = Parameter<T>("bias", zeros<T>(kind_.affine_shape), /*decay=*/false);
}

template <class T>
NormalizationLayer<T>::NormalizationLayer(const NormalizationLayer&) = default;
template <class T>
NormalizationLayer<T>::NormalizationLayer(NormalizationLayer&&) noexcept = default;
template <class T>
NormalizationLayer<T>& NormalizationLayer<T>::operator=(const NormalizationLayer&) = default;
template <class T>
NormalizationLayer<T>& NormalizationLayer<T>::operator=(NormalizationLayer&&) noexcept = default;
template <class T>
NormalizationLayer<T>::~NormalizationLayer() = default;

template <class T>
Shape NormalizationLayer<T>::channel_shape(const char* type, Index channels) {
  if (channels < 1)
    throw ArgumentError(std::string(type) + ": expected at least 1 channel, got " + std::to_string(channels));
  return {static_cast<std::size_t>(channels)};
}

template <class T>
Parameter<T>& NormalizationLayer<T>::weight() {
  this->check_value();
  if (!weight_) throw StateError(this->label() + ": was made with affine = false and has no weight");
  return *weight_;
}

template <class T>
Parameter<T>& NormalizationLayer<T>::bias() {
  this->check_value();
  if (!bias_) throw StateError(this->label() + ": was made with affine = false and has no bias");
  return *bias_;
}

template <class T>
void NormalizationLayer<T>::track(RunningStatistics<T> running, bool unbiased) {
  running_ = std::move(running);
  unbiased_ = unbiased;
}

template <class T>
RunningStatistics<T>& NormalizationLayer<T>::running() {
  this->check_value();
  if (!running_)
    throw StateError(this->label() +
                     ": was made with track_running_stats = false and has no running statistics");
  return *running_;
}

template <class T>
Shape NormalizationLayer<T>::output_shape(const Shape& input) const {
  if (input.size() < kind_.least_rank || input.size() > kind_.most_rank ||
      input[1] != kind_.affine_shape[0] || detail::checked_count(input).value_or(0) == 0)
    this->fail_shape(kind_.axes, input);
  return input;
}

template <class T>
normalization::Sets NormalizationLayer<T>::sets(const Shape& x) const {
  return kind_.groups > 0 ? normalization::per_group(x, kind_.groups) : normalization::per_channel(x);
}

// Running statistics are of channels.
template <class T>
normalization::Sets NormalizationLayer<T>::sets_of(const Shape& x, bool frozen) const {
  return frozen ? normalization::per_channel(x) : sets(x);
}

template <class T>
auto NormalizationLayer<T>::begin(const Shape& x) const -> Kept {
  Kept kept;
  kept.frozen = !this->training() && running_;
  if (kept.frozen)
    kept.statistics = running_->statistics();
  else if (this->training() && kind_.more_than_one && sets(x).elements() <= 1)
    this->fail_shape(std::string("more than one ") + kind_.more_than_one +
                         " per channel in training (use eval() for a single one)",
                     x);
  return kept;
}

template <class T>
void NormalizationLayer<T>::take_in(normalization::Statistics statistics, const Shape& x, Kept& kept) {
  if (kept.frozen) return;
  kept.statistics = std::move(statistics);
  const auto m = static_cast<double>(sets(x).elements());
  if (this->training() && running_) running_->update(kept.statistics, unbiased_ ? m / (m - 1) : 1);
}

template <class T>
void NormalizationLayer<T>::normalize(Tensor<T> x, const normalization::Output<T>& output, Kept& kept) {
  const auto affine = this->affine();
  const Shape& shape = x.shape();
  kept = begin(shape);
  if (kept.frozen)
    normalization::apply(normalization::per_channel(shape), x.data(), output, kept.statistics, affine, eps_);
  else
    take_in(normalization::forward(sets(shape), x.data(), output, affine, eps_), shape, kept);
  kept.x = std::move(x);
}

template <class T>
Tensor<T> NormalizationLayer<T>::pull_back(normalization::Gradient<T> gradient, Kept kept) {
  if (!gradient.dx) gradient.dx = kept.x.data();
  const Shape& shape = kept.x.shape();
  normalization::backward(sets_of(shape, kept.frozen), kept.x.data(), gradient, kept.statistics, affine(),
                          weight_gradient(), bias_gradient(), eps_, kept.frozen);
  return std::move(kept.x);
}

template <class T>
void NormalizationLayer<T>::normalize_in_place(Tensor<T>& x, bool rectify) const {
  const normalization::Output<T> output{.y = x.data(), .rectify = rectify};
  if (running_) {
    normalization::apply(normalization::per_channel(x.shape()), x.data(), output, running_->statistics(),
                         affine(), eps_);
  } else {
    normalization::forward(sets(x.shape()), x.data(), output, affine(), eps_);
  }
}

template <class T>
Tensor<T> NormalizationLayer<T>::do_forward(Tensor<T> x, Record& record) {
  auto y = empty<T>(x.shape());
  Kept& kept = record.keep(Kept());
  if (!uses_reference()) {
    normalize(std::move(x), {.y = y.data()}, kept);
    return y;
  }
  const auto affine = this->affine();
  kept = begin(x.shape());
  const normalization::Sets all = sets_of(x.shape(), kept.frozen);
  take_in(kept.frozen ? normalization::Statistics() : reference::statistics(all, x.data()), x.shape(), kept);
  reference::normalize(all, x.data(), kept.statistics, affine, eps_, y.data());
  kept.x = std::move(x);
  return y;
}

template <class T>
Tensor<T> NormalizationLayer<T>::do_backward(Tensor<T> dy, Record& record) {
  auto kept = record.take<Kept>();
  if (uses_reference())
    reference::normalize_backward(sets_of(dy.shape(), kept.frozen), kept.x.data(), dy.data(), kept.statistics,
                                  affine(), eps_, kept.frozen, dy.data(), weight_gradient(), bias_gradient());
  else
    pull_back({.dy = dy.data(), .dx = dy.data()}, std::move(kept));
  return dy;
}

template <class T>
Tensor<T> NormalizationLayer<T>::do_infer(Tensor<T> x) const {
  if (uses_reference()) {
    const normalization::Sets all = sets_of(x.shape(), running_.has_value());
    const auto statistics = running_ ? running_->statistics() : reference::statistics(all, x.data());
    reference::normalize(all, x.data(), statistics, affine(), eps_, x.data());
    return x;
  }
  normalize_in_place(x, /*rectify=*/false);
  return x;
}

template <class T>
auto NormalizationLayer<T>::frozen_map() const -> std::optional<ChannelMap> {
  if (!running_) return std::nullopt;
  this->check_tensors();
  const auto statistics = running_->statistics();
  const auto parameters = affine();
  ChannelMap map;
  for (std::size_t c = 0; c < statistics.mean.size(); ++c) {
    const double gamma = parameters.gamma ? static_cast<double>(parameters.gamma[c]) : 1;
    const double beta = parameters.beta ? static_cast<double>(parameters.beta[c]) : 0;
    map.scale.push_back(gamma / std::sqrt(statistics.variance[c] + eps_));
    map.offset.push_back(beta - statistics.mean[c] * map.scale.back());
  }
  return map;
}

template <class T>
std::vector<Buffer<T>> NormalizationLayer<T>::own_buffers() {
  if (!running_) return {};
  return running_->buffers();
}

template <class T>
std::vector<Parameter<T>*> NormalizationLayer<T>::own_parameters() {
  if (!weight_) return {};
  return {&*weight_, &*bias_};
}

template <class T>
void NormalizationLayer<T>::reset_parameters(Random& /*random*/) {
  if (running_) running_->reset();
  if (!weight_) return;
  weight_->value = full<T>(kind_.affine_shape, T{1});
  bias_->value = zeros<T>(kind_.affine_shape);
}

template <class T>
void NormalizationLayer<T>::check_own_tensors() const {
  Layer<T>::check_own_tensors();
  for (const auto* parameter : {&weight_, &bias_})
    if (*parameter && (*parameter)->shape() != kind_.affine_shape)
      this->fail_shape("a " + (*parameter)->name + " of shape " + to_string(kind_.affine_shape),
                       (*parameter)->shape());
  if (running_) running_->check(this->label());
}

template <class T>
normalization::Affine<T> NormalizationLayer<T>::affine() const {
  if (!weight_) return {};
  return {weight_->value.data(), bias_->value.data()};
}

template <class T>
std::string NormalizationLayer<T>::common_options() const {
  std::ostringstream text;
  if (eps_ != 1e-5) text << ", eps " << eps_;
  if (!weight_) text << ", no weight and bias";
  return text.str();
}

template class NormalizationLayer<float>;
template class NormalizationLayer<double>;

}  // namespace strata
