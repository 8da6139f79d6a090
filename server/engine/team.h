// A few threads that work on one thing together, again and again: the caller and its helpers.

#ifndef MFN_SERVER_ENGINE_TEAM_H_
#define MFN_SERVER_ENGINE_TEAM_H_

#include <cstddef>
#include <memory>

#include "server/engine/cores.h"

namespace mfn::engine {

// Not safe for use by two threads at once.
class Team {
 public:
  // Of threads of its own, as far as they can be started.
  explicit Team(size_t members);
  // Of at most so many, the caller included: what is idle of `cores`, borrowed until the end.
  // Allocates nothing once the helpers have been started.
  Team(Cores& cores, size_t most);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  size_t members() const { return helpers_count_ + 1; }

  // work(k) for every k in [0, members()), each on its own thread, 0 on the caller's; returns when
  // all have. Allocates nothing. `work` must not throw.
  template <typename Work>
  void Run(const Work& work) {
    Cores::Round round = {[](const void* w, size_t k) { (*static_cast<const Work*>(w))(k); }, &work,
                          helpers_count_};
    cores_->Run(helpers_, &round);
  }

 private:
  const std::unique_ptr<Cores> own_;
  Cores* const cores_;
  size_t helpers_count_ = 0;
  Cores::Helper* helpers_ = nullptr;
};

}  // namespace mfn::engine

#endif  // MFN_SERVER_ENGINE_TEAM_H_
