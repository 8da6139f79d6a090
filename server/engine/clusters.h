// Connected components of a square binary image (numeric model, section 5.4). Borders do not wrap,
// although the simulation may be periodic.

#ifndef MFN_SERVER_ENGINE_CLUSTERS_H_
#define MFN_SERVER_ENGINE_CLUSTERS_H_

#include <cstdint>
#include <vector>

#include "server/engine/boxcount.h"

namespace mfn::engine {

// 4: sides; 8: sides and corners.
enum class Connectivity { kFour = 4, kEight = 8 };

// The number of cells of each cluster, ordered by the clusters' first cells in row-major order.
// image must be valid().
std::vector<int64_t> ClusterSizes(const BinaryImage& image, Connectivity connectivity);

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_CLUSTERS_H_
