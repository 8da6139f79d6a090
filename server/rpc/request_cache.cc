#include "server/rpc/request_cache.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/pipeline/codec.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

constexpr int64_t kKeepNanos = 600'000'000'000;

// Maps are written in key order, so that equal content is equal text.
std::string Serialise(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::io::StringOutputStream stream(&text);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return text;
}

}  // namespace

absl::Status RequestCache::Once(absl::string_view caller, absl::string_view method,
                                absl::string_view id, const google::protobuf::Message& request,
                                google::protobuf::Message* response,
                                const std::function<absl::Status()>& mutate) {
  if (id.empty()) return mutate();
  if (id.size() > kMaxIdBytes) {
    return pipeline::FieldError("request_id", "LIMIT_EXCEEDED",
                                absl::StrCat("request_id has ", id.size(), " bytes, at most ",
                                             kMaxIdBytes, " are allowed"));
  }
  const std::string key = absl::StrCat(caller, "\n", method, "\n", id);
  absl::Status status;
  if (Known(key, Serialise(request), response, &status)) return status;
  status = mutate();
  if (status.ok()) {
    Keep(key, response->SerializeAsString());
  } else {
    MutexLock lock(&mutex_);
    entries_.erase(key);
  }
  return status;
}

bool RequestCache::Known(const std::string& key, const std::string& request,
                         google::protobuf::Message* response, absl::Status* status) {
  MutexLock lock(&mutex_);
  Expire();
  auto [it, added] = entries_.try_emplace(key);
  Entry& entry = it->second;
  if (added) {
    entry.request = request;
    return false;
  }
  if (entry.request != request) {
    *status =
        pipeline::FieldError("request_id", "REQUEST_ID_REUSED",
                             "request_id was used for another request in the last 10 minutes; "
                             "choose a new one");
  } else if (!entry.done) {
    *status = RetryLater(absl::StatusCode::kAborted, "REQUEST_IN_PROGRESS",
                         "a request with this request_id is running", absl::Seconds(1));
  } else if (!response->ParseFromString(entry.response)) {
    *status = absl::InternalError("a kept reply cannot be read");
  }
  return true;
}

void RequestCache::Keep(const std::string& key, std::string response) {
  MutexLock lock(&mutex_);
  Entry& entry = entries_[key];
  entry.response = std::move(response);
  entry.done = true;
  entry.nanos = clock_->MonotonicNanos();
  bytes_ += entry.request.size() + entry.response.size();
  done_.push_back(key);
  Expire();
}

void RequestCache::Expire() {
  const int64_t now = clock_->MonotonicNanos();
  while (!done_.empty()) {
    const auto it = entries_.find(done_.front());
    const bool over = done_.size() > kMaxEntries || bytes_ > kMaxBytes;
    if (!over && now - it->second.nanos < kKeepNanos) return;
    bytes_ -= it->second.request.size() + it->second.response.size();
    entries_.erase(it);
    done_.pop_front();
  }
}

}  // namespace mfn::rpc
