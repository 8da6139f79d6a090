// Rows by columns and by lanes.
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "server/engine/lanes_simd.h"
#include "server/engine/targets_test_util.h"

namespace mfn::engine {
namespace {

template <typename T>
void ThereAndBack(size_t n) {
  const size_t lanes = VectorLanes(T{0});
  if (!HasLaneOrder(n, lanes)) return;
  constexpr size_t kRows = 3;
  std::vector<T> by_columns(kRows * n), by_lanes(kRows * n), back(kRows * n);
  std::iota(by_columns.begin(), by_columns.end(), T{0});
  ColumnsToLanes(kRows, n, by_columns.data(), by_lanes.data());
  const size_t part = n / lanes;
  for (size_t row = 0; row < kRows; ++row) {
    for (size_t c = 0; c < n; ++c) {
      ASSERT_EQ(by_lanes[row * n + c % part * lanes + c / part], by_columns[row * n + c])
          << n << " " << c;
    }
  }
  LanesToColumns(kRows, n, by_lanes.data(), back.data());
  EXPECT_EQ(back, by_columns) << n;
}

TEST(LanesTest, ThereAndBackOnEveryInstructionSet) {
  ForEachTarget([] {
    for (size_t n : {4, 16, 64, 72, 88, 256, 272, 336, 1024, 4096}) {
      ThereAndBack<double>(n);
      ThereAndBack<float>(n);
    }
  });
}

TEST(LanesTest, PartsFillAVectorOrThereIsNoSuchOrder) {
  EXPECT_TRUE(HasLaneOrder(64, 8));
  EXPECT_FALSE(HasLaneOrder(56, 8));
  EXPECT_FALSE(HasLaneOrder(68, 8));
  EXPECT_FALSE(HasLaneOrder(64, 1));
}

}  // namespace
}  // namespace mfn::engine
