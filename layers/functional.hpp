// Layers as plain functions: batch normalization with the meaning that course CS231n gives it, instance
// normalization.
#pragma once

#include "strata/framework/export.hpp"
#include "strata/layers/reference/normalization.hpp"

namespace STRATA_EXPORT strata {

enum class BatchNormMode { train, test };

/// The course's bn_param.
template <class T>
struct BatchNormParam {
  BatchNormMode mode = BatchNormMode::train;
  double eps = 1e-5;
  /// Weight of the OLD value, running = momentum * running + (1 - momentum) * batch: 0.9 here is 0.1 for the
  /// layers.
  double momentum = 0.9;
  /// (C); both empty at first, when they stand for zeros. The variance is the biased one.
  Tensor<T> running_mean = Tensor<T>::from_shape({0});
  Tensor<T> running_var = Tensor<T>::from_shape({0});
};

/// What the forward functions leave for the backward functions.
template <class T>
struct BatchNormCache {
  Tensor<T> x;
  Tensor<T> gamma;
  normalization::Statistics statistics;
  double eps;
  bool frozen;
};

template <class T>
struct BatchNormForward {
  Tensor<T> out;
  BatchNormCache<T> cache;
};

template <class T>
struct BatchNormGradients {
  Tensor<T> dx;
  Tensor<T> dgamma;
  Tensor<T> dbeta;
};

/// out = gamma (x - mean) / sqrt(var + eps) + beta of x (N, C, H, W) by channel; gamma, beta (C). In training
/// mean and var are those of the batch, and the running averages in bn_param take them in; in test mode they
/// are the running averages. Throws ShapeError, also for one value per channel in training, and ArgumentError
/// for eps <= 0 or momentum outside [0, 1].
template <class T>
STRATA_EXPORT BatchNormForward<T> spatial_batchnorm_forward(Tensor<T> x, const Tensor<T>& gamma,
                                                            const Tensor<T>& beta,
                                                            BatchNormParam<T>& bn_param);
/// From dL/d(out) of the forward that left the cache; the formulas are BatchNorm's. Throws ShapeError.
template <class T>
STRATA_EXPORT BatchNormGradients<T> spatial_batchnorm_backward(Tensor<T> dout,
                                                               const BatchNormCache<T>& cache);

/// The same of x (N, D), by feature; gamma, beta (D).
template <class T>
STRATA_EXPORT BatchNormForward<T> batchnorm_forward(Tensor<T> x, const Tensor<T>& gamma,
                                                    const Tensor<T>& beta, BatchNormParam<T>& bn_param);
template <class T>
STRATA_EXPORT BatchNormGradients<T> batchnorm_backward(Tensor<T> dout, const BatchNormCache<T>& cache);

/// Instance normalization as a function: x (N, C, H, W), gamma and beta (C), by the formulas above.
/// Throws ShapeError, and ArgumentError for eps <= 0.
template <class T>
STRATA_EXPORT Tensor<T> channel_wise_spatial_normalization(Tensor<T> x, const Tensor<T>& gamma,
                                                           const Tensor<T>& beta, double eps = 1e-5);

}  // namespace strata
