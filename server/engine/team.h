// A few threads that work on one thing together, again and again: the caller and its helpers.

#ifndef MFN_SERVER_ENGINE_TEAM_H_
#define MFN_SERVER_ENGINE_TEAM_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace mfn::engine {

// Not safe for use by two threads at once. Helpers are started once and sleep between calls.
class Team {
 public:
  // May throw std::system_error if a thread cannot be started.
  explicit Team(size_t members);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  size_t members() const { return helpers_.size() + 1; }

  // work(k) for every k in [0, members()), each on its own thread, 0 on the caller's; returns when
  // all have. Allocates nothing. `work` must not throw.
  template <typename Work>
  void Run(const Work& work) {
    RunErased([](const void* w, size_t k) { (*static_cast<const Work*>(w))(k); }, &work);
  }

 private:
  using Function = void (*)(const void* work, size_t member);

  void RunErased(Function function, const void* work);
  void Help(size_t member);
  void Stop();

  std::mutex mutex_;
  std::condition_variable start_, done_;
  // Guarded by mutex_.
  Function function_ = nullptr;
  const void* work_ = nullptr;
  uint64_t round_ = 0;
  size_t busy_ = 0;
  bool stopping_ = false;

  std::vector<std::thread> helpers_;
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_TEAM_H_
