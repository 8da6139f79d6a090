// The pairwise sum at the sizes where its procedure changes.

#include "server/engine/sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "server/engine/rng.h"

namespace mfn::engine {
namespace {

// Section 1.1 written down once more, on a plain array.
double ReferencePairwise(const double* a, size_t n) {
  double sum = 0.0;
  if (n < 8) {
    for (size_t k = 0; k < n; ++k) sum += a[k];
    return sum;
  }
  if (n > 128) {
    const size_t half = n / 2 - (n / 2) % 8;
    return ReferencePairwise(a, half) + ReferencePairwise(a + half, n - half);
  }
  std::vector<double> r(a, a + 8);
  const size_t end = n - n % 8;
  for (size_t k = 8; k < end; ++k) r[k % 8] += a[k];
  sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
  for (size_t k = end; k < n; ++k) sum += a[k];
  return sum;
}

double ReferenceSum(const std::vector<double>& a) {
  double sum = 0.0;
  for (size_t k = 0; k < a.size(); k += 8192) {
    sum += ReferencePairwise(a.data() + k, std::min<size_t>(8192, a.size() - k));
  }
  return sum;
}

TEST(SumTest, FollowsTheProcedureAtEverySize) {
  for (size_t n : {0u, 1u, 7u, 8u, 9u, 15u, 16u, 127u, 128u, 129u, 136u, 255u, 1000u, 8191u, 8192u,
                   8193u, 16384u, 20000u}) {
    std::vector<double> a(n);
    Generator(n).FillNormal(a, 1.0, 1e3);
    EXPECT_EQ(Sum(a), ReferenceSum(a)) << n;
  }
}

// 1e16 swallows single ones when they are added from left to right, but not their partial sums.
TEST(SumTest, IsNotALeftToRightSum) {
  std::vector<double> a(128, 1.0);
  a[0] = 1e16;
  EXPECT_NE(Sum(a), 1e16);
  EXPECT_EQ(Sum(std::vector<double>(7, 0.1)), 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1);
}

TEST(SumTest, MeanAndPopulationDeviation) {
  const std::vector<double> a = {1, 2, 3, 4};
  EXPECT_EQ(Mean(a), 2.5);
  EXPECT_EQ(Std(a), std::sqrt(1.25));
  EXPECT_EQ(Std(std::vector<double>(100, -0.5)), 0.0);
  EXPECT_TRUE(std::isnan(Mean({})));
}

}  // namespace
}  // namespace mfn::engine
