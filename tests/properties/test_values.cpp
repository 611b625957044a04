// Layers are values: every class is copied, moved, assigned and put into the standard library's wrappers.
#include <any>
#include <array>
#include <functional>
#include <future>
#include <map>
#include <optional>
#include <tuple>
#include <variant>

#include <gmock/gmock.h>

#include "tests/framework/temporary_folder.hpp"
#include "tests/properties/value_samples.hpp"

namespace strata {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::sample;
using testing::sample_input;
using ::testing::ThrowsMessage;

/// All that a program can see of a layer.
struct Seen {
  std::vector<std::string> names;
  std::vector<bool> modes;
  Tensor<double> y;  // of infer
  std::string file;
  bool operator==(const Seen&) const = default;
};

void look_at(Layer<double>& layer, Seen& seen) {
  seen.names.push_back(layer.label());
  seen.modes.push_back(layer.training());
  for (const auto& child : layer.children()) look_at(*child.layer, seen);
}

Seen see(Layer<double>& layer, const Shape& input) {
  Seen seen;
  look_at(layer, seen);
  for (const auto& [name, parameter] : layer.named_parameters()) seen.names.push_back(name);
  for (const auto& buffer : layer.named_buffers()) seen.names.push_back(buffer.name);
  seen.y = layer.infer(Random(7).normal<double>(input));
  const TemporaryFolder folder;
  save_weights(layer, folder / "weights.safetensors");
  seen.file = read_text(folder / "weights.safetensors");
  return seen;
}

template <class L>
class ValueOf : public ::testing::Test {
 protected:
  ValueOf() : layer(sample<L>()) {
    Random random(3);
    testing::randomize_parameters(layer, random);
    layer.forward(random.normal<double>(input));  // statistics run
    layer.eval();
    expected = see(layer, input);
  }
  void expect_same(Layer<double>& other, const char* how) {
    EXPECT_EQ(see(other, input), expected) << how;
    EXPECT_EQ(see(layer, input), expected) << "the original, after " << how;
    const TemporaryFolder folder;
    save_weights(layer, folder / "w");
    EXPECT_NO_THROW(load_weights(other, folder / "w")) << how;
  }

  const Shape input = sample_input<L>();
  L layer;
  Seen expected;
};
TYPED_TEST_SUITE(ValueOf, testing::AllLayers);

template <class L>
const L& as_const(L& layer) {
  return layer;
}

TYPED_TEST(ValueOf, IsCopiedByEveryWayThatCopies) {
  using L = TypeParam;
  L& a = this->layer;
  const auto check = [&](L& copy, const char* how) { this->expect_same(copy, how); };
  // NOLINTBEGIN(performance-unnecessary-copy-initialization)
  {
    L b(a);
    check(b, "L b(a)");
  }
  {
    L b{a};
    check(b, "L b{a}");
  }
  {
    L b = a;
    check(b, "L b = a");
  }
  {
    auto b(a);
    check(b, "auto b(a)");
  }
  {
    L b(as_const(a));
    check(b, "L b(const a)");
  }
  {
    L b{as_const(a)};
    check(b, "L b{const a}");
  }
  {
    L b = sample<L>();
    b.eval();  // an assignment leaves the mode
    b = a;
    check(b, "b = a");
  }
  {
    L b = sample<L>();
    b.eval();
    b = as_const(a);
    check(b, "b = const a");
  }
  {
    L* b = new L(a);
    check(*b, "new");
    delete b;
  }
  // NOLINTEND(performance-unnecessary-copy-initialization)
  check(*std::make_unique<L>(a), "make_unique");
  this->expect_same(*std::make_unique<const L>(a)->clone(), "make_unique<const>");
}

TYPED_TEST(ValueOf, IsCopiedIntoEveryWrapper) {
  using L = TypeParam;
  L& a = this->layer;
  const auto check = [&](L& copy, const char* how) { this->expect_same(copy, how); };
  check(*std::make_shared<L>(a), "make_shared");
  std::optional<L> maybe(a);
  check(*maybe, "optional");
  check(maybe.emplace(a), "optional::emplace");
  maybe = a;
  check(*maybe, "optional =");
  std::vector<L> list{a};
  list.push_back(a);
  list.emplace_back(a);
  list.insert(list.begin(), a);
  for (L& b : list) check(b, "vector");
  std::array<L, 2> two{a, a};
  check(two[1], "array");
  std::map<int, L> map;
  map.emplace(1, a);
  map.try_emplace(2, a);
  map.insert_or_assign(2, a);
  check(map.at(1), "map::emplace");
  check(map.at(2), "map::try_emplace");
  std::pair<int, L> pair(1, a);
  check(pair.second, "pair");
  std::tuple<L, int> tuple(a, 1);
  check(std::get<0>(tuple), "tuple");
  std::any any(a);
  check(std::any_cast<L&>(any), "any");
  std::variant<int, L> variant(a);
  check(std::get<L>(variant), "variant");
  variant.template emplace<L>(a);
  check(std::get<L>(variant), "variant::emplace");
  auto captured = [a]() mutable -> L& { return a; };
  check(captured(), "a lambda's capture");
  std::function<L&()> function = captured;
  check(function(), "function");
  L from_thread = std::async(
                      std::launch::async, [](L b) { return b; }, a)
                      .get();
  check(from_thread, "async");
  L from_bind = std::bind([](const L& b) { return b; }, a)();
  check(from_bind, "bind");
}

TYPED_TEST(ValueOf, MovesWithAllThatItHas) {
  using L = TypeParam;
  L copy(this->layer);
  L b(std::move(copy));
  this->expect_same(b, "L b(std::move(a))");
  L c = sample<L>();
  c.eval();
  c = std::move(b);
  this->expect_same(c, "b = std::move(a)");
  copy = c;
  this->expect_same(copy, "assigned to after it was moved from");
  b = std::move(c);
  std::swap(b, copy);
  this->expect_same(b, "swap");
  this->expect_same(copy, "swap");
  L& same = b;
  b = same;
  this->expect_same(b, "b = b");
  b = std::move(same);
  this->expect_same(b, "b = std::move(b)");
}

TYPED_TEST(ValueOf, ForwardBeforeAMoveAllowsBackwardAfterItOrSaysThatNot) {
  using L = TypeParam;
  L a(this->layer);
  const auto y = a.forward(full<double>(this->input, 1));
  L b(std::move(a));
  if (std::is_base_of_v<Container<double>, L>)
    EXPECT_THROW(b.backward(y), StateError);  // its plan was of the network at its old place
  else
    EXPECT_EQ(b.backward(y).shape(), this->input);
}

TYPED_TEST(ValueOf, IsOfNoUseAfterItWasMovedFrom) {
  using L = TypeParam;
  L a(this->layer);
  const auto x = full<double>(this->input, 1);
  const auto y = a.forward(x);
  const L b(std::move(a));
  const auto refuses = [&](const auto& call, const char* what) {
    EXPECT_THAT(call, ThrowsMessage<StateError>(AllOf(HasSubstr(a.type()), HasSubstr("moved")))) << what;
  };
  // NOLINTBEGIN(bugprone-use-after-move)
  refuses([&] { a.forward(x); }, "forward");
  refuses([&] { a.infer(x); }, "infer");
  refuses([&] { a.named_parameters(); }, "named_parameters");
  refuses([&] { a.named_buffers(); }, "named_buffers");
  refuses([&] { (void)a.parameter_count(); }, "parameter_count");
  refuses([&] { a.freeze(); }, "freeze");
  refuses([&] { a.initialize(1); }, "initialize");
  refuses([&] { save_weights(a, "/nowhere"); }, "save_weights");
  refuses([&] { Sequential<double>().add(std::move(a)); }, "add");
  refuses([&] { Inference<double>{a}(x); }, "Inference");
  L copy(a);
  refuses([&] { copy.forward(x); }, "a copy of it");
  EXPECT_THROW(a.backward(y), StateError);
  EXPECT_THROW(a.backward_parameters(y), StateError);
  // Whatever these do, they do not crash.
  const auto either = [](const auto& call) {
    try {
      call();
    } catch (const Error&) {
    }
  };
  either([&] { (void)a.output_shape(this->input); });
  either([&] { (void)a.steps(this->input); });
  either([&] { (void)a.options(); });
  either([&] { (void)a.multiply_adds(this->input); });
  either([&] { (void)a.algorithm(this->input); });
  either([&] { (void)a.is_per_sample(); });
  either([&] { (void)a.children(); });
  either([&] { a.find("0"); });
  either([&] { (void)summary(a, this->input); });
  a.set_path("elsewhere");
  a.eval();
  // NOLINTEND(bugprone-use-after-move)
  L other(std::move(a));
  refuses([&] { other.forward(x); }, "what it was moved to");
}

TYPED_TEST(ValueOf, KeepsItsPlaceInANetworkWhenItIsAssigned) {
  using L = TypeParam;
  Sequential<double> net;
  net.add("before", LeakyReLU<double>{}).add("place", sample<L>());
  net.eval();
  auto& placed = dynamic_cast<L&>(net.find("place"));
  placed = this->layer;
  EXPECT_EQ(placed.path(), "place");
  EXPECT_FALSE(placed.training());
  for (const auto& [name, parameter] : net.named_parameters())
    EXPECT_TRUE(name.starts_with("place.")) << name;
  Sequential<double> plain;
  plain.add("before", LeakyReLU<double>{}).add("place", this->layer);
  const auto x = Random(5).normal<double>(this->input);
  EXPECT_EQ(net.infer(x), plain.infer(x));
  net.train();
  placed = L(this->layer);
  EXPECT_TRUE(placed.training());
  EXPECT_EQ(placed.label(), plain.find("place").label());

  // What is taken out of the network leaves it without, not broken.
  L taken = std::move(placed);
  EXPECT_THAT([&] { net.infer(x); }, ThrowsMessage<StateError>(HasSubstr("'place'")));
  EXPECT_THAT([&] { net.forward(x); }, ThrowsMessage<StateError>(HasSubstr("'place'")));
  placed = std::move(taken);
  EXPECT_NO_THROW(net.forward(x));
}

}  // namespace
}  // namespace strata
