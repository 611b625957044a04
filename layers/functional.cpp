#include "strata/layers/functional.hpp"

#include "strata/framework/error.hpp"
#include "strata/framework/runtime/switches.hpp"
#include "strata/layers/kernels/normalization/normalization.hpp"
#include "strata/layers/normalization/running_statistics.hpp"
#include "strata/layers/reference/normalization.hpp"

namespace strata {
namespace {

using normalization::per_channel;

// y from x and given statistics.
template <class T>
void apply(const normalization::Sets& sets, const Tensor<T>& x, const normalization::Statistics& statistics,
           normalization::Affine<T> affine, double eps, Tensor<T>& y) {
  if (uses_reference())
    reference::normalize(sets, x.data(), statistics, affine, eps, y.data());
  else
    normalization::apply(sets, x.data(), {.y = y.data()}, statistics, affine, eps);
}

// y from x and its own statistics, which it returns. y may be x.
template <class T>
normalization::Statistics normalize(const normalization::Sets& sets, const Tensor<T>& x,
                                    normalization::Affine<T> affine, double eps, Tensor<T>& y) {
  if (!uses_reference()) return normalization::forward(sets, x.data(), {.y = y.data()}, affine, eps);
  auto statistics = reference::statistics(sets, x.data());
  reference::normalize(sets, x.data(), statistics, affine, eps, y.data());
  return statistics;
}

template <class T>
void expect_shape(const char* function, const char* what, const Tensor<T>& value, const Shape& shape) {
  if (value.shape() != shape)
    throw ShapeError(std::string(function) + ": expected " + what + " of shape " + to_string(shape) +
                     ", got " + to_string(value.shape()));
}

template <class T>
BatchNormForward<T> forward(const char* function, std::size_t rank, const char* expected, Tensor<T> x,
                            const Tensor<T>& gamma, const Tensor<T>& beta, BatchNormParam<T>& param) {
  if (x.dimension() != rank || x.size() == 0)
    throw ShapeError(std::string(function) + ": expected x " + expected + ", not empty, got " +
                     to_string(x.shape()));
  const Shape channels{x.shape()[1]};
  expect_shape(function, "gamma", gamma, channels);
  expect_shape(function, "beta", beta, channels);
  if (!(param.eps > 0))
    throw ArgumentError(std::string(function) + ": expected eps > 0, got " + std::to_string(param.eps));
  if (!(param.momentum >= 0 && param.momentum <= 1))
    throw ArgumentError(std::string(function) +
                        ": expected 0 <= momentum <= 1, the weight of the old value, got " +
                        std::to_string(param.momentum));

  // The layers' momentum is the weight of the new value.
  RunningStatistics<T> running(function, channels, 1 - param.momentum, 0);
  running.variance.fill(T{0});
  if (param.running_mean.size() > 0) running.mean = param.running_mean;
  if (param.running_var.size() > 0) running.variance = param.running_var;
  running.check(function);

  const auto sets = per_channel(x.shape());
  const bool frozen = param.mode == BatchNormMode::test;
  if (!frozen && sets.elements() == 1)
    throw ShapeError(std::string(function) + ": expected more than one value per channel in training, got " +
                     to_string(x.shape()));
  auto out = empty<T>(x.shape());
  const normalization::Affine<T> affine{gamma.data(), beta.data()};
  normalization::Statistics statistics;
  if (frozen) {
    statistics = running.statistics();
    apply(sets, x, statistics, affine, param.eps, out);
  } else {
    statistics = normalize(sets, x, affine, param.eps, out);
    running.update(statistics, 1);
    param.running_mean = std::move(running.mean);
    param.running_var = std::move(running.variance);
  }
  return {std::move(out), {std::move(x), gamma, std::move(statistics), param.eps, frozen}};
}

template <class T>
BatchNormGradients<T> backward(const char* function, Tensor<T> dout, const BatchNormCache<T>& cache) {
  expect_shape(function, "dout", dout, cache.x.shape());
  auto dgamma = empty<T>(cache.gamma.shape()), dbeta = empty<T>(cache.gamma.shape());
  const auto sets = per_channel(cache.x.shape());
  const normalization::Affine<T> affine{.gamma = cache.gamma.data()};
  if (uses_reference())
    reference::normalize_backward(sets, cache.x.data(), dout.data(), cache.statistics, affine, cache.eps,
                                  cache.frozen, dout.data(), dgamma.data(), dbeta.data());
  else
    normalization::backward<T>(sets, cache.x.data(), {.dy = dout.data(), .dx = dout.data()}, cache.statistics,
                               affine, dgamma.data(), dbeta.data(), cache.eps, cache.frozen);
  return {std::move(dout), std::move(dgamma), std::move(dbeta)};
}

}  // namespace

template <class T>
BatchNormForward<T> spatial_batchnorm_forward(Tensor<T> x, const Tensor<T>& gamma, const Tensor<T>& beta,
                                              BatchNormParam<T>& bn_param) {
  return forward("spatial_batchnorm_forward", 4, "(N, C, H, W)", std::move(x), gamma, beta, bn_param);
}

template <class T>
BatchNormGradients<T> spatial_batchnorm_backward(Tensor<T> dout, const BatchNormCache<T>& cache) {
  return backward("spatial_batchnorm_backward", std::move(dout), cache);
}

template <class T>
BatchNormForward<T> batchnorm_forward(Tensor<T> x, const Tensor<T>& gamma, const Tensor<T>& beta,
                                      BatchNormParam<T>& bn_param) {
  return forward("batchnorm_forward", 2, "(N, D)", std::move(x), gamma, beta, bn_param);
}

template <class T>
BatchNormGradients<T> batchnorm_backward(Tensor<T> dout, const BatchNormCache<T>& cache) {
  return backward("batchnorm_backward", std::move(dout), cache);
}

template <class T>
Tensor<T> channel_wise_spatial_normalization(Tensor<T> x, const Tensor<T>& gamma, const Tensor<T>& beta,
                                             double eps) {
  const std::string name = "channel_wise_spatial_normalization";
  if (x.dimension() != 4 || x.size() == 0)
    throw ShapeError(name + ": expected x (N, C, H, W), not empty, got " + to_string(x.shape()));
  for (const Tensor<T>* parameter : {&gamma, &beta})
    if (parameter->shape() != Shape{x.shape()[1]})
      throw ShapeError(name + ": expected gamma and beta of shape " + to_string(Shape{x.shape()[1]}) +
                       " for x " + to_string(x.shape()) + ", got " + to_string(parameter->shape()));
  if (!(eps > 0)) throw ArgumentError(name + ": expected eps > 0, got " + std::to_string(eps));
  const auto planes = normalization::per_group(x.shape(), static_cast<Index>(x.shape()[1]));
  normalize<T>(planes, x, {gamma.data(), beta.data()}, eps, x);
  return x;
}

#define STRATA_INSTANTIATE(T)                                                                           \
  template BatchNormForward<T> spatial_batchnorm_forward(Tensor<T>, const Tensor<T>&, const Tensor<T>&, \
                                                         BatchNormParam<T>&);                           \
  template BatchNormGradients<T> spatial_batchnorm_backward(Tensor<T>, const BatchNormCache<T>&);       \
  template BatchNormForward<T> batchnorm_forward(Tensor<T>, const Tensor<T>&, const Tensor<T>&,         \
                                                 BatchNormParam<T>&);                                   \
  template BatchNormGradients<T> batchnorm_backward(Tensor<T>, const BatchNormCache<T>&);               \
  template Tensor<T> channel_wise_spatial_normalization(Tensor<T>, const Tensor<T>&, const Tensor<T>&, double)

STRATA_INSTANTIATE(float);
STRATA_INSTANTIATE(double);

}  // namespace strata
