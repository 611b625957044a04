// The processor's caches, as far as loops are cut by them.
#pragma once

#include "strata/framework/index.hpp"

namespace strata {

/// Bytes of the second-level cache that a core has: what the system tells, or 0 if it does not.
Index l2_cache_bytes();

/// How many lines of a core's first-level data cache share a set, or 0.
Index l1_cache_ways();

/// Has loops be cut for another one, in the whole process. Results keep their bits.
void set_l2_cache_bytes(Index bytes);
void set_l1_cache_ways(Index ways);

}  // namespace strata
