#include "strata/framework/graph/numerical_gradient.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "strata/framework/error.hpp"

namespace strata {
namespace {

// Calls accept(i, f(x + h e_i), f(x - h e_i)) for every element of x.
template <class Function, class Accept>
void central_differences(const Function& f, Tensor<double> x, double h, const Accept& accept) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double saved = x.data()[i];
    x.data()[i] = saved + h;
    const auto above = f(x);
    x.data()[i] = saved - h;
    const auto below = f(x);
    x.data()[i] = saved;
    accept(i, above, below);
  }
}

}  // namespace

double detail::weighted_difference(const Tensor<double>& a, const Tensor<double>& b,
                                   const Tensor<double>& weight) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += (a.data()[i] - b.data()[i]) * weight.data()[i];
  return sum;
}

Tensor<double> numerical_gradient(const std::function<double(const Tensor<double>&)>& f,
                                  const Tensor<double>& x, double h) {
  auto gradient = empty<double>(x.shape());
  central_differences(f, x, h, [&](std::size_t i, double above, double below) {
    gradient.data()[i] = (above - below) / (2 * h);
  });
  return gradient;
}

Tensor<double> numerical_gradient(const std::function<Tensor<double>(const Tensor<double>&)>& f,
                                  const Tensor<double>& x, const Tensor<double>& dout, double h) {
  auto gradient = empty<double>(x.shape());
  central_differences(f, x, h, [&](std::size_t i, const Tensor<double>& above, const Tensor<double>& below) {
    if (above.shape() != dout.shape())
      throw ShapeError("numerical_gradient: expected an output gradient of shape " +
                       to_string(above.shape()) + ", got " + to_string(dout.shape()));
    gradient.data()[i] = detail::weighted_difference(above, below, dout) / (2 * h);
  });
  return gradient;
}

double relative_error(const Tensor<double>& a, const Tensor<double>& b) {
  if (a.shape() != b.shape())
    throw ShapeError("relative_error: expected two tensors of one shape, got " + to_string(a.shape()) +
                     " and " + to_string(b.shape()));
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double p = a.data()[i], q = b.data()[i];
    const double error = std::abs(p - q) / std::max(1e-8, std::abs(p) + std::abs(q));
    worst = std::max(worst, std::isnan(error) ? std::numeric_limits<double>::infinity() : error);
  }
  return worst;
}

}  // namespace strata
