// What every normalizing layer has: eps, a weight and bias of its own, and its two modes.
#pragma once

#include <optional>

#include "strata/framework/graph/image_layout.hpp"
#include "strata/framework/layer.hpp"
#include "strata/layers/kernels/normalization/normalization.hpp"
#include "strata/layers/normalization/running_statistics.hpp"

namespace strata {

/// Base of the normalizing layers, which differ in the sets of elements that share a mean and a variance.
/// `weight` is gamma, starts at 1; `bias` is beta, starts at 0; both have the shape of `affine_shape` and are
/// exempt from weight decay.
///
/// With running statistics, which are of channels, evaluation uses these instead of the batch's.
template <class T>
class NormalizationLayer : public Layer<T> {
 public:
  /// gamma and beta. Throw StateError if the layer has none.
  Parameter<T>& weight();
  Parameter<T>& bias();

  /// In evaluation y = scale[c] x + offset[c], if there are running statistics; else nothing.
  struct ChannelMap {
    std::vector<double> scale;
    std::vector<double> offset;
  };
  std::optional<ChannelMap> frozen_map() const;
  /// Every tensor that frozen_map depends on.
  std::vector<const Tensor<T>*> frozen_state() const;

  bool is_per_sample() const override { return true; }
  std::unique_ptr<TrainingFusion<T>> fuse_training(std::span<Layer<T>* const> chain) override;
  std::unique_ptr<InferenceFusion<T>> fuse_inference(std::span<Layer<T>* const> chain) override;

 protected:
  /// Throws ArgumentError unless eps > 0 and finite; `type` is for its message.
  NormalizationLayer(const char* type, const Shape& affine_shape, double eps, bool affine);
  /// (channels). Throws ArgumentError unless there is at least 1.
  static Shape channel_shape(const char* type, Index channels);

  // Defined in the library, as Parameter's.
  NormalizationLayer(const NormalizationLayer&);
  NormalizationLayer(NormalizationLayer&&) noexcept;
  NormalizationLayer& operator=(const NormalizationLayer&);
  NormalizationLayer& operator=(NormalizationLayer&&) noexcept;
  ~NormalizationLayer() override;

  virtual normalization::Sets sets(const Shape& x) const = 0;
  /// Whether runs are the planes of x (N, C, H, W).
  virtual bool runs_are_planes() const { return true; }
  /// Throws ShapeError if the sets of a batch in training cannot have a variance.
  virtual void check_training_batch(const Shape& /*x*/) const {}

  /// `unbiased`: the running variance averages m / (m - 1) times the batch's.
  void track(RunningStatistics<T> running, bool unbiased);
  bool tracks() const { return running_.has_value(); }
  /// Throws StateError if there are none.
  RunningStatistics<T>& running();
  /// What differs from the defaults, for options(): running statistics, then eps and affine.
  std::string running_options() const { return running_->options() + (unbiased_ ? ", unbiased" : ""); }

  Tensor<T> do_forward(Tensor<T> x) override;
  Tensor<T> do_backward(Tensor<T> dy) override;
  Tensor<T> do_infer(Tensor<T> x) const override;
  std::vector<Parameter<T>*> own_parameters() override;
  std::vector<Buffer<T>> own_buffers() override;
  void reset_parameters(Random& random) override;

  double eps() const { return eps_; }
  /// Throws ShapeError if someone replaced weight or bias by a tensor of another shape.
  normalization::Affine<T> affine() const;
  /// Where the gradients go; null without weight and bias.
  T* weight_gradient() { return weight_ ? weight_->gradient.data() : nullptr; }
  T* bias_gradient() { return bias_ ? bias_->gradient.data() : nullptr; }
  /// ", eps 0.001, no weight and bias": what differs from the defaults.
  std::string common_options() const;

 private:
  template <class>
  friend class NormFusion;
  template <class>
  friend class NormInference;
  template <class>
  friend class ImageNorm;
  template <class>
  friend class ConvolutionRun;

  /// Checks x and settles whose statistics are to be used, which frozen_ says.
  void begin(const Shape& x);
  /// Keeps x for backward and, unless they are frozen, its statistics, which go into the running averages.
  void keep(Tensor<T> x, normalization::Statistics statistics);
  /// Keeps x for pull_back.
  void normalize(Tensor<T> x, const normalization::Output<T>& output);
  /// Returns x, whose memory is dx's if the gradient names none.
  Tensor<T> pull_back(normalization::Gradient<T> gradient);
  void normalize_in_place(Tensor<T>& x, bool rectify) const;

  Shape affine_shape_;
  double eps_;
  std::optional<Parameter<T>> weight_;
  std::optional<Parameter<T>> bias_;
  std::optional<RunningStatistics<T>> running_;
  bool unbiased_ = false;

  // For backward.
  Tensor<T> x_;
  ImageLayout x_layout_ = ImageLayout::planes;  // set and read by ConvolutionRun
  normalization::Statistics statistics_;
  bool frozen_ = false;
};

extern template class NormalizationLayer<float>;

}  // namespace strata
