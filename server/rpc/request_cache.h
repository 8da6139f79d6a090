// Makes mutations with a request_id repeatable: the second call with the same id and content gets
// the reply of the first, without doing anything.
//
// Replies are kept for 10 minutes, at most 1,024 of them and 16 MiB; failures are not kept, so that
// they can be tried again. Thread-safe.
#ifndef MFN_SERVER_RPC_REQUEST_CACHE_H_
#define MFN_SERVER_RPC_REQUEST_CACHE_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/base/clock.h"
#include "server/base/mutex.h"

namespace google::protobuf {
class Message;
}

namespace mfn::rpc {

class RequestCache {
 public:
  static constexpr size_t kMaxEntries = 1024;
  static constexpr size_t kMaxBytes = size_t{16} << 20;
  static constexpr size_t kMaxIdBytes = 128;

  explicit RequestCache(Clock* clock) : clock_(clock) {}

  // Runs `mutate`, which fills `response`, unless (caller, method, id) has succeeded before. An
  // empty id always runs. ABORTED (REQUEST_IN_PROGRESS) while the first one runs; INVALID_ARGUMENT
  // (REQUEST_ID_REUSED) if the content differs; otherwise what `mutate` returns.
  absl::Status Once(absl::string_view caller, absl::string_view method, absl::string_view id,
                    const google::protobuf::Message& request, google::protobuf::Message* response,
                    const std::function<absl::Status()>& mutate);

 private:
  struct Entry {
    std::string request;   // serialised the same way for equal content
    std::string response;  // serialised
    bool done = false;
    int64_t nanos = 0;  // when it was done
  };
  // Whether the call is answered from the cache, or refused; otherwise it is marked as running.
  bool Known(const std::string& key, const std::string& request,
             google::protobuf::Message* response, absl::Status* status);
  void Keep(const std::string& key, std::string response);
  void Expire() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock* const clock_;
  Mutex mutex_;
  std::unordered_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> done_ ABSL_GUARDED_BY(mutex_);  // keys, oldest first
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;              // of entries that are done
};

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_REQUEST_CACHE_H_
