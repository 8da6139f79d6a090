// Orders of the cells in memory. Internal to the engine.
//
// By columns, neighbours in a row are neighbours in memory, and a vector of left or right
// neighbours straddles two cache lines. By lanes, a sequence of n cells is cut into as many equal
// parts as a vector has lanes, and lane k holds part k: cell c is at (c % m) * lanes + c / m, m = n
// / lanes. Neighbours of a vector are then the vectors beside it, but at the ends of the parts. (T.
// Henretty et al., Data layout transformation for stencil computations on short-vector SIMD
// architectures, CC 2011.)
//
// If the sequence is a row, that concerns two vectors of each row. If it is a whole grid, the parts
// are bands of rows: rows of vectors, in which each lane has a row of its own, and only the first
// and the last of these rows have neighbours in another lane.
//
// By eighths, such a row has its columns by their remainder of eight: column c of n is at c % 8 *
// (n / 8) + c / 8. Neighbours are n / 8 vectors away, but in the first and the last eighth.

#ifndef MFN_SERVER_ENGINE_LANES_SIMD_H_
#define MFN_SERVER_ENGINE_LANES_SIMD_H_

#include <cstddef>

namespace mfn::engine {

// The lanes of the vectors that the step kernel uses. Depends on the instruction set in use.
size_t VectorLanes(double);
size_t VectorLanes(float);

inline constexpr size_t kMaxLanes = 16;  // of any instruction set that is used

// Whether rows of n cells can be put in order by lanes: n is a multiple of the lanes, and each part
// fills a vector.
inline bool HasLaneOrder(size_t n, size_t lanes) {
  return lanes > 1 && n % lanes == 0 && n / lanes >= lanes;
}

// From one order to the other: `rows` rows of n cells each, one after the other, where n is a
// multiple of the lanes. `to` must not overlap `from`.
void ColumnsToLanes(size_t rows, size_t n, const double* from, double* to);
void ColumnsToLanes(size_t rows, size_t n, const float* from, float* to);
void LanesToColumns(size_t rows, size_t n, const double* from, double* to);
void LanesToColumns(size_t rows, size_t n, const float* from, float* to);

// A grid of side n, a multiple of 8 and of the lanes, from its columns to eighths by bands, and
// back.
void ColumnsToEighths(size_t n, const double* from, double* to);
void EighthsToColumns(size_t n, const double* from, double* to);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_LANES_SIMD_H_
