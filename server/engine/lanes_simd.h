// Two orders of the cells of a row. Internal to the engine.
//
// By columns, neighbours in a row are neighbours in memory, and a vector of left or right
// neighbours straddles two cache lines. By lanes, a row of n cells is cut into as many equal parts
// as a vector has lanes, and lane k holds part k: cell c of a row is at (c % m) * lanes + c / m, m
// = n / lanes. Neighbours of a vector are then the vectors beside it, but at the ends of the parts.
// (T. Henretty et al., Data layout transformation for stencil computations on short-vector SIMD
// architectures, CC 2011.)

#ifndef MFN_SERVER_ENGINE_LANES_SIMD_H_
#define MFN_SERVER_ENGINE_LANES_SIMD_H_

#include <cstddef>

namespace mfn::engine {

// The lanes of the vectors that the step kernel uses. Depends on the instruction set in use.
size_t VectorLanes(double);
size_t VectorLanes(float);

inline constexpr size_t kMaxLaneRow = 1024;

// Whether rows of n cells can be put in order by lanes: n is a multiple of the lanes, each part
// fills a vector, and a row is not too long.
inline bool HasLaneOrder(size_t n, size_t lanes) {
  return lanes > 1 && n % lanes == 0 && n / lanes >= lanes && n <= kMaxLaneRow;
}

// From one order to the other, in place: `rows` rows of n cells each, one after the other.
// HasLaneOrder(n).
void ColumnsToLanes(size_t rows, size_t n, double* at);
void ColumnsToLanes(size_t rows, size_t n, float* at);
void LanesToColumns(size_t rows, size_t n, double* at);
void LanesToColumns(size_t rows, size_t n, float* at);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_LANES_SIMD_H_
