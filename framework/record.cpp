#include "strata/framework/record.hpp"

namespace strata {

Record::Record() = default;
Record::Record(Record&& other) noexcept {
  *this = std::move(other);
}
Record& Record::operator=(Record&& other) noexcept {
  owner_ = std::exchange(other.owner_, 0);
  input_shape_ = std::move(other.input_shape_);
  output_shape_ = std::move(other.output_shape_);
  kept_ = std::move(other.kept_);
  return *this;
}
Record::~Record() = default;

}  // namespace strata
