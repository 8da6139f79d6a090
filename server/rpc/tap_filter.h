// Which records a tap wants, and what it keeps of them.
//
// Immutable once made; Matches and Copy are thread-safe and run on the thread that moves the
// record, so they cost no more than looking at it once and copying what is kept.
#ifndef MFN_SERVER_RPC_TAP_FILTER_H_
#define MFN_SERVER_RPC_TAP_FILTER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "mfn/v1/connector_service.pb.h"
#include "server/registry/tap.h"

namespace mfn::rpc {

class TapFilter {
 public:
  // INVALID_ARGUMENT with the field.
  static absl::StatusOr<TapFilter> FromProto(const mfn::v1::TapConnectorRequest& request);

  bool Matches(registry::TapDirection direction, const mfn_record& record) const;
  void Copy(registry::TapDirection direction, const mfn_record& record, mfn_code outcome,
            absl::Time now, mfn::v1::TappedRecord* out) const;

  double sample_ratio() const { return sample_ratio_; }
  int64_t max_records() const { return max_records_; }
  absl::Duration max_duration() const { return max_duration_; }

 private:
  mfn::v1::TappedRecord::Direction direction_ = mfn::v1::TappedRecord::DIRECTION_UNSPECIFIED;
  std::string id_prefix_, key_prefix_, payload_contains_;
  std::vector<std::pair<std::string, std::string>> attributes_;
  double sample_ratio_ = 1;
  int64_t max_records_ = 1000;
  absl::Duration max_duration_ = absl::Seconds(60);
  size_t max_payload_bytes_ = 4096;
};

}  // namespace mfn::rpc

#endif  // MFN_SERVER_RPC_TAP_FILTER_H_
