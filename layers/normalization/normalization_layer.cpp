#include "strata/layers/normalization/normalization_layer.hpp"

#include <cmath>
#include <sstream>

#include "strata/layers/fusion/norm_fusion.hpp"
#include "strata/layers/pooling/max_pool_2d.hpp"
#include "strata/layers/relu.hpp"

namespace strata {

template <class T>
NormalizationLayer<T>::NormalizationLayer(const char* type, const Shape& affine_shape, double eps,
                                          bool affine)
    : affine_shape_(affine_shape), eps_(eps) {
  if (!(eps > 0 && std::isfinite(eps)))
    throw ArgumentError(std::string(type) + ": expected a finite eps > 0, got " + std::to_string(eps));
  if (!affine) return;
  weight_ = Parameter<T>("weight", full<T>(affine_shape, T{1}), /*decay=*/false);
  bias_ = Parameter<T>("bias", zeros<T>(affine_shape), /*decay=*/false);
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
  if (!weight_) throw StateError(this->label() + ": was made with affine = false and has no weight");
  this->lend_state();
  return *weight_;
}

template <class T>
Parameter<T>& NormalizationLayer<T>::bias() {
  if (!bias_) throw StateError(this->label() + ": was made with affine = false and has no bias");
  this->lend_state();
  return *bias_;
}

template <class T>
void NormalizationLayer<T>::track(RunningStatistics<T> running, bool unbiased) {
  this->change_state();
  running_ = std::move(running);
  unbiased_ = unbiased;
}

template <class T>
RunningStatistics<T>& NormalizationLayer<T>::running() {
  if (!running_)
    throw StateError(this->label() +
                     ": was made with track_running_stats = false and has no running statistics");
  this->lend_state();
  return *running_;
}

template <class T>
void NormalizationLayer<T>::begin(const Shape& x) {
  if (running_) running_->check(this->label());
  frozen_ = !this->training() && running_;
  if (frozen_)
    statistics_ = running_->statistics();
  else if (this->training())
    check_training_batch(x);
}

template <class T>
void NormalizationLayer<T>::keep(Tensor<T> x, normalization::Statistics statistics) {
  if (!frozen_) {
    statistics_ = std::move(statistics);
    const auto m = static_cast<double>(sets(x.shape()).elements());
    if (this->training() && running_) {
      this->change_state();
      running_->update(statistics_, unbiased_ ? m / (m - 1) : 1);
    }
  }
  x_ = std::move(x);
}

template <class T>
void NormalizationLayer<T>::normalize(Tensor<T> x, const normalization::Output<T>& output) {
  const auto affine = this->affine();
  begin(x.shape());
  if (frozen_) {
    normalization::apply(normalization::per_channel(x.shape()), x.data(), output, statistics_, affine, eps_);
    return keep(std::move(x), {});
  }
  auto statistics = normalization::forward(sets(x.shape()), x.data(), output, affine, eps_);
  keep(std::move(x), std::move(statistics));
}

template <class T>
Tensor<T> NormalizationLayer<T>::pull_back(normalization::Gradient<T> gradient) {
  Tensor<T> x = std::move(x_);
  x_ = Tensor<T>();
  if (!gradient.dx) gradient.dx = x.data();
  const auto all = frozen_ ? normalization::per_channel(x.shape()) : sets(x.shape());
  normalization::backward(all, x.data(), gradient, statistics_, affine(), weight_gradient(), bias_gradient(),
                          eps_, frozen_);
  return x;
}

template <class T>
void NormalizationLayer<T>::normalize_in_place(Tensor<T>& x, bool rectify) const {
  const normalization::Output<T> output{.y = x.data(), .rectify = rectify};
  if (running_) {
    running_->check(this->label());
    normalization::apply(normalization::per_channel(x.shape()), x.data(), output, running_->statistics(),
                         affine(), eps_);
  } else {
    normalization::forward(sets(x.shape()), x.data(), output, affine(), eps_);
  }
}

template <class T>
Tensor<T> NormalizationLayer<T>::do_forward(Tensor<T> x) {
  auto y = empty<T>(x.shape());
  normalize(std::move(x), {.y = y.data()});
  return y;
}

template <class T>
Tensor<T> NormalizationLayer<T>::do_backward(Tensor<T> dy) {
  pull_back({.dy = dy.data(), .dx = dy.data()});
  return dy;
}

template <class T>
Tensor<T> NormalizationLayer<T>::do_infer(Tensor<T> x) const {
  normalize_in_place(x, /*rectify=*/false);
  return x;
}

template <class T>
auto NormalizationLayer<T>::frozen_map() const -> std::optional<ChannelMap> {
  if (!running_) return std::nullopt;
  running_->check(this->label());
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
std::vector<const Tensor<T>*> NormalizationLayer<T>::frozen_state() const {
  std::vector<const Tensor<T>*> state;
  if (running_) state = {&running_->mean, &running_->variance};
  if (weight_) state.insert(state.end(), {&weight_->value, &bias_->value});
  return state;
}

template <class T>
std::unique_ptr<TrainingFusion<T>> NormalizationLayer<T>::fuse_training(std::span<Layer<T>* const> chain) {
  if (chain.size() < 2 || !dynamic_cast<ReLU<T>*>(chain[1])) return nullptr;
  auto* pool = chain.size() > 2 && runs_are_planes() ? dynamic_cast<MaxPool2D<T>*>(chain[2]) : nullptr;
  return std::make_unique<NormFusion<T>>(*this, /*rectify=*/true, pool);
}

template <class T>
std::unique_ptr<InferenceFusion<T>> NormalizationLayer<T>::fuse_inference(std::span<Layer<T>* const> chain) {
  if (chain.size() < 2 || !dynamic_cast<ReLU<T>*>(chain[1])) return nullptr;
  return std::make_unique<NormInference<T>>(*this);
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
  weight_->value.fill(T{1});
  bias_->value.fill(T{0});
}

template <class T>
normalization::Affine<T> NormalizationLayer<T>::affine() const {
  if (!weight_) return {};
  for (const Parameter<T>* parameter : {&*weight_, &*bias_})
    if (parameter->value.shape() != affine_shape_)
      throw ShapeError(this->label() + ": expected a " + parameter->name + " of shape " +
                       to_string(affine_shape_) + ", got " + to_string(parameter->value.shape()));
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
