// NumPy's file format (.npy) for arrays of numbers: what numpy.save writes and numpy.load reads
// (numpy.lib.format, versions 1.0, 2.0 and 3.0). Pure and thread-safe.

#ifndef MFN_SERVER_ENGINE_NPY_H_
#define MFN_SERVER_ENGINE_NPY_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/engine/error.h"

namespace mfn::engine {

// More is refused, as numpy.load does.
inline constexpr size_t kMaxNpyHeaderBytes = 10000;
inline constexpr size_t kMaxNpyDimensions = 32;

struct NpyArray {
  std::vector<int64_t> shape;  // empty: one number
  bool float32 = false;        // else float64
  std::string_view data;       // little-endian, C order, borrowed from the file; as shape says
};

// A whole file. Strict: anything but float64 or float32, little-endian, in C order, with exactly
// the bytes that its header announces is kInvalidArgument, whose message says what is wrong and how
// to save the array instead; its field is empty.
Expected<NpyArray> ParseNpy(std::string_view file);

// The numbers of an array, a float32 widened.
std::vector<double> NpyValues(const NpyArray& array);

// "(3, 3)", as Python writes it.
std::string ShapeName(std::span<const int64_t> shape);

// What comes before the values of a float64 array in C order; with them, the very bytes that
// numpy.save writes. The size is a multiple of 64.
std::string NpyHeader(std::span<const int64_t> shape);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_NPY_H_
