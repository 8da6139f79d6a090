// The time by which dead letters age. Letters are stamped with the wall clock, the only one that a
// restart survives; but a wall clock can be set, and a letter that is removed because of it is
// lost. So this time never runs ahead of the monotonic clock:
//
//   the wall clock jumps forward   the time goes on as before the jump, for max_age of the
//   monotonic
//                                  clock. By then every letter of before the jump has aged by its
//                                  own stamp, and the wall clock is believed again; letters of
//                                  after the jump are kept longer, at most until then.
//   it jumps back                  the time goes back with it: letters of before the jump are kept
//                                  longer by as much.
//   a process begins               what the clock did before cannot be known. Nothing ages for
//                                  start_grace, in which a machine that boots with a wrong clock
//                                  gets it set; then the wall clock is believed.
//
// A jump is what differs from the monotonic clock by more than a second and a hundredth of the time
// between two looks; slower corrections are followed. Sleep of the machine looks like a jump
// forward. A jump that is undone between two looks is not seen. Not thread-safe.
#ifndef MFN_SERVER_PIPELINE_AGEING_CLOCK_H_
#define MFN_SERVER_PIPELINE_AGEING_CLOCK_H_

#include <cstdint>

#include "absl/time/time.h"
#include "server/base/clock.h"

namespace mfn::pipeline {

class AgeingClock {
 public:
  static constexpr absl::Duration kStartGrace = absl::Hours(1);

  // `clock` is not owned. `max_age` > 0. The process begins now.
  AgeingClock(Clock* clock, absl::Duration max_age);

  // Letters stamped before this are older than max_age; InfinitePast: none is for sure.
  absl::Time Cutoff();

 private:
  Clock* const clock_;
  const absl::Duration max_age_;
  absl::Time wall_;     // at the last look
  int64_t monotonic_;   // likewise
  int64_t believe_at_;  // from then on the wall clock is believed
  absl::Time time_ = absl::InfinitePast();
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_AGEING_CLOCK_H_
