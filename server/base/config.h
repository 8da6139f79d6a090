// The configuration as the server uses it: plain values, normalised from the operator's YAML.
//
// config_loader.h makes these from a file; RPC makes single ones. Every alias has been resolved and
// every bound checked before one of these exists, so readers need not check again. Values only: no
// ownership of anything, copied freely, not thread-safe to mutate.
#ifndef MFN_SERVER_BASE_CONFIG_H_
#define MFN_SERVER_BASE_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace mfn {

enum class BackoffKind { kExponential, kLinear, kFixed, kImmediate, kNone };
enum class JitterKind { kFull, kEqual, kQuarter, kNone };

// What an operator may declare a failure to be.
enum class FailureClass { kRetryable, kThrottled, kAuth, kNotConnected, kPermanent };

// "HTTP_403 is retryable here." `match` is the reason that a plugin reports with a failure, or
// failing that the name of its code (RETRYABLE, THROTTLED, AUTH, NOT_CONNECTED, PERMANENT,
// UNSUPPORTED).
struct ClassOverride {
  std::string match;  // [A-Z][A-Z0-9_]{0,63}
  FailureClass as = FailureClass::kRetryable;
};

struct RetryConfig {
  int max_retries = 3;  // attempts - 1; 0 to 100
  BackoffKind backoff = BackoffKind::kExponential;
  JitterKind jitter = JitterKind::kFull;
  absl::Duration initial_delay = absl::Milliseconds(100);
  double multiplier = 2.0;  // >= 1; exponential only
  absl::Duration max_delay = absl::Seconds(10);
  std::vector<ClassOverride> overrides;  // no match twice; at most 64
  int budget = 500;                      // tokens, see retry_budget.h; 0: retries cost nothing
};

struct BreakerConfig {
  bool enabled = true;
  int threshold = 5;  // consecutive failures that open it; >= 1
  double failure_ratio = 0.5;
  absl::Duration ratio_window = absl::Seconds(30);
  int ratio_min_calls = 10;
  absl::Duration timeout = absl::Seconds(60);      // how long it stays open
  absl::Duration max_timeout = absl::Minutes(10);  // what doubling stops at; timeout at least
  int successes_to_close = 1;
};

// Calls into the plugin, retries included; a batch is one call.
struct RateLimitConfig {
  double per_second = 0;  // 0: no limit
  int burst = 1;          // how many may come at once after a rest
};

// Which top-level list an instance stands in. A connector offers source and executor, a publisher
// sink; a component that has both may stand in both lists as two instances.
enum class InstanceRole { kConnector, kPublisher };

enum class DeliveryGuarantee { kAtLeastOnce, kAtMostOnce };

// A string of config_data that the file gives as a reference (interpolation.h).
struct SecretReference {
  std::string field;     // JSON pointer into config_data, "/password"
  std::string text;      // as it stands in the file, "${file:/run/secrets/db}"
  std::string base_dir;  // of relative paths
};

struct InstanceConfig {
  std::string name;  // [a-z0-9][a-z0-9_-]{0,62}, unique among connectors and publishers
  InstanceRole role = InstanceRole::kConnector;
  std::string type;  // a component's type, "file"
  bool enabled = true;
  absl::Duration timeout = absl::Seconds(30);  // of one attempt
  RetryConfig retry;
  BreakerConfig breaker;
  RateLimitConfig rate_limit;
  int max_concurrent_calls = 0;  // at the same time into the plugin; 0: as many as it takes
  std::string config_json =
      "{}";  // config_data, a JSON object; may hold resolved secrets: never log it
  std::vector<SecretReference> references;  // of config_json
  // Publishers only.
  DeliveryGuarantee delivery = DeliveryGuarantee::kAtLeastOnce;
  int batch_size = 100;                                   // records per write; 1 to 10,000
  absl::Duration batch_timeout = absl::Milliseconds(50);  // how long a batch waits to fill
  // Where it stands in the file, for error messages; 0 when it came by RPC.
  int line = 0;
};

enum class ProcessorKind { kSimulate, kPassthrough };

// What becomes of an item that an optional publisher's queue has no room for.
enum class OverflowPolicy { kDrop, kDeadLetter };

struct SinkRef {
  std::string publisher;  // name of a publisher instance
  bool required = true;   // an optional one never stalls the others
  // Bounds of what waits for it, if it is optional or at-most-once; a required at-least-once
  // publisher is bounded by what is in flight.
  int queue_records = 1024;
  int64_t queue_bytes = 64 << 20;
  OverflowPolicy overflow = OverflowPolicy::kDrop;
};

struct PipelineConfig {
  std::string name;    // as InstanceConfig::name, unique among pipelines
  std::string source;  // name of a connector instance
  ProcessorKind processor = ProcessorKind::kSimulate;
  std::vector<SinkRef> sinks;  // at least one
  // Name of a publisher that receives dead letters instead of the built-in store; empty: the store.
  std::string dead_letter_publisher;
  // Name of a publisher that receives an error envelope for each request that is dead-lettered;
  // empty: none.
  std::string error_publisher;
  bool autostart = true;
  int workers = 0;  // simulation threads; 0: one per core
  // In-flight bounds: records read and not yet acked.
  int max_in_flight_records = 1024;
  int64_t max_in_flight_bytes = 64 << 20;
  // Their simulations, in cell updates (grid_size^2 * steps). One request may be larger.
  int64_t max_in_flight_cost = int64_t{1} << 38;
  int line = 0;
};

struct TlsConfig {
  std::string cert_file, key_file;  // PEM; both or neither
  std::string client_ca_file;       // not empty: clients must present a certificate signed by it
};

struct HttpConfig {
  // Metrics and health: host:port; port 0 picks a free one. Empty: not served.
  std::string listen;
};

// At which level a line per call is logged.
enum class AccessLog { kOff, kDebug, kInfo };

struct LogConfig {
  std::string level = "info";  // debug, info, warning, error; lines below are dropped
  AccessLog access = AccessLog::kDebug;
};

// How long dead letters are kept; the oldest go first.
struct DeadLetterConfig {
  absl::Duration max_age = absl::Hours(30 * 24);  // zero: for ever
  int64_t max_bytes = int64_t{10} << 30;          // of their payloads; 0: no bound
};

struct ServerConfig {
  std::string listen = "127.0.0.1:50051";  // host:port or unix:path; port 0 picks a free one
  HttpConfig http;
  LogConfig log;
  TlsConfig tls;
  std::vector<std::string> api_keys;  // secrets
  bool api_key_required = false;
  bool rate_limit_enabled = false;
  double rate_limit_per_second = 100;  // per key (or peer) and method
  std::string state_dir = "mfnd-state";
  std::vector<std::string> plugin_dirs;  // default: "plugins" beside the binary's folder
  bool plugin_probe = true;              // an unknown library is loaded by the helper program first
  // File name -> SHA-256 in lower-case hex. Not empty: only these are loaded, as they were pinned.
  std::map<std::string, std::string> plugin_pins;
  absl::Duration drain_timeout = absl::Seconds(30);
  absl::Duration stream_stall_timeout = absl::Seconds(60);  // zero: a reader may stall for ever
  int max_concurrent_simulations = 0;                       // 0: one per core
  DeadLetterConfig dead_letters;
};

struct Config {
  ServerConfig server;
  std::vector<InstanceConfig> connectors;
  std::vector<InstanceConfig> publishers;
  std::vector<PipelineConfig> pipelines;
};

}  // namespace mfn

#endif  // MFN_SERVER_BASE_CONFIG_H_
