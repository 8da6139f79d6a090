// The constants of delivery in one place; tests make them small.
#ifndef MFN_SERVER_PIPELINE_TUNING_H_
#define MFN_SERVER_PIPELINE_TUNING_H_

#include "absl/time/time.h"

namespace mfn::pipeline {

struct Tuning {
  // A deferred publisher is flushed when its oldest unflushed item is this old.
  absl::Duration flush_age = absl::Seconds(1);
  // The pause before parked items, a failed ack, a failed read or a full store are tried again;
  // doubles.
  absl::Duration park_initial = absl::Milliseconds(100);
  absl::Duration park_max = absl::Seconds(5);
  int max_rounds = 10;       // a parked item's failed rounds in which others succeeded
  int permanent_alarm = 20;  // refusals in a row that mean a wrong address
  // A read waits this long while acks may come (they are made between reads), and this long when
  // none can.
  absl::Duration read_wait_busy = absl::Milliseconds(10);
  absl::Duration read_wait_idle = absl::Milliseconds(200);
  // How often a source that may not deliver is kept alive.
  absl::Duration keep_alive = absl::Milliseconds(100);
  // For the last acks of a run, and for the settling of a lane that the source must give away.
  absl::Duration final_ack = absl::Seconds(5);
  absl::Duration lane_release = absl::Seconds(10);
  // How often old dead letters are looked for.
  absl::Duration retention_period = absl::Minutes(1);
};

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_TUNING_H_
