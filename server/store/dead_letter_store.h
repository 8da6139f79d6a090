// Requests and results that could not be delivered, kept with all that is needed to understand and
// replay them. Durable when Add returns: the caller acks upstream only after that. Thread-safe.
#ifndef MFN_SERVER_STORE_DEAD_LETTER_STORE_H_
#define MFN_SERVER_STORE_DEAD_LETTER_STORE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace mfn::store {

struct DeadLetter {
  int64_t id = 0;  // assigned by Add; ascending
  std::string pipeline;
  std::string sink;  // the publisher concerned; empty: the request itself was at fault
  std::string idempotency_key;
  std::string record_id;  // the source's own
  int64_t item_index = 0;
  std::string payload;  // the request's bytes as read
  std::vector<std::pair<std::string, std::string>> attributes;
  std::string code, reason, message;
  int attempts = 0;
  std::string feature_digest;  // of the result, when there was one (SHA-256 hex)
  absl::Time time;             // when it was dead-lettered
  // The record's own, where the source gave them.
  std::optional<std::string> record_key;
  std::optional<absl::Time> record_time;
};

struct DeadLetterPage {
  std::vector<DeadLetter> letters;  // by id, ascending
  int64_t next_after_id = 0;        // 0: no more
};

struct DeadLetterStats {
  int64_t count = 0;
  int64_t bytes = 0;                           // of payloads
  absl::Time oldest = absl::InfiniteFuture();  // InfiniteFuture: there is none
};

// What is kept no longer.
struct DeadLetterRetention {
  absl::Time before = absl::InfinitePast();  // letters of an earlier time go
  int64_t max_bytes = 0;  // the oldest go until payloads are no more; 0: no bound
};

struct ExpiredDeadLetter {
  int64_t id = 0;
  std::string pipeline;
  absl::Time time;
  int64_t bytes = 0;
  bool by_age = true;  // else by size
};

class DeadLetterStore {
 public:
  virtual ~DeadLetterStore() = default;
  // All or none, in one transaction. A letter with the same pipeline, sink and key as one that is
  // kept replaces it (a redelivered record does not pile up).
  virtual absl::Status Add(absl::Span<const DeadLetter> letters) = 0;
  virtual absl::StatusOr<DeadLetterPage> List(absl::string_view pipeline, int64_t after_id,
                                              int limit) = 0;
  virtual absl::StatusOr<DeadLetter> Get(int64_t id) = 0;  // NOT_FOUND
  virtual absl::Status Remove(int64_t id) = 0;             // NOT_FOUND
  virtual absl::StatusOr<int64_t> Count(absl::string_view pipeline) = 0;
  virtual absl::StatusOr<DeadLetterStats> Stats(absl::string_view pipeline) = 0;
  // Removes up to `limit` letters that are to be kept no longer, oldest first, and says which.
  // Fewer than `limit`: there are no more. `limit` >= 1.
  virtual absl::StatusOr<std::vector<ExpiredDeadLetter>> Expire(
      const DeadLetterRetention& retention, int limit) = 0;
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_DEAD_LETTER_STORE_H_
