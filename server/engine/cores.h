// The cores of a machine, shared by all simulations in a process: each takes one for itself, and a
// large one borrows what is idle.
//
//   Cores cores(8);
//   const Cores::Seat seat(&cores);      // for as long as a simulation computes
//   Team team(cores, 4);                 // the caller, and up to 3 who have nothing else to do
//   team.Run([](size_t member) { ... });

#ifndef MFN_SERVER_ENGINE_CORES_H_
#define MFN_SERVER_ENGINE_CORES_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace mfn::engine {

// Thread-safe. At most count - 1 threads are started, when they are first needed; between loans
// they sleep. Seats are always given, as callers bring their own threads; what they take is not
// lent.
class Cores {
 public:
  explicit Cores(size_t count);  // 0 counts as 1
  ~Cores();                      // everything lent must be back
  Cores(const Cores&) = delete;
  Cores& operator=(const Cores&) = delete;

  size_t count() const { return count_; }
  // Lends only while fewer than `cores` are taken; by default count().
  void Limit(size_t cores);
  // How many loans of at least one core there were.
  uint64_t loans() const;

  // Takes a core while it lives; null: nothing.
  class Seat {
   public:
    explicit Seat(Cores* cores);
    ~Seat();
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;

   private:
    Cores* const cores_;
  };

 private:
  friend class Team;
  // What the members of a team do.
  struct Round {
    void (*function)(const void* work, size_t member);
    const void* work;
    std::atomic<size_t> busy;  // helpers that have not done it yet
  };
  struct Helper {
    std::condition_variable wake;
    std::atomic<Round*> round{nullptr};  // written under the mutex
    // Guarded by the mutex.
    size_t member = 0;
    Helper* next = nullptr;  // of the idle ones, or of the same team
    std::thread thread;
  };

  // A list of up to `most` helpers; `*lent` is its length.
  Helper* Lend(size_t most, size_t* lent);
  void Return(Helper* helpers, size_t lent);
  void Run(Helper* helpers, Round* round);
  bool StartHelper();
  void Help(Helper* self);

  const size_t count_;
  mutable std::mutex mutex_;
  std::condition_variable done_;
  // Guarded by mutex_.
  size_t taken_ = 0;  // seats and what is lent
  size_t limit_;
  uint64_t loans_ = 0;
  bool stopping_ = false;
  Helper* idle_ = nullptr;
  std::vector<std::unique_ptr<Helper>> helpers_;
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_CORES_H_
