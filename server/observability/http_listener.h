// The HTTP side of the server, for machines that watch it:
//
//   GET /metrics   Prometheus's text format
//   GET /healthz   200 while the process answers
//   GET /readyz    200 when all checks hold, else 503; the checks as JSON
//
//   HttpListener::Options options;
//   options.listen = "127.0.0.1:9464";
//   auto http = HttpListener::Start(options, hooks);
//
// Everything is read-only. Requests run on a few threads of its own, each bounded in time, so a
// slow reader costs nobody else. Thread-safe.
#ifndef MFN_SERVER_OBSERVABILITY_HTTP_LISTENER_H_
#define MFN_SERVER_OBSERVABILITY_HTTP_LISTENER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/metric_set.h"
#include "server/base/readiness.h"

namespace mfn::observability {

class HttpListener {
 public:
  struct Options {
    std::string listen;  // host:port or [ipv6]:port; port 0 picks a free one
    // Not empty: /metrics wants one of them as "x-api-key: KEY" or "authorization: Bearer KEY".
    // The health paths are public, as gRPC's health is.
    std::vector<std::string> api_keys;
  };
  // Called on the listener's threads, several at once.
  struct Hooks {
    std::function<void(MetricSet*)> collect;
    std::function<std::vector<ReadinessCheck>()> checks;
  };

  // FAILED_PRECONDITION: it cannot listen there.
  static absl::StatusOr<std::unique_ptr<HttpListener>> Start(const Options& options, Hooks hooks);
  virtual ~HttpListener() = default;  // waits for requests that run

  virtual std::string address() const = 0;  // with the port that is used
};

}  // namespace mfn::observability

#endif  // MFN_SERVER_OBSERVABILITY_HTTP_LISTENER_H_
