// Named queues that all instances of the plugin in one process share. Thread-safe.
#ifndef MFN_PLUGINS_MEMORY_QUEUE_H_
#define MFN_PLUGINS_MEMORY_QUEUE_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace mfn::memory {

struct Entry {
  std::string id, payload, key;
  bool has_key = false, has_payload = true;
  std::vector<std::pair<std::string, std::string>> attrs;
  int64_t time_unix_ns = INT64_MIN;
};

class Queue {
 public:
  // The queue of that name, made when first asked for. It lives for ever: its contents outlast
  // the instances, as a broker's would.
  static Queue& Named(const std::string& name);

  // A record without an id gets "<queue>@<n>". False: it would hold more than `capacity`.
  bool Push(std::vector<Entry> entries, uint64_t capacity);
  // Waits up to `wait` for the first; takes up to max_records and about max_bytes of payload.
  std::vector<Entry> Pop(uint64_t max_records, uint64_t max_bytes, std::chrono::milliseconds wait);
  // Puts entries back at the front, in their order.
  void Return(std::vector<Entry> entries);
  std::vector<Entry> List(uint64_t max_records) const;
  uint64_t size() const;

 private:
  explicit Queue(std::string name) : name_(std::move(name)) {}

  const std::string name_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> entries_;
  uint64_t next_ = 0;
};

}  // namespace mfn::memory

#endif  // MFN_PLUGINS_MEMORY_QUEUE_H_
