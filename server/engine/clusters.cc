// Cluster labelling by runs: a row's active cells fall into runs, and runs that touch one of the
// row above join its cluster (union-find; the root of a cluster is its first run).

#include "server/engine/clusters.h"

#include <cstddef>
#include <utility>

namespace mfn::engine {
namespace {

struct Run {
  int64_t begin = 0;  // columns [begin, end)
  int64_t end = 0;
  size_t parent = 0;  // an earlier run of the same cluster, or itself
  int64_t cells = 0;  // of the whole cluster, at its root
};

size_t RootOf(std::vector<Run>& runs, size_t at) {
  while (runs[at].parent != at) {
    runs[at].parent = runs[runs[at].parent].parent;
    at = runs[at].parent;
  }
  return at;
}

void Join(std::vector<Run>& runs, size_t a, size_t b) {
  size_t first = RootOf(runs, a);
  size_t second = RootOf(runs, b);
  if (first == second) return;
  if (second < first) std::swap(first, second);
  runs[second].parent = first;
  runs[first].cells += runs[second].cells;
}

void AppendRuns(std::span<const uint64_t> row, int64_t n, std::vector<Run>& runs) {
  for (int64_t begin = NextActive(row, 0); begin < n;) {
    int64_t end = begin + 1;
    while (end < n && (row[static_cast<size_t>(end) / 64] >> (end % 64) & 1) != 0) ++end;
    runs.push_back({begin, end, runs.size(), end - begin});
    begin = NextActive(row, end);
  }
}

// Joins the runs [middle, runs.size()) of one row to those of the row above, [first, middle).
void JoinRows(std::vector<Run>& runs, size_t first, size_t middle, int64_t reach) {
  size_t above = first;
  for (size_t at = middle; at < runs.size(); ++at) {
    while (above < middle && runs[above].end + reach <= runs[at].begin) ++above;
    for (size_t k = above; k < middle && runs[k].begin < runs[at].end + reach; ++k) {
      Join(runs, k, at);
    }
  }
}

}  // namespace

std::vector<int64_t> ClusterSizes(const BinaryImage& image, Connectivity connectivity) {
  const int64_t reach = connectivity == Connectivity::kEight ? 1 : 0;
  std::vector<Run> runs;
  size_t above = 0;
  for (int64_t i = 0; i < image.n(); ++i) {
    const size_t row = runs.size();
    AppendRuns(image.Row(i), image.n(), runs);
    JoinRows(runs, above, row, reach);
    above = row;
  }
  std::vector<int64_t> sizes;
  for (size_t at = 0; at < runs.size(); ++at) {
    if (runs[at].parent == at) sizes.push_back(runs[at].cells);
  }
  return sizes;
}

}  // namespace mfn::engine
