// Waiting for other threads that arrive nearly at the same time. Internal to the engine.

#ifndef MFN_SERVER_ENGINE_BARRIER_H_
#define MFN_SERVER_ENGINE_BARRIER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace mfn::engine {

// Looks at done() for some 10 us, which is less than waking a thread takes; returns what it said
// last.
template <typename Done>
bool SpinUntil(const Done& done) {
  constexpr int kSpins = 4000;
  for (int k = 0; k < kSpins; ++k) {
    if (done()) return true;
  }
  return false;
}

// Holds all members back until the last one has come, which first does what is to be done in
// between, `last`. Can be used again at once.
class Barrier {
 public:
  explicit Barrier(size_t members) : members_(members) {}

  template <typename Last>
  void Arrive(const Last& last) {
    const uint32_t phase = phase_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_) {
      arrived_.store(0, std::memory_order_relaxed);
      last();
      phase_.store(phase + 1, std::memory_order_release);
      phase_.notify_all();
      return;
    }
    if (SpinUntil([&] { return phase_.load(std::memory_order_acquire) != phase; })) return;
    phase_.wait(phase, std::memory_order_acquire);
  }

 private:
  const size_t members_;
  std::atomic<size_t> arrived_{0};
  std::atomic<uint32_t> phase_{0};
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_BARRIER_H_
