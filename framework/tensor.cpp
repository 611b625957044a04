#include "strata/framework/tensor.hpp"

namespace strata {

Index element_count(const Shape& shape) {
  Index count = 1;
  for (const std::size_t extent : shape) count *= static_cast<Index>(extent);
  return count;
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

}  // namespace strata
