#include "strata/framework/chain.hpp"

#include <span>

namespace strata {

template <class T>
Chain<T>::Chain(std::vector<Layer<T>*> layers, const Chain* like, Taken taken) : layers_(std::move(layers)) {
  if (like) {
    fused_ = like->fused_;
    layouts_ = like->layouts_;
  }
  auto rest = std::span<Layer<T>* const>(layers_).subspan(taken.in_training);
  while (!rest.empty()) {
    auto fused = rest[0]->fuse_training(rest);
    const std::size_t size = fused ? static_cast<std::size_t>(fused->size()) : 1;
    training_.push_back({rest[0], std::move(fused)});
    rest = rest.subspan(size);
  }
  rest = std::span<Layer<T>* const>(layers_).subspan(taken.in_inference);
  while (!rest.empty()) {
    auto fused = rest[0]->fuse_inference(rest);
    const std::size_t size = fused ? static_cast<std::size_t>(fused->size()) : 1;
    inference_.push_back({rest[0], std::move(fused)});
    rest = rest.subspan(size);
  }
  set_layouts();
}

template <class T>
bool Chain<T>::may_fuse() {
  return fusion() && !FiniteChecks::active();
}

template <class T>
bool Chain<T>::takes_pixels(const Shape& x) const {
  return !training_.empty() && training_.front().fused && training_.front().fused->takes_pixels(x);
}

template <class T>
bool Chain<T>::gives_pixels(const Shape& x) const {
  if (training_.empty() || !training_.back().fused) return false;
  Shape in = x;
  for (auto layer = layers_.begin(); *layer != training_.back().layer; ++layer)
    in = (*layer)->output_shape(in);
  return training_.back().fused->gives_pixels(in);
}

template <class T>
void Chain<T>::set_layouts() {
  for (std::size_t i = 0; i < training_.size(); ++i)
    if (training_[i].fused)
      training_[i].fused->set_layouts(i == 0 ? layouts_.x : ImageLayout::planes,
                                      i + 1 == training_.size() ? layouts_.y : ImageLayout::planes);
}

template <class T>
Shared<T> Chain<T>::forward(Shared<T> x, bool fuse, Layouts layouts) {
  fused_ = fuse;
  layouts_ = layouts;
  set_layouts();
  if (!fused_) {
    for (Layer<T>* layer : layers_) x = layer->forward(std::move(x).take());
    return x;
  }
  for (const TrainingStep& step : training_)
    x = step.fused ? step.fused->forward_shared(std::move(x)) : step.layer->forward(std::move(x).take());
  return x;
}

template <class T>
Shared<T> Chain<T>::backward_from(std::size_t first, Shared<T> dy) {
  if (!fused_) {
    for (std::size_t i = layers_.size(); i-- > first;) dy = layers_[i]->backward(std::move(dy).take());
    return dy;
  }
  for (std::size_t i = training_.size(); i-- > first;) {
    const TrainingStep& step = training_[i];
    dy = step.fused ? step.fused->backward_shared(std::move(dy)) : step.layer->backward(std::move(dy).take());
  }
  return dy;
}

template <class T>
Shared<T> Chain<T>::backward(Shared<T> dy) {
  return backward_from(0, std::move(dy));
}

template <class T>
void Chain<T>::backward_parameters(Shared<T> dy) {
  if (fused_ ? training_.empty() : layers_.empty()) return;
  dy = backward_from(1, std::move(dy));
  if (fused_ && training_.front().fused) return training_.front().fused->backward_parameters(std::move(dy));
  layers_.front()->backward_parameters(std::move(dy).take());
}

template <class T>
Shared<T> Chain<T>::infer(Shared<T> x, bool fuse) const {
  if (!fuse) {
    for (const Layer<T>* layer : layers_) x = layer->infer(std::move(x).take());
    return x;
  }
  for (const InferenceStep& step : inference_) {
    if (step.fused && !x.is_last())
      x = step.fused->infer_shared(*x);
    else
      x = step.fused ? step.fused->infer(std::move(x).take()) : step.layer->infer(std::move(x).take());
  }
  return x;
}

template class Chain<float>;
template class Chain<double>;

}  // namespace strata
