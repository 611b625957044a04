#include "strata/layers/fusion/exactly.hpp"

#include "strata/layers/normalization/batch_norm.hpp"
#include "strata/layers/normalization/group_norm.hpp"
#include "strata/layers/normalization/instance_norm_2d.hpp"
#include "strata/layers/normalization/layer_norm.hpp"
#include "strata/layers/relu.hpp"

namespace strata::fusion {

template <class T>
NormalizationLayer<T>* norm_at(Stretch<T> nodes, std::size_t k) {
  const bool known = exactly<SpatialBatchNorm<T>>(nodes, k) || exactly<BatchNorm1D<T>>(nodes, k) ||
                     exactly<InstanceNorm2D<T>>(nodes, k) || exactly<GroupNorm<T>>(nodes, k) ||
                     exactly<LayerNorm<T>>(nodes, k);
  return known ? static_cast<NormalizationLayer<T>*>(nodes[k]->layer) : nullptr;
}

template <class T>
LeakyReLU<T>* rectifier_at(Stretch<T> nodes, std::size_t k) {
  if (LeakyReLU<T>* relu = exactly<ReLU<T>>(nodes, k)) return relu;
  return exactly<LeakyReLU<T>>(nodes, k);
}

template NormalizationLayer<float>* norm_at(Stretch<float>, std::size_t);
template NormalizationLayer<double>* norm_at(Stretch<double>, std::size_t);
template LeakyReLU<float>* rectifier_at(Stretch<float>, std::size_t);
template LeakyReLU<double>* rectifier_at(Stretch<double>, std::size_t);

}  // namespace strata::fusion
