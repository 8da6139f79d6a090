// A NumPy file from a client.
//
// Beyond not crashing: what is taken has the values that its shape says, within the file, and is
// read again from what we write of it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "server/engine/npy.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto array = mfn::engine::ParseNpy(file);
  if (!array.ok()) {
    Require(!array.error().message.empty());
    return 0;
  }
  Require(array->data.data() + array->data.size() == file.data() + file.size());
  const std::vector<double> values = mfn::engine::NpyValues(*array);
  size_t expected = 1;
  for (int64_t length : array->shape) expected *= static_cast<size_t>(length);
  Require(values.size() == expected);
  std::string again = mfn::engine::NpyHeader(array->shape);
  Require(again.size() % 64 == 0);
  again.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
  const auto second = mfn::engine::ParseNpy(again);
  Require(second.ok() && second->shape == array->shape);
  const std::vector<double> same = mfn::engine::NpyValues(*second);
  Require(same.size() == values.size());
  if (values.empty()) return 0;
  Require(std::memcmp(same.data(), values.data(), values.size() * sizeof(double)) == 0);
  return 0;
}
