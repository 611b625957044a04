#include "strata/framework/chain.hpp"

#include <span>

namespace strata {
namespace {

bool may_fuse() {
  return fusion() && !FiniteChecks::active();
}

}  // namespace

template <class T>
Chain<T>::Chain(std::vector<Layer<T>*> layers, const Chain* like)
    : layers_(std::move(layers)), fused_(like && like->fused_) {
  const std::span<Layer<T>* const> all(layers_);
  for (std::size_t i = 0; i < all.size();) {
    auto fused = all[i]->fuse_training(all.subspan(i));
    const std::size_t size = fused ? static_cast<std::size_t>(fused->size()) : 1;
    training_.push_back({all[i], std::move(fused)});
    i += size;
  }
  for (std::size_t i = 0; i < all.size();) {
    auto fused = all[i]->fuse_inference(all.subspan(i));
    const std::size_t size = fused ? static_cast<std::size_t>(fused->size()) : 1;
    inference_.push_back({all[i], std::move(fused)});
    i += size;
  }
}

template <class T>
Tensor<T> Chain<T>::forward(Tensor<T> x) {
  fused_ = may_fuse();
  if (!fused_) {
    for (Layer<T>* layer : layers_) x = layer->forward(std::move(x));
    return x;
  }
  for (const TrainingStep& step : training_)
    x = step.fused ? step.fused->forward(std::move(x)) : step.layer->forward(std::move(x));
  return x;
}

template <class T>
Tensor<T> Chain<T>::backward_from(std::size_t first, Tensor<T> dy) {
  if (!fused_) {
    for (std::size_t i = layers_.size(); i-- > first;) dy = layers_[i]->backward(std::move(dy));
    return dy;
  }
  for (std::size_t i = training_.size(); i-- > first;) {
    const TrainingStep& step = training_[i];
    dy = step.fused ? step.fused->backward(std::move(dy)) : step.layer->backward(std::move(dy));
  }
  return dy;
}

template <class T>
Tensor<T> Chain<T>::backward(Tensor<T> dy) {
  return backward_from(0, std::move(dy));
}

template <class T>
void Chain<T>::backward_parameters(Tensor<T> dy) {
  if (layers_.empty()) return;
  dy = backward_from(1, std::move(dy));
  if (fused_ && training_.front().fused)
    training_.front().fused->backward_parameters(std::move(dy));
  else
    layers_.front()->backward_parameters(std::move(dy));
}

template <class T>
Tensor<T> Chain<T>::infer_from(std::size_t first, Tensor<T> x) const {
  for (std::size_t i = first; i < inference_.size(); ++i) {
    const InferenceStep& step = inference_[i];
    x = step.fused ? step.fused->infer(std::move(x)) : step.layer->infer(std::move(x));
  }
  return x;
}

template <class T>
Tensor<T> Chain<T>::infer(Tensor<T> x) const {
  if (may_fuse()) return infer_from(0, std::move(x));
  for (const Layer<T>* layer : layers_) x = layer->infer(std::move(x));
  return x;
}

template <class T>
Tensor<T> Chain<T>::infer_shared(const Tensor<T>& x) const {
  if (!may_fuse() || inference_.empty() || !inference_.front().fused) return infer(copy(x));
  return infer_from(1, inference_.front().fused->infer_shared(x));
}

template class Chain<float>;
template class Chain<double>;

}  // namespace strata
