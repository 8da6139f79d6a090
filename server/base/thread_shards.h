// Counters that many threads write and few read: a part for each thread, added up when read.
//
//   struct Part { Counter hits; };
//   ThreadShards<Part> parts;
//   auto mine = parts.Mine();
//   mine.part->hits.Add(1, mine.exclusive);
//   parts.ForEach([&](const Part& part) { total += part.hits.Get(); });
//
// The first kExclusiveSlots threads that count anything have a part of their own, which they write
// with plain loads and stores; later ones share one and pay for an atomic addition. A part is
// allocated the first time its thread comes. What one thread left in a part stays in it when the
// thread ends and another takes its place. Thread-safe.
#ifndef MFN_SERVER_BASE_THREAD_SHARDS_H_
#define MFN_SERVER_BASE_THREAD_SHARDS_H_

#include <array>
#include <atomic>
#include <cstdint>

namespace mfn {

inline constexpr int kExclusiveSlots = 64;

namespace thread_shards_internal {
// Of this thread: -1 before its first use, [0, kExclusiveSlots) its own, kExclusiveSlots shared.
extern constinit thread_local int slot;
int TakeSlot();
}  // namespace thread_shards_internal

// [0, kExclusiveSlots): no other living thread has it; kExclusiveSlots: shared by all the others.
inline int ThreadSlot() {
  const int slot = thread_shards_internal::slot;
  if (slot >= 0) [[likely]]
    return slot;
  return thread_shards_internal::TakeSlot();
}

// Written by one thread at a time when `exclusive`, by any number of them otherwise.
class Counter {
 public:
  void Add(uint64_t n, bool exclusive) {
    if (exclusive) [[likely]] {
      value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    } else {
      value_.fetch_add(n, std::memory_order_relaxed);
    }
  }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

template <typename Part>
class ThreadShards {
 public:
  struct Ref {
    Part* part;
    bool exclusive;
  };

  ThreadShards() = default;
  ThreadShards(const ThreadShards&) = delete;
  ThreadShards& operator=(const ThreadShards&) = delete;
  ~ThreadShards() {
    for (std::atomic<Shard*>& shard : shards_) delete shard.load(std::memory_order_relaxed);
  }

  // Who writes to several of these at once asks for the slot once.
  Ref Mine(int slot = ThreadSlot()) {
    Shard* shard = shards_[static_cast<size_t>(slot)].load(std::memory_order_acquire);
    if (shard == nullptr) [[unlikely]]
      shard = Make(static_cast<size_t>(slot));
    return {&shard->part, slot < kExclusiveSlots};
  }

  template <typename Function>
  void ForEach(Function function) const {
    for (const std::atomic<Shard*>& pointer : shards_) {
      const Shard* shard = pointer.load(std::memory_order_acquire);
      if (shard != nullptr) function(shard->part);
    }
  }

 private:
  // Two cache lines: processors fetch them in pairs.
  struct alignas(128) Shard {
    Part part;
  };

  Shard* Make(size_t slot) {
    auto* made = new Shard();
    Shard* expected = nullptr;
    if (shards_[slot].compare_exchange_strong(expected, made, std::memory_order_acq_rel)) {
      return made;
    }
    delete made;
    return expected;
  }

  std::array<std::atomic<Shard*>, kExclusiveSlots + 1> shards_ = {};
};

}  // namespace mfn

#endif  // MFN_SERVER_BASE_THREAD_SHARDS_H_
