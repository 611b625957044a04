// Normalization by rows, for sets of channels with a few elements each, as of a layer norm over features. A
// set is one row of runs * L consecutive elements of x; gamma and beta are spread out over their channels'
// elements, so that a row is worked through as a whole, whatever its runs are. Rows are never cut.
#pragma once

#include "strata/layers/kernels/normalization.hpp"
#include "strata/layers/normalization.hpp"
#include "strata/layers/normalization_terms.hpp"

namespace strata::normalization {

/// For sets that do not span samples, with gamma and beta. The arguments are those of forward and backward in
/// normalization.hpp, without `pool` and `unpool`.
template <class T>
class Rows {
 public:
  explicit Rows(const Problem<T>& problem);

  /// Sets the statistics too, unless they are frozen.
  void forward(const Output<T>& out, Statistics& statistics) const;
  void backward(const Gradient<T>& gradient, const Statistics& statistics, T* dgamma, T* dbeta) const;

 private:
  Index sets_of_sample() const { return sets_.channels / sets_.runs; }
  Index sample_length() const { return sets_.channels * sets_.length; }
  Index sets_at_once() const;
  Index start(Index set) const { return set * sets_.first_step * sets_.length; }

  Values<T> spread(const T* of_channels) const;
  kernels::Moments moments(const T* x) const;
  kernels::Row<T> row(const Normalizer<T>& n, Index set, bool rectify) const;
  void backward_row(const Gradient<T>& gradient, const Normalizer<T>& n, Index set, Values<T>& dgamma,
                    Values<T>& dbeta) const;

  const Problem<T>& problem_;
  const Sets& sets_ = problem_.sets;
  Values<T> gamma_, beta_;  // of the elements of a sample
  const kernels::Normalization<T>& kernel_ = kernels::table<kernels::Normalization<T>>();
};

extern template class Rows<float>;
extern template class Rows<double>;

}  // namespace strata::normalization
