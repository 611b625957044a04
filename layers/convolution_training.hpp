// A convolution as it runs in training.
#pragma once

#include "strata/layers/conv_2d.hpp"

namespace strata {

/// Reads x and dy where others hold them too.
template <class T>
class ConvolutionTraining final : public TrainingFusion<T> {
 public:
  explicit ConvolutionTraining(Conv2D<T>& convolution) : convolution_(convolution) {}

  Index size() const override { return 1; }
  Tensor<T> forward(Tensor<T> x) override { return convolution_.forward_shared(std::move(x)); }
  Tensor<T> backward(Tensor<T> dy) override { return convolution_.pull_back(dy); }
  Tensor<T> forward_shared(Shared<T> x) override { return convolution_.forward_shared(std::move(x)); }
  Tensor<T> backward_shared(Shared<T> dy) override { return convolution_.pull_back(*dy); }
  void backward_parameters(Shared<T> dy) override { convolution_.pull_back_parameters(*dy); }

 private:
  Conv2D<T>& convolution_;
};

}  // namespace strata
