// What every normalizing layer has: eps, a weight and bias of its own, and its two modes.
#pragma once

#include <limits>
#include <optional>

#include "strata/framework/export.hpp"
#include "strata/framework/layer.hpp"
#include "strata/layers/normalization/running_statistics.hpp"
#include "strata/layers/reference/normalization.hpp"

namespace STRATA_EXPORT strata {

namespace normalization {  // layers/kernels/normalization/normalization.hpp
template <class T>
struct Output;
template <class T>
struct Gradient;
}  // namespace normalization

/// Base of the normalizing layers, which differ in the sets of elements that share a mean and a variance.
/// `weight` is gamma, starts at 1; `bias` is beta, starts at 0; both are exempt from weight decay.
///
/// With running statistics, which are of channels, evaluation uses these instead of the batch's.
///
/// Squares of x - mean are added up in T: of values up to 1e17 in float, 1e150 in double, none overflows.
/// Where one does, y is NaN, which FiniteChecks finds, and the running statistics stay as they were.
template <class T>
class NormalizationLayer : public Layer<T> {
 public:
  /// gamma and beta. Throw StateError if the layer has none.
  Parameter<T>& weight();
  Parameter<T>& bias();

  /// By default any x of the ranks that the layer takes, not empty, whose axis 1 are its channels.
  Shape output_shape(const Shape& input) const override;
  bool is_per_sample() const override { return kind_.groups > 0 || running_; }

  /// In evaluation y = scale[c] x + offset[c], if there are running statistics; else nothing.
  struct ChannelMap {
    std::vector<double> scale;
    std::vector<double> offset;
  };
  std::optional<ChannelMap> frozen_map() const;

  // What follows is forward and backward in parts, for what runs more than this layer at once
  // (layers/fusion).

  /// What forward leaves for backward.
  struct Kept {
    Tensor<T> x;
    normalization::Statistics statistics;
    bool frozen = false;  ///< the statistics were the running ones
  };
  /// Checks x and settles whose statistics normalize it: kept has the running ones if it is frozen.
  Kept begin(const Shape& x) const;
  /// Keeps the statistics of x unless they are frozen, and takes them into the running averages in training.
  void take_in(normalization::Statistics statistics, const Shape& x, Kept& kept);
  /// All of forward.
  void normalize(Tensor<T> x, const normalization::Output<T>& output, Kept& kept);
  /// All of backward. Returns x, whose memory is dx's if the gradient names none.
  Tensor<T> pull_back(normalization::Gradient<T> gradient, Kept kept);
  /// All of infer.
  void normalize_in_place(Tensor<T>& x, bool rectify) const;

  virtual normalization::Sets sets(const Shape& x) const;
  double eps() const { return eps_; }
  normalization::Affine<T> affine() const;
  /// Where the gradients go; null without weight and bias.
  T* weight_gradient() { return weight_ ? weight_->gradient.data() : nullptr; }
  T* bias_gradient() { return bias_ ? bias_->gradient.data() : nullptr; }

 protected:
  /// What tells the layers apart.
  struct Kind {
    const char* type;
    Shape affine_shape;  ///< of weight and bias; (channels) unless output_shape is overridden
    /// Groups of channels of a sample, each of which is a set; 0: a set is a channel of all samples.
    Index groups;
    std::size_t least_rank = 2;
    std::size_t most_rank = std::numeric_limits<std::size_t>::max();
    std::string axes = "";  ///< "(N, 3, H, W) with N, H, W >= 1": what x has to be, for messages
    /// What a set must have more than one of in training, "pixel", for the variance of one value is 0
    /// whatever the value; null if that does not matter.
    const char* more_than_one = nullptr;
  };
  /// (channels). Throws ArgumentError unless there is at least 1.
  static Shape channel_shape(const char* type, Index channels);
  /// Throws ArgumentError unless eps > 0 and finite.
  NormalizationLayer(Kind kind, double eps, bool affine);

  // Defined in the library, as Parameter's.
  NormalizationLayer(const NormalizationLayer&);
  NormalizationLayer(NormalizationLayer&&) noexcept;
  NormalizationLayer& operator=(const NormalizationLayer&);
  NormalizationLayer& operator=(NormalizationLayer&&) noexcept;
  ~NormalizationLayer() override;

  /// `unbiased`: the running variance averages m / (m - 1) times the batch's.
  void track(RunningStatistics<T> running, bool unbiased);
  bool tracks() const { return running_.has_value(); }
  /// Throws StateError if there are none.
  RunningStatistics<T>& running();
  /// What differs from the defaults, for options(): running statistics, then eps and affine.
  std::string running_options() const { return running_->options() + (unbiased_ ? ", unbiased" : ""); }
  /// ", eps 0.001, no weight and bias"
  std::string common_options() const;

  Tensor<T> do_forward(Tensor<T> x, Record& record) override;
  Tensor<T> do_backward(Tensor<T> dy, Record& record) override;
  Tensor<T> do_infer(Tensor<T> x) const override;
  std::vector<Parameter<T>*> own_parameters() override;
  std::vector<Buffer<T>> own_buffers() override;
  void reset_parameters(Random& random) override;
  void check_own_tensors() const override;

 private:
  normalization::Sets sets_of(const Shape& x, bool frozen) const;

  Kind kind_;
  double eps_;
  std::optional<Parameter<T>> weight_;
  std::optional<Parameter<T>> bias_;
  std::optional<RunningStatistics<T>> running_;
  bool unbiased_ = false;
};

extern template class NormalizationLayer<float>;

}  // namespace strata
