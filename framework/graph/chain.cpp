#include "strata/framework/graph/chain.hpp"

#include <span>

namespace strata {
namespace {

// Whether what stands for the first layers takes images of pixels.
template <class Step>
bool begins_in_pixels(const std::vector<Step>& steps, const Shape& x) {
  return !steps.empty() && steps.front().fused && steps.front().fused->takes_pixels(x);
}

}  // namespace

template <class T>
Chain<T>::Chain(std::vector<Layer<T>*> layers, const Chain* like, Taken taken) : layers_(std::move(layers)) {
  if (like) {
    fused_ = like->fused_;
    layouts_ = like->layouts_;
  }
  training_ = plan<TrainingFusion<T>>(
      taken.in_training, [](std::span<Layer<T>* const> rest) { return rest.front()->fuse_training(rest); });
  inference_ = plan<InferenceFusion<T>>(
      taken.in_inference, [](std::span<Layer<T>* const> rest) { return rest.front()->fuse_inference(rest); });
  set_layouts();
}

template <class T>
template <class Fusion, class BeginFusion>
auto Chain<T>::plan(std::size_t taken, const BeginFusion& begin_fusion) const -> std::vector<Step<Fusion>> {
  std::vector<Step<Fusion>> steps;
  for (std::size_t first = taken; first < layers_.size();) {
    auto fused = begin_fusion(std::span<Layer<T>* const>(layers_).subspan(first));
    const std::size_t size = fused ? static_cast<std::size_t>(fused->size()) : 1;
    steps.push_back({first, std::move(fused)});
    first += size;
  }
  return steps;
}

template <class T>
bool Chain<T>::may_fuse() {
  return fusion() && !FiniteChecks::active();
}

template <class T>
Shape Chain<T>::output_shape(std::size_t first, std::size_t last, Shape x) const {
  for (std::size_t i = first; i < last; ++i) x = layers_[i]->output_shape(x);
  return x;
}

template <class T>
bool Chain<T>::takes_pixels(Pass pass, const Shape& x) const {
  return pass == Pass::training ? begins_in_pixels(training_, x) : begins_in_pixels(inference_, x);
}

template <class T>
template <class Fusion>
bool Chain<T>::ends_in_pixels(const std::vector<Step<Fusion>>& steps, const Shape& x) const {
  if (steps.empty() || !steps.back().fused) return false;
  return steps.back().fused->gives_pixels(output_shape(0, steps.back().first, x));
}

template <class T>
bool Chain<T>::gives_pixels(Pass pass, const Shape& x) const {
  return pass == Pass::training ? ends_in_pixels(training_, x) : ends_in_pixels(inference_, x);
}

template <class T>
void Chain<T>::set_layouts() {
  for (std::size_t i = 0; i < training_.size(); ++i)
    if (training_[i].fused)
      training_[i].fused->set_layouts({i == 0 ? layouts_.x : ImageLayout::planes,
                                       i + 1 == training_.size() ? layouts_.y : ImageLayout::planes});
}

template <class T>
Shared<T> Chain<T>::forward(Shared<T> x, bool fuse, ImageLayouts layouts) {
  fused_ = fuse;
  layouts_ = layouts;
  set_layouts();
  if (!fused_) {
    for (Layer<T>* layer : layers_) x = layer->forward(std::move(x).take());
    return x;
  }
  for (const auto& step : training_)
    x = step.fused ? step.fused->forward_shared(std::move(x))
                   : layers_[step.first]->forward(std::move(x).take());
  return x;
}

template <class T>
Shared<T> Chain<T>::backward_from(std::size_t first, Shared<T> dy) {
  if (!fused_) {
    for (std::size_t i = layers_.size(); i-- > first;) dy = layers_[i]->backward(std::move(dy).take());
    return dy;
  }
  for (std::size_t i = training_.size(); i-- > first;) {
    const auto& step = training_[i];
    dy = step.fused ? step.fused->backward_shared(std::move(dy))
                    : layers_[step.first]->backward(std::move(dy).take());
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

// Of what step number `step` makes of an x of this shape; behind the last it is y's.
template <class T>
ImageLayout Chain<T>::layout_behind(std::size_t step, const Shape& x, ImageLayout y) const {
  if (step + 1 == inference_.size()) return y;
  const auto &now = inference_[step], &next = inference_[step + 1];
  const bool pixels = next.fused && now.fused->gives_pixels(x) &&
                      next.fused->takes_pixels(output_shape(now.first, next.first, x));
  return pixels ? ImageLayout::pixels : ImageLayout::planes;
}

template <class T>
bool Chain<T>::take_join(const JoinInference<T>& join) {
  return !inference_.empty() && inference_.back().fused && inference_.back().fused->take_join(join);
}

template <class T>
Shared<T> Chain<T>::infer(Shared<T> x, bool fuse, ImageLayouts layouts, Shared<T> other) const {
  if (!fuse) {
    for (const Layer<T>* layer : layers_) x = layer->infer(std::move(x).take());
    return x;
  }
  ImageLayout layout = layouts.x;
  for (std::size_t i = 0; i < inference_.size(); ++i) {
    const auto& step = inference_[i];
    if (!step.fused) {
      x = layers_[step.first]->infer(std::move(x).take());
      continue;
    }
    const ImageLayout next = layout_behind(i, x->shape(), layouts.y);
    Shared<T> joined = i + 1 == inference_.size() ? std::move(other) : Shared<T>();
    x = step.fused->infer(std::move(x), std::move(joined), {std::exchange(layout, next), next});
  }
  return x;
}

template class Chain<float>;
template class Chain<double>;

}  // namespace strata
