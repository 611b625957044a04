// Makes what an entry of layers.json describes.
#pragma once

#include <memory>

#include <nlohmann/json.hpp>

namespace benchmarks {

/// A layer or a join with an input and an output gradient of random numbers.
class Subject {
 public:
  virtual ~Subject() = default;
  /// Puts fresh copies of the input and the gradient in place, and frees the results of the last round.
  virtual void prepare() = 0;
  virtual void forward() = 0;
  virtual void backward() = 0;
};

/// `entry` names the layer and its options, `shape` is one of its cases. Throws for a layer it does not know.
std::unique_ptr<Subject> make_subject(const nlohmann::json& entry, const nlohmann::json& shape);

}  // namespace benchmarks
