#include <cmath>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "strata/framework/io/safetensors.hpp"
#include "strata/framework/io/weights.hpp"
#include "strata/strata.hpp"
#include "tests/framework/temporary_folder.hpp"

namespace strata {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A layer with one buffer of every kind.
template <class T>
class Stateful final : public Layer<T> {
 public:
  Parameter<T> weight{"weight", Tensor<T>{1, 2, 3}};
  Tensor<T> running_mean{T{0.5}, T{-0.5}};
  std::int64_t batches = 7;
  std::int64_t position = 9;

  std::unique_ptr<Layer<T>> clone() const override { return std::make_unique<Stateful>(*this); }
  std::string type() const override { return "Stateful"; }

 protected:
  Tensor<T> do_forward(Tensor<T> x, Record&) override { return x; }
  Tensor<T> do_backward(Tensor<T> dy, Record&) override { return dy; }
  Tensor<T> do_infer(Tensor<T> x) const override { return x; }
  std::vector<Parameter<T>*> own_parameters() override { return {&weight}; }
  std::vector<Buffer<T>> own_buffers() override {
    return {{"running_mean", &running_mean},
            {"num_batches_tracked", &batches},
            {.name = "position", .value = &position, .in_weights = false}};
  }
};

template <class T>
Sequential<T> network(std::uint64_t seed) {
  Sequential<T> net{Linear<T>{4, 3}, ReLU<T>{}};
  net.add("head", Sequential<T>{Stateful<T>{}, Linear<T>{3, 2, {.bias = false}}});
  net.initialize(seed);
  return net;
}

template <class T>
Stateful<T>& stateful(Sequential<T>& net) {
  return dynamic_cast<Stateful<T>&>(net.find("head.0"));
}

template <class T>
StateDict all_of(Sequential<T>& net) {
  return capture(state_of<T>(net, StateScope::all));
}

template <class T>
std::string error_of(Sequential<T>& net, const std::filesystem::path& path) {
  try {
    load_weights(net, path);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

template <class T>
class TypedWeights : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(TypedWeights, Types);

TYPED_TEST(TypedWeights, AreSavedUnderPyTorchsNames) {
  using T = TypeParam;
  const TemporaryFolder folder;
  auto net = network<T>(1);
  save_weights(net, folder / "w");
  const StateDict state = read_safetensors(folder / "w");
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state.tensors) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("0.bias", "0.weight", "head.0.num_batches_tracked", "head.0.running_mean",
                                 "head.0.weight", "head.1.weight"));
  EXPECT_EQ(state.tensors.at("0.weight").dtype, dtype_of<T>);
  EXPECT_EQ(state.tensors.at("0.weight").shape, (Shape{3, 4}));
  EXPECT_EQ(state.tensors.at("head.0.num_batches_tracked").dtype, DType::i64);
  EXPECT_THAT(state.tensors.at("head.0.num_batches_tracked").shape, IsEmpty());
  EXPECT_EQ(state.metadata.at("format"), "pt");
}

TYPED_TEST(TypedWeights, ComeBackBitForBit) {
  using T = TypeParam;
  const TemporaryFolder folder;
  auto net = network<T>(1), other = network<T>(2);
  stateful(net).running_mean = Tensor<T>{std::numeric_limits<T>::denorm_min(), T{-0.0}};
  stateful(net).batches = std::int64_t{1} << 62;
  save_weights(net, folder / "w");
  const LoadReport report = load_weights(other, folder / "w");
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(report.loaded.size(), 6u);
  EXPECT_EQ(report.to_string(), "");
  EXPECT_EQ(all_of(other), all_of(net));
  save_weights<T>(other, folder / "again");
  EXPECT_EQ(read_text(folder / "again"), read_text(folder / "w"));
}

TYPED_TEST(TypedWeights, AllFaultsAreNamedAtOnceAndNothingChanges) {
  using T = TypeParam;
  const bool is_float = std::is_same_v<T, float>;
  const TemporaryFolder folder;
  auto net = network<T>(1);
  StateDict state = all_of(net);
  state.tensors.erase("head.1.weight");
  state.tensors.erase("0.bias");
  state.tensors.at("head.0.running_mean") = {
      is_float ? DType::f64 : DType::i64, {2}, std::vector<std::byte>(16)};
  state.tensors.at("head.0.weight").shape = {3, 1};
  state.put("head.1.bias", Tensor<double>{1});
  write_safetensors(state, folder / "w");

  auto target = network<T>(2);
  const StateDict before = all_of(target);
  const std::string type = is_float ? "F32" : "F64", other = is_float ? "F64" : "I64";
  EXPECT_EQ(error_of(target, folder / "w"),
            "'" + (folder / "w").string() + "': 6 tensors do not fit: missing '0.bias', " + type +
                " (3); 'head.0.weight': expected " + type + " (3), found " + type +
                " (3, 1); missing 'head.1.weight', " + type + " (2, 3); 'head.0.running_mean': expected " +
                type + " (2), found " + other +
                " (2); unexpected 'head.0.position', I64 (); unexpected 'head.1.bias', "
                "F64 (1)");
  EXPECT_EQ(all_of(target), before);

  const LoadReport report = load_weights(target, folder / "w", {.strict = false});
  EXPECT_FALSE(report.complete());
  EXPECT_THAT(report.loaded, ElementsAre("0.weight", "head.0.num_batches_tracked"));
  EXPECT_THAT(report.missing, ElementsAre("0.bias", "head.1.weight"));
  EXPECT_THAT(report.mismatched, ElementsAre("head.0.weight", "head.0.running_mean"));
  EXPECT_THAT(report.unexpected, ElementsAre("head.0.position", "head.1.bias"));
  EXPECT_THAT(report.unset, ElementsAre("0.bias", "head.0.weight", "head.1.weight", "head.0.running_mean"));
  EXPECT_THAT(
      report.to_string(),
      testing::StartsWith("4 tensors keep the values of before: missing '0.bias', " + type + " (3); "));
  EXPECT_THAT(report.to_string(), testing::EndsWith("unexpected 'head.1.bias', F64 (1)"));
  StateDict after = before;
  after.tensors.at("0.weight") = all_of(net).tensors.at("0.weight");
  EXPECT_EQ(all_of(target), after);
}

TYPED_TEST(TypedWeights, ALoadOfNothingIsAnError) {
  using T = TypeParam;
  const TemporaryFolder folder;
  auto net = network<T>(1), target = network<T>(2);
  StateDict renamed;
  for (auto& [name, tensor] : capture(state_of<T>(net)).tensors) renamed.tensors["module." + name] = tensor;
  write_safetensors(renamed, folder / "w");
  const StateDict before = all_of(target);
  try {
    const LoadReport report = load_weights(target, folder / "w", {.strict = false});
    FAIL() << report.to_string();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("12 tensors do not fit: missing '0.weight'"));
    EXPECT_THAT(error.what(), HasSubstr("unexpected 'module.0.bias'"));
  }
  EXPECT_EQ(all_of(target), before);
}

// The bits of 16 that stand for the upper half of a float, and those of binary16 of the same small numbers.
TYPED_TEST(TypedWeights, HalvesBecomeTheNetworksType) {
  using T = TypeParam;
  const TemporaryFolder folder;
  const auto stored = [](DType dtype, const std::vector<std::uint16_t>& values) {
    StoredTensor tensor{dtype, {values.size()}, std::vector<std::byte>(2 * values.size())};
    std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
    return tensor;
  };
  auto net = network<T>(1), target = network<T>(2);
  StateDict state = capture(state_of<T>(net));
  state.tensors.at("head.0.weight") = stored(DType::f16, {0x3e00, 0xc000, 0x0001});
  state.tensors.at("0.bias") = stored(DType::bf16, {0x3fc0, 0xc000, 0x0001});
  write_safetensors(state, folder / "w");
  const LoadReport report = load_weights(target, folder / "w");
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(stateful(target).weight.value, (Tensor<T>{T{1.5}, T{-2}, std::ldexp(T{1}, -24)}));
  EXPECT_EQ(dynamic_cast<Linear<T>&>(target.find("0")).bias().value,
            (Tensor<T>{T{1.5}, T{-2}, std::ldexp(T{1}, -133)}));
  EXPECT_EQ(stateful(target).running_mean, stateful(net).running_mean);

  state.tensors.at("head.0.weight").dtype = DType::i16;  // which loses nothing either, but are no weights
  write_safetensors(state, folder / "w");
  EXPECT_THAT(
      error_of(target, folder / "w"),
      HasSubstr("'head.0.weight': expected " + std::string(to_string(dtype_of<T>)) + " (3), found I16 (3)"));
}

TEST(Weights, FloatsBecomeDoublesButNotTheOtherWayRound) {
  const TemporaryFolder folder;
  auto small = network<float>(1);
  auto large = network<double>(2);
  save_weights(small, folder / "float");
  load_weights(large, folder / "float");
  EXPECT_EQ(stateful(large).running_mean, (Tensor<double>{0.5, -0.5}));
  EXPECT_EQ(dynamic_cast<Linear<double>&>(large.find("0")).weight().value,
            xt::cast<double>(dynamic_cast<Linear<float>&>(small.find("0")).weight().value));
  const StateDict state = capture(state_of<float>(small));
  EXPECT_THROW(restore(state_of<double>(large), state, "F", {.widen = false}), DataError);

  save_weights(large, folder / "double");
  EXPECT_THAT(error_of(small, folder / "double"), HasSubstr("expected F32 (3, 4), found F64 (3, 4)"));
}

// As PyTorch wrote them before it counted batches.
TYPED_TEST(TypedWeights, AveragesWithoutACountKeepTheirHistory) {
  using T = TypeParam;
  const TemporaryFolder folder;
  SpatialBatchNorm<T> net{2, {.momentum = std::nullopt}}, target{2, {.momentum = std::nullopt}};
  net.running_mean() = Tensor<T>{10, -10};
  net.running_var() = Tensor<T>{4, 9};
  StateDict state = capture(state_of<T>(net));
  state.tensors.erase("num_batches_tracked");
  write_safetensors(state, folder / "w");
  EXPECT_THROW(load_weights(target, folder / "w"), DataError);
  const LoadReport report = load_weights(target, folder / "w", {.strict = false});
  EXPECT_THAT(report.missing, ElementsAre("num_batches_tracked"));
  EXPECT_THAT(report.unset, IsEmpty());
  EXPECT_EQ(report.to_string(), "missing 'num_batches_tracked', I64 ()");
  EXPECT_EQ(target.num_batches_tracked(), 9);

  target.forward(Tensor<T>{{{{1, 3}}, {{0, 4}}}});  // means 2 and 2, variances 1 and 4
  EXPECT_NEAR(target.running_mean()(0), 0.9 * 10 + 0.1 * 2, 1e-5);
  EXPECT_NEAR(target.running_mean()(1), 0.9 * -10 + 0.1 * 2, 1e-5);
  EXPECT_NEAR(target.running_var()(0), 0.9 * 4 + 0.1 * 1, 1e-5);
  EXPECT_NEAR(target.running_var()(1), 0.9 * 9 + 0.1 * 4, 1e-5);
  target.initialize(1);
  target.forward(Tensor<T>{{{{1, 3}}, {{0, 4}}}});
  EXPECT_NEAR(target.running_mean()(0), 2, 1e-5);
  EXPECT_EQ(target.num_batches_tracked(), 1);
}

TYPED_TEST(TypedWeights, ABrokenFileChangesNothing) {
  using T = TypeParam;
  const TemporaryFolder folder;
  auto net = network<T>(1);
  save_weights(net, folder / "w");
  std::string file = read_text(folder / "w");
  file.pop_back();
  write_text(folder / "w", file);
  auto target = network<T>(2);
  const StateDict before = all_of(target);
  EXPECT_THAT(error_of(target, folder / "w"), HasSubstr("the file is cut"));
  EXPECT_THAT(error_of(target, folder / "absent"), HasSubstr("No such file"));
  EXPECT_EQ(all_of(target), before);
}

TYPED_TEST(TypedWeights, AFlippedBitIsNoticed) {
  using T = TypeParam;
  const TemporaryFolder folder;
  auto net = network<T>(1);
  save_weights(net, folder / "w");
  const std::string good = read_text(folder / "w");
  const StateDict state = read_safetensors(folder / "w");
  std::size_t data = 0;
  for (const auto& [name, tensor] : state.tensors) data += tensor.bytes.size();
  auto target = network<T>(2);
  const StateDict before = all_of(target);
  for (std::size_t at = good.size() - data; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1 << at % 8);
    write_text(folder / "w", bad);
    EXPECT_THAT(error_of(target, folder / "w"),
                testing::StartsWith("'" + (folder / "w").string() +
                                    "': is damaged: expected contents with the "
                                    "checksum '" +
                                    state.metadata.at("strata.crc32") + "', found '"));
  }
  EXPECT_EQ(all_of(target), before);
}

// So that other programs can compute it.
TYPED_TEST(TypedWeights, TheChecksumIsThatOfTheFileWithoutIt) {
  const TemporaryFolder folder;
  auto net = network<TypeParam>(1);
  save_weights(net, folder / "w");
  StateDict state = read_safetensors(folder / "w");
  const auto note = state.metadata.extract("strata.crc32");
  const auto bytes = serialize_safetensors(state);
  const auto sum = crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size()));
  EXPECT_EQ(std::stoul(note.mapped(), nullptr, 16), sum);
  EXPECT_EQ(note.mapped().size(), 8u);
}

TYPED_TEST(TypedWeights, FromElsewhereNeedNoChecksum) {
  using T = TypeParam;
  const TemporaryFolder folder;
  auto net = network<T>(1), target = network<T>(2);
  write_safetensors(capture(state_of<T>(net)), folder / "w");
  load_weights(target, folder / "w");
  EXPECT_EQ(all_of(target), all_of(net));
}

TYPED_TEST(TypedWeights, ASaveThatFailsLeavesNothingBehind) {
  using T = TypeParam;
  const TemporaryFolder folder;
  auto net = network<T>(1);
  EXPECT_THROW(save_weights(net, folder / "no/such"), DataError);
  EXPECT_EQ(folder.file_count(), 0);
}

// PyTorch keeps nothing of a dropout layer.
TEST(Weights, LeaveOutWhatOnlyARunNeeds) {
  Sequential<float> net{Linear<float>{2, 2}, Dropout<float>{0.5}, Dropout2D<float>{0.5}};
  EXPECT_EQ(capture(state_of(net)).tensors.size(), 2u);
  EXPECT_EQ(capture(state_of(net, StateScope::all)).tensors.size(), 6u);
}

TEST(StateDict, PutRefusesASecondTensorOfOneName) {
  StateDict state;
  state.put("x", Tensor<float>{1});
  EXPECT_THROW(state.put("x", Tensor<double>{2}), StateError);
  EXPECT_EQ(state.get<float>("x", "F"), Tensor<float>{1});
}

TEST(StateDict, GetNamesTheSource) {
  StateDict state;
  state.put("x", Tensor<float>{1});
  const auto message = [&](const auto& get) {
    try {
      get();
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message([&] { state.get<double>("x", "F"); }), "F: tensor 'x': expected F64, found F32");
  EXPECT_EQ(message([&] { state.get<double>("y", "F"); }), "F: tensor 'y' is missing");
}

TEST(StateDict, LongListsOfFaultsAreCut) {
  StateDict state;
  for (int i = 0; i < 60; ++i) state.put("x" + std::to_string(i), Tensor<float>{1});
  try {
    restore({}, state, "F");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("F: 60 tensors do not fit"));
    EXPECT_THAT(error.what(), testing::EndsWith("; and 10 more"));
  }
}

}  // namespace
}  // namespace strata
