// The bounds of what may be set of an instance or a pipeline, for whoever reads a setting: the file
// (config_normalise.cc), its published schema (deploy/config.schema.json, which a test compares)
// and the RPC resources (server/rpc/resource_proto.cc). Inclusive; durations in milliseconds.
#ifndef MFN_SERVER_BASE_CONFIG_BOUNDS_H_
#define MFN_SERVER_BASE_CONFIG_BOUNDS_H_

#include <cstdint>

namespace mfn {

template <typename Number>
struct Bounds {
  Number low, high;
};
using IntBounds = Bounds<int64_t>;
using RealBounds = Bounds<double>;

namespace config_bounds {

inline constexpr int64_t kHourMs = 3'600'000;
inline constexpr int64_t kDayMs = 24 * kHourMs;

// Instances.
inline constexpr IntBounds kTimeoutMs = {1, kHourMs};
inline constexpr IntBounds kMaxRetries = {0, 100};
inline constexpr IntBounds kInitialDelayMs = {0, kHourMs};
inline constexpr IntBounds kMaxDelayMs = {0, kDayMs};
inline constexpr RealBounds kMultiplier = {1, 100};
inline constexpr IntBounds kRetryBudget = {0, 1'000'000};
inline constexpr IntBounds kBreakerThreshold = {1, 1'000'000};
inline constexpr IntBounds kBreakerTimeoutMs = {1, kDayMs};
inline constexpr RealBounds kFailureRatio = {0.01, 1};
inline constexpr IntBounds kRatioWindowMs = {1000, kHourMs};
inline constexpr IntBounds kRatioMinCalls = {1, 1'000'000};
inline constexpr IntBounds kSuccessesToClose = {1, 1000};
inline constexpr RealBounds kCallsPerSecond = {0.001, 1e6};
inline constexpr IntBounds kCallBurst = {1, 10'000};
inline constexpr IntBounds kConcurrentCalls = {0, 10'000};
inline constexpr IntBounds kBatchSize = {1, 10'000};
inline constexpr IntBounds kBatchTimeoutMs = {0, kHourMs};

// Pipelines.
inline constexpr IntBounds kSinks = {1, 100};
inline constexpr IntBounds kQueueRecords = {1, 1'000'000};
inline constexpr IntBounds kQueueBytes = {1024, int64_t{1} << 40};
inline constexpr IntBounds kWorkers = {0, 1024};
inline constexpr IntBounds kInFlightRecords = {1, 1'000'000};
inline constexpr IntBounds kInFlightBytes = {1024, int64_t{1} << 40};
inline constexpr IntBounds kInFlightCost = {1, int64_t{1} << 50};

}  // namespace config_bounds
}  // namespace mfn

#endif  // MFN_SERVER_BASE_CONFIG_BOUNDS_H_
