// JSON text to mfn.v1.SimulationRequest, strict about what it is and lenient about what it says:
// proto3 JSON with 64-bit integers as strings or numbers, and unknown fields reported instead of
// refused. Nothing is kept of unknown parts, so a hostile text costs no memory beyond its own. Pure
// and thread-safe.
#ifndef MFN_SERVER_PIPELINE_JSON_READER_H_
#define MFN_SERVER_PIPELINE_JSON_READER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "mfn/v1/simulation.pb.h"
#include "server/pipeline/codec.h"

namespace mfn::pipeline {

// The items of a payload, by their place in it: the elements of a list, or the payload itself.
// Looks at brackets and strings only; what the items are is ParseRequest's to say.
struct SplitPayload {
  absl::Status status;  // not ok: the payload as a whole is bad
  bool list = false;
  std::vector<absl::string_view> items;
};
SplitPayload Split(absl::string_view payload, const CodecLimits& limits);

// One JSON object. On failure `request` holds what could be read.
absl::Status ParseRequest(absl::string_view json, mfn::v1::SimulationRequest* request,
                          std::vector<std::string>* warnings);

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_JSON_READER_H_
