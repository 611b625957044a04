#include <bit>
#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strata/framework/error.hpp"
#include "strata/framework/io/safetensors.hpp"
#include "tests/framework/temporary_folder.hpp"

namespace strata {
namespace {

using testing::HasSubstr;

std::string with_length(std::uint64_t length, const std::string& rest) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + rest;
}

std::string file_of(const std::string& header, std::size_t data = 0) {
  return with_length(header.size(), header + std::string(data, 'x'));
}

StateDict parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)), "F");
}

std::string error_of(const std::string& file) {
  try {
    parse(file);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

std::string text_of(const StateDict& state) {
  const auto bytes = serialize_safetensors(state);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

StateDict example() {
  StateDict state;
  state.put("weight", Tensor<float>{{1, 2, 3}, {4, 5, 6}});
  state.put("mean", Tensor<double>{0.25, -0.0});
  state.put("count", Tensor<std::int64_t>(Shape{}, 42));
  state.put("none", empty<float>({3, 0}));
  state.metadata = {{"format", "pt"}, {"note", "a \"quoted\"\nline, naïve"}};
  return state;
}

TEST(Safetensors, LaysAFileOutAsSpecified) {
  StateDict state;
  state.put("b", Tensor<float>{1});
  state.put("a", Tensor<float>{2});
  state.put("c", Tensor<std::int64_t>{3});
  state.metadata["k"] = "v";
  std::string header = R"({"__metadata__":{"k":"v"},"c":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
                       R"("a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
                       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::string data("\3\0\0\0\0\0\0\0\0\0\0\x40\0\0\x80\x3f", 16);
  EXPECT_EQ(text_of(state), with_length(header.size(), header + data));
}

TEST(Safetensors, AnEmptyFileHasAnEmptyHeader) {
  EXPECT_EQ(text_of({}), with_length(8, "{}      "));
  EXPECT_EQ(parse(text_of({})), StateDict{});
}

TEST(Safetensors, ReadsWhatItWrote) {
  const StateDict state = example();
  EXPECT_EQ(parse(text_of(state)), state);
  const TemporaryFolder folder;
  write_safetensors(state, folder / "a");
  EXPECT_EQ(read_text(folder / "a"), text_of(state));
  EXPECT_EQ(read_safetensors(folder / "a"), state);
  write_safetensors(read_safetensors(folder / "a"), folder / "a");
  EXPECT_EQ(read_text(folder / "a"), text_of(state));
  EXPECT_EQ(folder.file_count(), 1);
}

template <class T, class Bits>
void expect_bits_kept(const std::vector<Bits>& patterns) {
  Tensor<T> values = empty<T>({patterns.size()});
  std::memcpy(values.data(), patterns.data(), patterns.size() * sizeof(T));
  StateDict state;
  state.put("x", values);
  const Tensor<T> back = parse(text_of(state)).get<T>("x", "F");
  for (std::size_t i = 0; i < patterns.size(); ++i) EXPECT_EQ(std::bit_cast<Bits>(back(i)), patterns[i]) << i;
}

TEST(Safetensors, KeepsEveryBit) {
  // -0, the smallest denormals, infinities, quiet and signaling NaNs with payloads.
  expect_bits_kept<float, std::uint32_t>(
      {0x80000000, 1, 0x80000001, 0x007fffff, 0x7f800000, 0xff800000, 0x7fc00001, 0x7f800001, 0xffedcba9});
  expect_bits_kept<double, std::uint64_t>({0x8000000000000000, 1, 0x8000000000000001, 0x000fffffffffffff,
                                           0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000001,
                                           0x7ff0000000000001, 0xfffedcba98765432});
  expect_bits_kept<std::int64_t, std::uint64_t>({0, 0x8000000000000000, 0xffffffffffffffff});
}

TEST(Safetensors, ReadsAndRewritesPythonsFile) {
  // Made by the Python package safetensors 0.8.0.
  const std::string path = STRATA_REFERENCE_DIR "/from_python.safetensors";
  const StateDict state = read_safetensors(path);
  EXPECT_EQ(state.get<float>("fc.weight", path),
            (Tensor<float>{{0, 1 / 3.f, 2 / 3.f}, {1, 4 / 3.f, 5 / 3.f}}));
  const auto bias = state.get<float>("fc.bias", path);
  EXPECT_TRUE(std::isnan(bias(0)));
  EXPECT_EQ(bias(1), std::numeric_limits<float>::infinity());
  EXPECT_EQ(state.get<double>("bn.running_mean", path), (Tensor<double>{0.5, -0.0, 1e-310}));
  EXPECT_EQ(state.get<std::int64_t>("bn.num_batches_tracked", path)(), 7);
  EXPECT_EQ(state.get<float>("empty", path).shape(), (Shape{0, 3}));
  EXPECT_EQ(state.tensors.at("mask").dtype, DType::boolean);
  EXPECT_EQ(state.tensors.at("half").dtype, DType::f16);
  EXPECT_EQ(state.tensors.at("naïve \"name\"\n\x01\x7f").shape, (Shape{3}));
  EXPECT_EQ(state.metadata.at("format"), "np");
  EXPECT_EQ(text_of(state), read_text(path));
}

TEST(Safetensors, TakesNullForNoMetadata) {
  const StateDict state =
      parse(file_of(R"({"__metadata__":null,"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1));
  EXPECT_TRUE(state.metadata.empty());
  EXPECT_EQ(state.tensors.at("x").shape, Shape{1});
}

TEST(Safetensors, AcceptsAnyOrderAndSpacing) {
  const StateDict state =
      parse(file_of("{ \"b\" : {\"data_offsets\":[4, 5],\n\"shape\":[1],\"dtype\":\"U8\"},\t"
                    "\"e\":{\"dtype\":\"F64\",\"shape\":[0,7],\"data_offsets\":[4,4]},"
                    "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\"__metadata__\":{}}  \n",
                    5));
  EXPECT_EQ(state.tensors.size(), 3u);
  EXPECT_EQ(state.tensors.at("a").bytes.size(), 4u);
  EXPECT_EQ(state.tensors.at("b").bytes.size(), 1u);
  EXPECT_EQ(state.tensors.at("e").shape, (Shape{0, 7}));
}

TEST(Safetensors, KnowsEveryElementType) {
  for (const auto& [name, size] : std::vector<std::pair<std::string, int>>{{"BOOL", 1},
                                                                           {"U8", 1},
                                                                           {"I8", 1},
                                                                           {"F8_E5M2", 1},
                                                                           {"F8_E4M3", 1},
                                                                           {"F8_E8M0", 1},
                                                                           {"I16", 2},
                                                                           {"U16", 2},
                                                                           {"F16", 2},
                                                                           {"BF16", 2},
                                                                           {"I32", 4},
                                                                           {"U32", 4},
                                                                           {"F32", 4},
                                                                           {"C64", 8},
                                                                           {"F64", 8},
                                                                           {"I64", 8},
                                                                           {"U64", 8}}) {
    const auto bytes = static_cast<std::size_t>(3 * size);
    const std::string file = file_of("{\"x\":{\"dtype\":\"" + name + "\",\"shape\":[3],\"data_offsets\":[0," +
                                         std::to_string(bytes) + "]}}",
                                     bytes);
    const StateDict state = parse(file);
    EXPECT_EQ(to_string(state.tensors.at("x").dtype), name);
    EXPECT_EQ(parse(text_of(state)), state);
  }
}

struct Malformed {
  const char* name;
  std::string file;
  const char* message;
};

void PrintTo(const Malformed& malformed, std::ostream* out) {
  *out << malformed.name;
}

class MalformedSafetensors : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedSafetensors, IsRefusedWithAReason) {
  const auto& [name, file, message] = GetParam();
  EXPECT_THAT(error_of(file), testing::StartsWith("F: "));
  EXPECT_THAT(error_of(file), HasSubstr(message));
  const TemporaryFolder folder;
  write_text(folder / "f", file);
  EXPECT_THROW(read_safetensors(folder / "f"), DataError);
}

// A tensor 'x' with this after "dtype":"F32",
std::string f32(const std::string& rest, std::size_t data = 8) {
  return file_of("{\"x\":{\"dtype\":\"F32\"," + rest + "}}", data);
}
// Tensors 'a' and 'b', one byte each, at these offsets.
std::string two(const std::string& a, const std::string& b, std::size_t data) {
  return file_of("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[" + a +
                     "]},\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[" + b + "]}}",
                 data);
}
const std::string kGood = R"("shape":[2],"data_offsets":[0,8])";
const std::string kX = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";

std::string many_ones(int count) {
  std::string extents = "1";
  for (int i = 1; i < count; ++i) extents += ",1";
  return extents;
}

INSTANTIATE_TEST_SUITE_P(
    , MalformedSafetensors,
    testing::Values(
        Malformed{"NoBytes", "", "expected at least 8 bytes, found 0"},
        Malformed{"SevenBytes", std::string(7, '\0'), "expected at least 8 bytes, found 7"},
        Malformed{"HeaderTooLong", with_length(100'000'001, "{}"),
                  "expected a header of at most 100000000 bytes, found one of 100000001"},
        Malformed{"HeaderLengthAllOnes", with_length(~0ull, "{}"), "found one of 18446744073709551615"},
        Malformed{"HeaderCut", with_length(9, "{}      "),
                  "expected a header of 9 bytes, found only 8: the file is cut"},
        Malformed{"HeaderEmpty", with_length(0, ""),
                  "expected a header that begins with '{', found an empty"},
        Malformed{"HeaderBeginsWithSpace", file_of(" {}"),
                  "expected a header that begins with '{', found ' '"},
        Malformed{"HeaderBeginsWithMark", file_of("\xef\xbb\xbf{}"),
                  "expected a header that begins with '{'"},
        Malformed{"HeaderIsArray", file_of("[]"), "expected a header that begins with '{', found '['"},
        Malformed{"NotJson", file_of("{nonsense}"), "the header: is not JSON at its byte 3"},
        Malformed{"Unfinished", file_of("{\"x\":"), "is not JSON"},
        Malformed{"TrailingComma", file_of("{\"x\":" + kX + ",}"), "is not JSON"},
        Malformed{"TwoObjects", file_of("{}{}"), "is not JSON at its byte 3"},
        Malformed{"ZeroAfterObject", file_of(std::string("{}\0 ", 4)), "is not JSON at its byte 3"},
        Malformed{"ZeroThenGarbage", file_of(std::string("{}\0[[[", 6)), "is not JSON at its byte 3"},
        Malformed{"Comment", file_of("{/**/}"), "is not JSON"},
        Malformed{"NotUtf8", file_of("{\"\xff\":" + kX + "}"), "is not JSON"},
        Malformed{"LoneSurrogate", file_of("{\"\\ud800\":" + kX + "}"), "is not JSON"},
        Malformed{"DeepNesting", file_of("{\"x\":" + std::string(100000, '[')),
                  "tensor 'x': expected an object, found an array"},
        Malformed{"DeepObjects", file_of("{\"x\":{\"dtype\":{\"y\":{"),
                  "tensor 'x': expected a string as dtype, found an object"},
        Malformed{"TensorIsNull", file_of("{\"x\":null}"), "tensor 'x': expected an object, found null"},
        Malformed{"TensorIsNumber", file_of("{\"x\":1}"), "tensor 'x': expected an object, found 1"},
        Malformed{"TensorIsString", file_of("{\"x\":\"y\"}"), "expected an object, found the string 'y'"},
        Malformed{"TensorIsBoolean", file_of("{\"x\":true}"), "expected an object, found a boolean"},
        Malformed{"SameName", file_of("{\"x\":" + kX + ",\"x\":" + kX + "}"),
                  "tensor 'x': the name appears twice"},
        Malformed{"SameNameEscaped", file_of("{\"x\":" + kX + ",\"\\u0078\":" + kX + "}"),
                  "tensor 'x': the name appears twice"},
        Malformed{"SameKey", f32("\"dtype\":\"F32\"," + kGood), "tensor 'x': the key 'dtype' appears twice"},
        Malformed{"SameShape", f32(kGood + ",\"shape\":[2]"), "the key 'shape' appears twice"},
        Malformed{"UnknownKey", f32(kGood + ",\"strides\":[1]"), "found the key 'strides'"},
        Malformed{"NoDtype", file_of("{\"x\":{" + kGood + "}}", 8),
                  "tensor 'x': expected dtype, shape and "
                  "data_offsets, found no dtype"},
        Malformed{"NoShape", f32(R"("data_offsets":[0,8])"), "found no shape"},
        Malformed{"NoOffsets", f32(R"("shape":[2])"), "found no data_offsets"},
        Malformed{"NothingInTensor", file_of("{\"x\":{}}"), "found no dtype"},
        Malformed{"UnknownDtype", file_of(R"({"x":{"dtype":"F31","shape":[],"data_offsets":[0,4]}})", 4),
                  "tensor 'x': expected a dtype such as F32, found 'F31'"},
        Malformed{"LowercaseDtype", file_of(R"({"x":{"dtype":"f32","shape":[],"data_offsets":[0,4]}})", 4),
                  "found 'f32'"},
        Malformed{"DtypeIsNumber", file_of(R"({"x":{"dtype":4,"shape":[],"data_offsets":[0,4]}})", 4),
                  "expected a string as dtype, found 4"},
        Malformed{"ShapeIsNumber", f32(R"("shape":2,"data_offsets":[0,8])"),
                  "expected an array as shape, found 2"},
        Malformed{"ShapeIsNested", f32(R"("shape":[[2]],"data_offsets":[0,8])"),
                  "expected extents from 0, found an array"},
        Malformed{"NegativeExtent", f32(R"("shape":[-2],"data_offsets":[0,8])"),
                  "expected extents from 0, found -2"},
        Malformed{"FractionalExtent", f32(R"("shape":[2.0],"data_offsets":[0,8])"),
                  "expected extents from 0, found '2.0'"},
        Malformed{"ExtentIsString", f32(R"("shape":["2"],"data_offsets":[0,8])"), "found the string '2'"},
        Malformed{"ExtentTooLarge", f32(R"("shape":[9223372036854775808],"data_offsets":[0,8])"),
                  "expected extents below 2^63, found 9223372036854775808"},
        Malformed{"ExtentBeyond64Bits", f32(R"("shape":[99999999999999999999],"data_offsets":[0,8])"),
                  "expected extents from 0, found '99999999999999999999'"},
        Malformed{"ProductWrapsToSize", f32(R"("shape":[4294967296,4294967296,2],"data_offsets":[0,0])", 0),
                  "expected fewer than 2^63 bytes"},
        Malformed{"ProductWrapsToRange", f32(R"("shape":[4611686018427387906],"data_offsets":[0,8])"),
                  "expected fewer than 2^63 bytes, found F32 (4611686018427387906)"},
        Malformed{"ZeroHidesOverflow", f32(R"("shape":[4294967296,0,4294967296],"data_offsets":[0,0])", 0),
                  "expected fewer than 2^63 bytes"},
        Malformed{"TooManyDimensions", f32("\"shape\":[" + many_ones(65) + R"(],"data_offsets":[0,4])", 4),
                  "expected at most 64 dimensions"},
        Malformed{"RangeTooSmall", f32(R"("shape":[2],"data_offsets":[0,4])", 4),
                  "tensor 'x': expected 8 bytes for F32 (2), found data_offsets 0..4"},
        Malformed{"RangeTooLarge", f32(R"("shape":[1],"data_offsets":[0,8])"),
                  "expected 4 bytes for F32 (1), found data_offsets 0..8"},
        Malformed{"RangeBackwards", f32(R"("shape":[2],"data_offsets":[8,0])"),
                  "expected data_offsets in ascending order, found 8..0"},
        Malformed{"OneOffset", f32(R"("shape":[2],"data_offsets":[8])"), "expected 2 data_offsets, found 1"},
        Malformed{"ThreeOffsets", f32(R"("shape":[2],"data_offsets":[0,8,8])"),
                  "expected 2 data_offsets, found more"},
        Malformed{"NegativeOffset", f32(R"("shape":[2],"data_offsets":[-8,0])"),
                  "expected data_offsets from 0, found -8"},
        Malformed{"OffsetsAreObject", f32(R"("shape":[2],"data_offsets":{})"),
                  "expected an array as data_offsets"},
        Malformed{"OffsetIsNull", f32(R"("shape":[2],"data_offsets":[null,8])"),
                  "expected data_offsets from 0, found null"},
        Malformed{"OffsetsBeyondFile",
                  f32(R"("shape":[2],"data_offsets":[18446744073709551608,18446744073709551615])"),
                  "expected 8 bytes for F32 (2)"},
        Malformed{
            "StartsAfterZero", f32(R"("shape":[2],"data_offsets":[8,16])", 16),
            "tensor 'x': expected its data to begin at 0, where the data before it ends, found 8: a hole"},
        Malformed{"Hole", two("0,1", "2,3", 3),
                  "tensor 'b': expected its data to begin at 1, where the data "
                  "before it ends, found 2: a hole"},
        Malformed{"Overlap", two("0,1", "0,1", 1), "found 0: an overlap"},
        Malformed{"EmptyInTheMiddle",
                  file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                          R"("b":{"dtype":"F32","shape":[0],"data_offsets":[2,2]}})",
                          4),
                  "tensor 'b': expected its data to begin at 4, where the data before it ends, found 2"},
        Malformed{"DataCut", f32(kGood, 7), "expected 8 bytes of data, found 7: the file is cut"},
        Malformed{"DataLeftOver", f32(kGood, 9), "expected 8 bytes of data, found 9: bytes are left over"},
        Malformed{"DataWithoutTensors", file_of("{}", 1),
                  "expected 0 bytes of data, found 1: bytes are left over"},
        Malformed{"MetadataIsArray", file_of("{\"__metadata__\":[]}"),
                  "__metadata__: expected an object, found an array"},
        Malformed{"NoteIsNull", file_of("{\"__metadata__\":{\"k\":null}}"),
                  "__metadata__ 'k': expected a string, found null"},
        Malformed{"MetadataIsNullTwice", file_of(R"({"__metadata__":null,"__metadata__":null})"),
                  "the key '__metadata__' appears twice"},
        Malformed{"MetadataNumber", file_of("{\"__metadata__\":{\"k\":1}}"),
                  "__metadata__ 'k': expected a string, found 1"},
        Malformed{"MetadataNested", file_of("{\"__metadata__\":{\"k\":{}}}"),
                  "'k': expected a string, found an object"},
        Malformed{"MetadataSameKey", file_of(R"({"__metadata__":{"k":"1","k":"2"}})"),
                  "__metadata__: the key 'k' appears twice"},
        Malformed{"MetadataTwice", file_of(R"({"__metadata__":{},"__metadata__":{}})"),
                  "the key '__metadata__' appears twice"},
        Malformed{"NameOfControlCharacters", file_of("{\"\\u001b[2J\\n\":1}"),
                  "tensor '\\x1b[2J\\x0a': expected"}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST(Safetensors, EveryTruncationIsAnError) {
  const std::string file = text_of(example());
  const TemporaryFolder folder;
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_THROW(parse(file.substr(0, size)), DataError) << size;
    write_text(folder / "f", file.substr(0, size));
    EXPECT_THROW(read_safetensors(folder / "f"), DataError) << size;
  }
}

TEST(Safetensors, ALyingHeaderAllocatesNothing) {
  // 2^40 bytes are promised, none are there.
  EXPECT_THAT(error_of(f32(R"("shape":[274877906944],"data_offsets":[0,1099511627776])", 0)),
              HasSubstr("expected 1099511627776 bytes of data, found 0: the file is cut"));
}

TEST(Safetensors, NamesAFileThatCannotBeRead) {
  const TemporaryFolder folder;
  const auto message = [](const std::filesystem::path& path) {
    try {
      read_safetensors(path);
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(message(folder / "absent"),
            "'" + (folder / "absent").string() + "': cannot open: No such file or directory");
  EXPECT_EQ(message(folder.path()), "'" + folder.path().string() + "': is not a regular file");
  EXPECT_EQ(message("/dev/zero"), "'/dev/zero': is not a regular file");
}

TEST(Safetensors, TheWriterRefusesWhatTheReaderWould) {
  StateDict reserved;
  reserved.put("__metadata__", Tensor<float>{1});
  EXPECT_THROW(serialize_safetensors(reserved), ArgumentError);
  StateDict garbled;
  garbled.put("\xff", Tensor<float>{1});
  EXPECT_THROW(serialize_safetensors(garbled), ArgumentError);
  StateDict note;
  note.metadata["key"] = "\xc3(";
  EXPECT_THROW(serialize_safetensors(note), ArgumentError);
  StateDict wrong = example();
  wrong.tensors.at("weight").shape = {2, 2};
  EXPECT_THROW(serialize_safetensors(wrong), ArgumentError);
  StateDict deep;
  deep.put("x", full<float>(Shape(65, 1), 1));
  EXPECT_THROW(serialize_safetensors(deep), ArgumentError);
  const TemporaryFolder folder;
  EXPECT_THROW(write_safetensors(wrong, folder / "f"), ArgumentError);
  EXPECT_EQ(folder.file_count(), 0);
}

}  // namespace
}  // namespace strata
