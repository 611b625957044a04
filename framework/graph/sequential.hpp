// Sequential: layers one after the other.
#pragma once

#include <concepts>

#include "strata/framework/export.hpp"
#include "strata/framework/graph/container.hpp"

namespace STRATA_EXPORT strata {

/// y = f_n(… f_1(x)). Children are named "0", "1", … unless a name is given; Sequentials nest.
template <class T>
class Sequential final : public Container<T> {
 public:
  // Defined in the library, with copies and moves, as Parameter's.
  Sequential();
  // Not for one Sequential, which is copied or moved: to nest it use add.
  template <class... Layers>
  requires(sizeof...(Layers) > 0 && (std::derived_from<std::remove_cvref_t<Layers>, Layer<T>> && ...) &&
           !(sizeof...(Layers) == 1 && (std::same_as<std::remove_cvref_t<Layers>, Sequential> &&
                                        ...))) explicit Sequential(Layers&&... layers) {
    (add(std::forward<Layers>(layers)), ...);
  }

  Sequential(const Sequential& other);
  Sequential(Sequential&&) noexcept;
  Sequential& operator=(const Sequential& other);
  Sequential& operator=(Sequential&& other);
  ~Sequential() override;

  /// Appends a layer. Throws GraphError for a name that is taken, empty or holds a dot at an end.
  Sequential& add(std::string name, std::unique_ptr<Layer<T>> layer);
  Sequential& add(std::unique_ptr<Layer<T>> layer) {
    return add(std::to_string(layers_.size()), std::move(layer));
  }
  // Cold, as a network is built once: the compiler spends less time on it.
  template <std::derived_from<Layer<T>> L>
  [[gnu::cold]] Sequential& add(std::string name, L layer) {
    return add(std::move(name), std::make_unique<L>(std::move(layer)));
  }
  template <std::derived_from<Layer<T>> L>
  [[gnu::cold]] Sequential& add(L layer) {
    return add(std::to_string(layers_.size()), std::move(layer));
  }

  /// Puts a layer in the place of the one of this name: it takes over its path and mode. Throws GraphError if
  /// there is none. (Assignment to a layer does the same, for a value of its class.)
  Sequential& replace(const std::string& name, std::unique_ptr<Layer<T>> layer);
  template <std::derived_from<Layer<T>> L>
  [[gnu::cold]] Sequential& replace(const std::string& name, L layer) {
    return replace(name, std::make_unique<L>(std::move(layer)));
  }

  Index size() const { return static_cast<Index>(layers_.size()); }
  /// Throws GraphError unless 0 <= i < size().
  Layer<T>& operator[](Index i);

  Shape output_shape(const Shape& input) const override;
  std::vector<typename Layer<T>::Step> steps(const Shape& input) const override;
  bool is_per_sample() const override;
  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Sequential>(*this); }
  std::string type() const override { return "Sequential"; }
  std::vector<typename Layer<T>::Child> children() override;
  std::vector<std::size_t> append_to(FlatNetwork<T>& network,
                                     const std::vector<std::size_t>& inputs) const override;

 private:
  struct Entry {
    std::string name;
    std::unique_ptr<Layer<T>> layer;
  };

  std::vector<Entry> layers_;
};

extern template class Sequential<float>;

}  // namespace strata
