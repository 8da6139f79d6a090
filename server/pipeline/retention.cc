#include "server/pipeline/retention.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/log.h"

namespace mfn::pipeline {
namespace {

constexpr int kAtOnce = 500;  // letters in one transaction, so that others get their turn

}  // namespace

RetentionSweeper::RetentionSweeper(Options options) : options_(std::move(options)) {
  if (options_.config.max_age > absl::ZeroDuration()) {
    age_.emplace(options_.clock, options_.config.max_age);
  }
  if (options_.stepped || (!age_ && options_.config.max_bytes <= 0)) return;
  thread_ = std::thread([this] { Run(); });
}

RetentionSweeper::~RetentionSweeper() {
  stop_.Cancel();
  if (thread_.joinable()) thread_.join();
}

void RetentionSweeper::Run() {
  do {
    if (const auto swept = Sweep(); !swept.ok()) {
      Log(LogLevel::kError, "pipeline", "old dead letters cannot be removed",
          {{"error", swept.status().ToString()}});
    }
  } while (!stop_.token().WaitFor(options_.period));
}

absl::StatusOr<int> RetentionSweeper::Sweep() {
  store::DeadLetterRetention retention;
  if (age_) retention.before = age_->Cutoff();
  retention.max_bytes = options_.config.max_bytes;
  int by_age = 0, by_size = 0;
  bool more = true;
  while (more && !stop_.token().cancelled()) {
    const auto expired = options_.store->Expire(retention, kAtOnce);
    if (!expired.ok()) return expired.status();
    for (const store::ExpiredDeadLetter& letter : *expired) {
      ++(letter.by_age ? by_age : by_size);
      options_.expired(letter);
    }
    more = expired->size() == kAtOnce;
  }
  if (by_age + by_size > 0) {
    Log(LogLevel::kWarning, "pipeline", "dead letters were removed by retention",
        {{"by_age", absl::StrCat(by_age)}, {"by_size", absl::StrCat(by_size)}});
  }
  return by_age + by_size;
}

}  // namespace mfn::pipeline
