#include "strata/framework/record.hpp"

namespace strata {

Record::Record() = default;
Record::Record(Record&&) noexcept = default;
Record& Record::operator=(Record&&) noexcept = default;
Record::~Record() = default;

}  // namespace strata
