// Files of data sets, made in memory for the tests of their readers.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <zlib.h>

#include "strata/framework/data/dataset.hpp"
#include "strata/framework/error.hpp"

namespace strata {

/// One gzip member; level 0 stores the bytes as they are.
inline std::string gzip(const std::string& bytes, int level = 6) {
  z_stream stream{};
  if (deflateInit2(&stream, level, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::runtime_error("deflateInit2");
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int result = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) throw std::runtime_error("deflate");
  return packed;
}

/// Bytes that look random and are the same in every run.
inline std::string some_bytes(std::size_t count, std::uint32_t seed = 1) {
  std::string bytes(count, '\0');
  for (char& byte : bytes) {
    seed = seed * 1664525 + 1013904223;
    byte = static_cast<char>(seed >> 24);
  }
  return bytes;
}

inline std::vector<std::uint8_t> as_numbers(const std::string& bytes) {
  return {bytes.begin(), bytes.end()};
}

/// A sample as bytes again; every value must be a byte / 255 exactly.
inline std::vector<std::uint8_t> bytes_of(const Dataset& dataset, Index i) {
  std::vector<float> sample(static_cast<std::size_t>(element_count(dataset.sample_shape())));
  dataset.read(i, sample);
  std::vector<std::uint8_t> bytes;
  for (const float value : sample) {
    const auto byte = static_cast<std::uint8_t>(value * 255.0F + 0.5F);
    if (static_cast<float>(byte) / 255.0F != value) throw std::runtime_error("not a byte / 255");
    bytes.push_back(byte);
  }
  return bytes;
}

/// The message of the DataError that `body` throws.
template <class Body>
std::string data_error_of(const Body& body) {
  try {
    body();
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace strata
