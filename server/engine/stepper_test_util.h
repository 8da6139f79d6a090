// For tests that compare ways of stepping a grid.

#ifndef MFN_SERVER_ENGINE_STEPPER_TEST_UTIL_H_
#define MFN_SERVER_ENGINE_STEPPER_TEST_UTIL_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "server/engine/stepper.h"

namespace mfn::engine {

// An n x n grid with a state that is always the same, with room for so many strips.
template <typename T>
void Fill(Stepper<T>& grid, size_t n, double chemical_max, size_t strips = 1) {
  grid.Resize(n, strips);
  Generator generator(n);
  std::vector<double> values(n * n);
  generator.FillNormal(values, -0.07, 0.005);
  std::copy(values.begin(), values.end(), grid.field().begin());
  generator.FillUniform(values, 0.0, chemical_max);
  std::copy(values.begin(), values.end(), grid.activator().begin());
  generator.FillUniform(values, 0.0, chemical_max);
  std::copy(values.begin(), values.end(), grid.inhibitor().begin());
}

template <typename T>
void ExpectSame(const Stepper<T>& a, const Stepper<T>& b, const std::string& what) {
  const auto same = [](std::span<const T> x, std::span<const T> y) {
    return std::equal(x.begin(), x.end(), y.begin());
  };
  EXPECT_TRUE(same(a.field(), b.field())) << what;
  EXPECT_TRUE(same(a.activator(), b.activator())) << what;
  EXPECT_TRUE(same(a.inhibitor(), b.inhibitor())) << what;
}

// A spike before every step, near borders and corners of the grid and of its tiles; `first` is the
// step with which it begins.
inline Spikes EverySpike(size_t n, size_t first = 0) {
  const size_t places[] = {0, n - 1, n / 2, 511, 512, n / 4, 3};
  Spikes spikes;
  for (size_t k = 0; k < spikes.size(); ++k) {
    const size_t s = first + k;
    spikes[k] = Spike{places[s % 7] % n, places[(s + s / 7) % 7] % n, 0.02};
  }
  return spikes;
}

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_STEPPER_TEST_UTIL_H_
