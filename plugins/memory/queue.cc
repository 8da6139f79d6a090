// The queues: one mutex each, found by name.
#include "queue.h"

#include <algorithm>
#include <iterator>
#include <map>

namespace mfn::memory {

Queue& Queue::Named(const std::string& name) {
  // Never destroyed: threads of the host may outlast static destructors.
  static auto* const mutex = new std::mutex;
  static auto* const queues = new std::map<std::string, std::unique_ptr<Queue>>;
  std::lock_guard<std::mutex> lock(*mutex);
  std::unique_ptr<Queue>& queue = (*queues)[name];
  if (queue == nullptr) queue.reset(new Queue(name));
  return *queue;
}

bool Queue::Push(std::vector<Entry> entries, uint64_t capacity) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (entries_.size() + entries.size() > capacity) return false;
  for (Entry& entry : entries) {
    if (entry.id.empty()) entry.id = name_ + "@" + std::to_string(next_++);
    entries_.push_back(std::move(entry));
  }
  changed_.notify_all();
  return true;
}

std::vector<Entry> Queue::Pop(uint64_t max_records, uint64_t max_bytes,
                              std::chrono::milliseconds wait) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait_for(lock, wait, [&] { return !entries_.empty(); });
  std::vector<Entry> taken;
  uint64_t bytes = 0;
  while (!entries_.empty() && taken.size() < max_records) {
    bytes += entries_.front().payload.size();
    if (!taken.empty() && bytes > max_bytes) break;
    taken.push_back(std::move(entries_.front()));
    entries_.pop_front();
  }
  return taken;
}

void Queue::Return(std::vector<Entry> entries) {
  std::lock_guard<std::mutex> lock(mutex_);
  entries_.insert(entries_.begin(), std::make_move_iterator(entries.begin()),
                  std::make_move_iterator(entries.end()));
  changed_.notify_all();
}

std::vector<Entry> Queue::List(uint64_t max_records) const {
  std::lock_guard<std::mutex> lock(mutex_);
  const size_t n = std::min<uint64_t>(max_records, entries_.size());
  return {entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(n)};
}

uint64_t Queue::size() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return entries_.size();
}

}  // namespace mfn::memory
