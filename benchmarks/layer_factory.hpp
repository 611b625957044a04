// Makes what an entry of layers.json describes.
#pragma once

#include <memory>

#include <nlohmann/json.hpp>

#include "strata/framework/tensor.hpp"

namespace benchmarks {

/// A layer or a join. In turn: make_input, forward, make_gradient, backward. What is made comes out of all
/// threads, as from a layer before it, into the memory of what is no longer needed, as in a training step.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual void make_input() = 0;
  virtual void forward() = 0;
  virtual void make_gradient() = 0;
  virtual void backward() = 0;
};

/// `entry` names the layer and its options, `shape` is one of its cases. Throws for a layer it does not know.
std::unique_ptr<Subject> make_subject(const nlohmann::json& entry, const nlohmann::json& shape);

/// The least that a layer of `count` elements can do that keeps x: y = x, and dx = dy + x in dy's memory.
std::unique_ptr<Subject> make_floor(strata::Index count);

}  // namespace benchmarks
