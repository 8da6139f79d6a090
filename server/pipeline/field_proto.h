// Fields and histories in messages, as raw values or as NumPy files. Errors are FieldErrors on
// `name` or a field in it. Pure and thread-safe.
#ifndef MFN_SERVER_PIPELINE_FIELD_PROTO_H_
#define MFN_SERVER_PIPELINE_FIELD_PROTO_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "mfn/v1/field.pb.h"

namespace mfn::pipeline {

struct FieldData {
  int64_t n = 0;       // rows and columns
  int64_t frames = 0;  // 1 for a single field
  std::vector<double> values;
};

// Square, [1, 1024] rows, of the right size, finite.
absl::Status ReadField(const mfn::v1::Field& field, absl::string_view name, FieldData* out);
absl::Status ReadSeries(const mfn::v1::FieldSeries& series, absl::string_view name, FieldData* out);

// A field of a simulation: n x n, as its grid_size says.
absl::Status ReadGrid(const mfn::v1::Field& field, absl::string_view name, int64_t n,
                      std::vector<double>* out);

// Whether the message may ask for this encoding.
absl::Status CheckEncoding(mfn::v1::FieldEncoding encoding, absl::string_view name);

// What comes before the values of a field of n x n; empty for raw ones.
std::string FieldHeader(mfn::v1::FieldEncoding encoding, int64_t n);

void WriteField(std::span<const double> values, int64_t n, mfn::v1::FieldEncoding encoding,
                mfn::v1::Field* out);
void WriteSeries(std::span<const double> values, int64_t n, mfn::v1::FieldEncoding encoding,
                 mfn::v1::FieldSeries* out);

}  // namespace mfn::pipeline

#endif  // MFN_SERVER_PIPELINE_FIELD_PROTO_H_
