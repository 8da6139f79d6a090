#include "server/engine/team.h"

#include <algorithm>

namespace mfn::engine {

Team::Team(size_t members) : own_(std::make_unique<Cores>(members)), cores_(own_.get()) {
  helpers_ = cores_->Lend(std::max<size_t>(members, 1) - 1, &helpers_count_);
}

Team::Team(Cores& cores, size_t most) : cores_(&cores) {
  helpers_ = cores_->Lend(std::max<size_t>(most, 1) - 1, &helpers_count_);
}

Team::~Team() { cores_->Return(helpers_, helpers_count_); }

}  // namespace mfn::engine
