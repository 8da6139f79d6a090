// What this processor can do at most, measured in the same run as what is compared with it.
#ifndef MFN_TESTS_BENCH_LIMITS_H_
#define MFN_TESTS_BENCH_LIMITS_H_

#include <cstddef>

namespace mfn::bench {

// Additions and multiplications per second of one core, in the widest vectors, none contracted.
double PeakOperations();

// Bytes per second of one core doing a[k] = b[k] + s * c[k] over three arrays of `bytes` in all,
// with 24 bytes counted for each element.
double TriadBytes(size_t bytes);

}  // namespace mfn::bench

#endif  // MFN_TESTS_BENCH_LIMITS_H_
