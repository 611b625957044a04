#include "tests/layers/normalization_results.hpp"
#include "tests/properties/subject.hpp"

namespace strata::testing {
namespace {

// gamma and beta, whether the layer has them or not.
struct AffineValues {
  Tensor<double> gamma, beta;
};

template <class L>
AffineValues affine_values(L& layer, const Shape& shape, bool affine) {
  if (affine) return {widen(layer.weight().value), widen(layer.bias().value)};
  return {full<double>(shape, 1), full<double>(shape, 0)};
}

Outcome normalize(const normalization::Sets& norm, const AffineValues& values, double eps, bool affine,
                  const Tensor<double>& x, const Tensor<double>& dy, ReferenceResult& result,
                  const std::vector<double>& mean = {}, const std::vector<double>& variance = {}) {
  result = reference_norm(norm, x, values.gamma, values.beta, dy, eps, mean, variance);
  Outcome outcome{{result.y}, {result.dx, result.dx_scale}, {}, {}};
  double largest_shift = largest(x), least_variance = INFINITY;
  for (const double m : result.mean) largest_shift = std::max(largest_shift, std::abs(m));
  for (const double v : result.variance) least_variance = std::min(least_variance, v);
  outcome.condition = 1 + largest_shift / std::sqrt(least_variance + eps);
  outcome.y.scale = largest(values.gamma) + largest(values.beta);
  if (affine) {
    // gamma's and beta's gradients are sums over the elements of x that share them.
    const double terms = largest(dy) * static_cast<double>(x.size()) / static_cast<double>(norm.channels);
    auto dgamma = result.dgamma, dbeta = result.dbeta;
    dgamma.reshape(values.gamma.shape());
    dbeta.reshape(values.beta.shape());
    outcome.gradients = {{dgamma, terms}, {dbeta, terms}};
  }
  return outcome;
}

// Options of the layers with running statistics, and those statistics by the formulas.
struct Running {
  std::optional<double> momentum;
  double minimum_factor;
  bool track, unbiased;
  Tensor<double> mean, variance;
  double batches = 0;

  Running(Random& random, std::size_t channels)
      : momentum(random.uniform()),
        minimum_factor(coin(random) ? random.uniform() : 0),
        track(coin(random)),
        unbiased(coin(random)),
        mean(full<double>({channels}, 0)),
        variance(full<double>({channels}, 1)) {
    if (coin(random)) momentum.reset();
  }

  // Takes in the average over the samples of the sets' statistics; set s belongs to channel s % C.
  void update(const ReferenceResult& batch, double m) {
    ++batches;
    const double factor = momentum ? *momentum : std::max(1 / batches, minimum_factor);
    const std::size_t channels = mean.size(), samples = batch.mean.size() / channels;
    mean *= 1 - factor;
    variance *= 1 - factor;
    for (std::size_t s = 0; s < batch.mean.size(); ++s) {
      const double weight = factor / static_cast<double>(samples);
      mean(s % channels) += weight * batch.mean[s];
      variance(s % channels) += weight * batch.variance[s] * (unbiased ? m / (m - 1) : 1);
    }
  }
};

// A layer with running statistics; without them evaluation is as training.
template <class T, class L>
Subject<T> with_running(L layer, Running running, const Shape& shape, double eps, bool affine,
                        const normalization::Sets& norm) {
  const auto values = affine_values(layer, {shape[1]}, affine);
  const double m = static_cast<double>(element_count(shape) / norm.count);
  return {layer.clone(), shape,
          [=](bool training, const Tensor<double>& x, const Tensor<double>& dy) mutable {
            ReferenceResult result;
            Outcome outcome;
            if (training || !running.track) {
              outcome = normalize(norm, values, eps, affine, x, dy, result);
              if (training && running.track) running.update(result, m);
            } else {
              outcome = normalize(normalization::per_channel(shape), values, eps, affine, x, dy, result,
                                  {running.mean.begin(), running.mean.end()},
                                  {running.variance.begin(), running.variance.end()});
            }
            if (running.track) outcome.buffers = {running.mean, running.variance, {running.batches}};
            return outcome;
          }};
}

double random_eps(Random& random) {
  return std::pow(10, -static_cast<double>(pick(random, 1, 6)));
}

template <class T, template <class> class L>
Subject<T> batch_norm(Shape shape, Random& random) {
  if (element_count(shape) == static_cast<Index>(shape[1])) shape[0] += 1;
  const Running running(random, shape[1]);
  const bool affine = coin(random);
  const double eps = random_eps(random);
  L<T> layer(static_cast<Index>(shape[1]), {.eps = eps,
                                            .momentum = running.momentum,
                                            .minimum_factor = running.minimum_factor,
                                            .affine = affine,
                                            .track_running_stats = running.track,
                                            .unbiased = running.unbiased});
  randomize_parameters(layer, random);
  return with_running<T>(layer, running, shape, eps, affine, normalization::per_channel(shape));
}

template <class T>
Subject<T> spatial_batch_norm(Random& random) {
  return batch_norm<T, SpatialBatchNorm>(random_shape(random, 4, 4, 9), random);
}

template <class T>
Subject<T> batch_norm_1d(Random& random) {
  return batch_norm<T, BatchNorm1D>(random_shape(random, 2, 3, 30), random);
}

template <class T>
Subject<T> instance_norm_2d(Random& random) {
  Shape shape = random_shape(random, 4, 4, 9);
  if (shape[2] * shape[3] == 1) shape[3] += 1;
  const Running running(random, shape[1]);
  const bool affine = coin(random);
  const double eps = random_eps(random);
  const auto channels = static_cast<Index>(shape[1]);
  InstanceNorm2D<T> layer(channels, {.eps = eps,
                                     .momentum = running.momentum,
                                     .minimum_factor = running.minimum_factor,
                                     .affine = affine,
                                     .track_running_stats = running.track,
                                     .unbiased = running.unbiased});
  randomize_parameters(layer, random);
  return with_running<T>(layer, running, shape, eps, affine, normalization::per_group(shape, channels));
}

template <class T, class L>
Subject<T> stateless(L layer, const Shape& shape, const Shape& affine_shape, double eps, bool affine,
                     const normalization::Sets& norm, Random& random) {
  randomize_parameters(layer, random);
  const auto values = affine_values(layer, affine_shape, affine);
  return {layer.clone(), shape, [=](bool, const Tensor<double>& x, const Tensor<double>& dy) {
            ReferenceResult result;
            return normalize(norm, values, eps, affine, x, dy, result);
          }};
}

template <class T>
Subject<T> group_norm(Random& random) {
  Shape shape = random_shape(random, 2, 5, 6);
  const Index groups = pick(random, 1, 4);
  shape[1] *= static_cast<std::size_t>(groups);
  const bool affine = coin(random);
  const double eps = random_eps(random);
  return stateless<T>(GroupNorm<T>(groups, static_cast<Index>(shape[1]), {.eps = eps, .affine = affine}),
                      shape, {shape[1]}, eps, affine, normalization::per_group(shape, groups), random);
}

template <class T>
Subject<T> layer_norm(Random& random) {
  const Shape shape = random_shape(random, 1, 4, 9);
  const Shape normalized(shape.end() - pick(random, 1, static_cast<Index>(shape.size())), shape.end());
  const bool affine = coin(random);
  const double eps = random_eps(random);
  return stateless<T>(LayerNorm<T>(normalized, {.eps = eps, .affine = affine}), shape, normalized, eps,
                      affine, per_slice(shape, element_count(normalized)), random);
}

}  // namespace

std::vector<LayerClass> normalization_classes() {
  return {{"SpatialBatchNorm", spatial_batch_norm<float>, spatial_batch_norm<double>},
          {"BatchNorm1D", batch_norm_1d<float>, batch_norm_1d<double>},
          {"InstanceNorm2D", instance_norm_2d<float>, instance_norm_2d<double>},
          {"GroupNorm", group_norm<float>, group_norm<double>},
          {"LayerNorm", layer_norm<float>, layer_norm<double>}};
}

}  // namespace strata::testing
