// Weights to and from a safetensors file, under PyTorch's names.
#pragma once

#include <string>

#include "strata/framework/export.hpp"
#include "strata/framework/io/state_dict.hpp"
#include "strata/framework/layer.hpp"

namespace STRATA_EXPORT strata {

enum class StateScope {
  weights,  ///< parameters and the buffers that are part of what the network computes: PyTorch's state_dict
  all       ///< every buffer too
};

/// Where a network keeps its state, by dotted name. Valid while the network lives and keeps its structure.
/// Throws as Layer::check_tensors does, as do the next two.
template <class T>
STRATA_EXPORT std::vector<StateEntry> state_of(Layer<T>& net, StateScope scope = StateScope::weights);

/// Writes the weights, F32 or F64 as T is, num_batches_tracked as I64, and their checksum. Atomic; the same
/// weights give the same bytes. Throws DataError.
template <class T>
STRATA_EXPORT void save_weights(Layer<T>& net, const std::string& path);

/// Reads weights into the network. Types must be those of the network, but for what converts without loss:
/// F16 and BF16, and F32 in a network of double. Missing, unexpected and mis-shaped tensors and those of
/// another type are named in one DataError. A file that has a checksum must have the right one. After an
/// error the network is as it was.
template <class T>
STRATA_EXPORT LoadReport load_weights(Layer<T>& net, const std::string& path);

/// The same with options. With `{.strict = false}` what fits is loaded and the report tells the rest; a file
/// of which nothing fits is a DataError all the same. Parameters that are not in the file keep the values
/// they had: print the report, or go on only if nothing is `unset`. Without num_batches_tracked, which old
/// files lack, averages keep what they have seen: they count as those of 9 batches.
template <class T>
STRATA_EXPORT [[nodiscard("it names the parameters that keep their old, perhaps random, values")]] LoadReport
load_weights(Layer<T>& net, const std::string& path, LoadOptions options);

extern template std::vector<StateEntry> state_of(Layer<float>&, StateScope);
extern template std::vector<StateEntry> state_of(Layer<double>&, StateScope);
extern template void save_weights(Layer<float>&, const std::string&);
extern template void save_weights(Layer<double>&, const std::string&);
extern template LoadReport load_weights(Layer<float>&, const std::string&);
extern template LoadReport load_weights(Layer<double>&, const std::string&);
extern template LoadReport load_weights(Layer<float>&, const std::string&, LoadOptions);
extern template LoadReport load_weights(Layer<double>&, const std::string&, LoadOptions);

}  // namespace strata
