#include "server/pipeline/field_proto.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/engine/config.h"
#include "server/engine/npy.h"
#include "server/pipeline/codec.h"

namespace mfn::pipeline {
namespace {

static_assert(std::endian::native == std::endian::little, "fields travel as little-endian bytes");

using mfn::v1::FieldEncoding;

// What a message says of itself; 0 where it says nothing.
struct Claim {
  int64_t frames, rows, cols;
};

absl::Status CheckShape(absl::string_view name, int64_t rows, int64_t cols) {
  if (rows >= 1 && rows <= engine::kMaxGridSize && rows == cols) return absl::OkStatus();
  return FieldError(absl::StrCat(name, ".rows"), "OUT_OF_RANGE",
                    absl::StrCat(name, " is ", rows, " x ", cols, ", must be square with [1, ",
                                 engine::kMaxGridSize, "] rows"));
}

absl::Status CheckFinite(absl::string_view name, const std::vector<double>& values) {
  const auto bad =
      std::find_if_not(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
  if (bad == values.end()) return absl::OkStatus();
  return FieldError(absl::StrCat(name, ".data"), "NOT_FINITE",
                    absl::StrCat(name, ".data holds ", *bad, " at value ", bad - values.begin(),
                                 ", every value must be finite"));
}

absl::Status ReadRaw(absl::string_view name, const Claim& claim, const std::string& data,
                     FieldData* out) {
  if (absl::Status s = CheckShape(name, claim.rows, claim.cols); !s.ok()) return s;
  const int64_t frame_bytes = claim.rows * claim.cols * static_cast<int64_t>(sizeof(double));
  const int64_t held = static_cast<int64_t>(data.size());
  if (claim.frames < 1 || held % frame_bytes != 0 || held / frame_bytes != claim.frames) {
    return FieldError(absl::StrCat(name, ".data"), "WRONG_SIZE",
                      absl::StrCat(name, ".data has ", held, " bytes, must have ", claim.frames,
                                   " * ", frame_bytes, " (frames of ", claim.rows, " x ",
                                   claim.cols, " float64), at least one frame"));
  }
  out->n = claim.rows;
  out->frames = claim.frames;
  out->values.resize(data.size() / sizeof(double));
  std::memcpy(out->values.data(), data.data(), data.size());
  return absl::OkStatus();
}

// `dimensions`: 2 for a field, 3 for a series.
absl::Status ReadNpy(absl::string_view name, const Claim& claim, size_t dimensions,
                     const std::string& data, FieldData* out) {
  const std::string where = absl::StrCat(name, ".data");
  auto array = engine::ParseNpy(data);
  if (!array.ok()) {
    return FieldError(where, "BAD_NPY", absl::StrCat(where, ": ", array.error().message));
  }
  const std::vector<int64_t>& shape = array->shape;
  const bool series = dimensions == 3;
  if (shape.size() != dimensions || (series && shape[0] < 1)) {
    return FieldError(where, "WRONG_SIZE",
                      absl::StrCat(where, " is an array of shape ", engine::ShapeName(shape),
                                   ", must be ", series ? "(T, N, N)" : "(N, N)"));
  }
  const int64_t rows = shape[dimensions - 2], cols = shape[dimensions - 1];
  if (absl::Status s = CheckShape(name, rows, cols); !s.ok()) return s;
  const std::pair<int64_t, int64_t> said[] = {
      {claim.rows, rows}, {claim.cols, cols}, {series ? claim.frames : 0, shape[0]}};
  for (const auto& [in_message, in_file] : said) {
    if (in_message == 0 || in_message == in_file) continue;
    return FieldError(where, "WRONG_SIZE",
                      absl::StrCat(where, " is an array of shape ", engine::ShapeName(shape),
                                   ", but ", name, " says ", in_message, " instead of ", in_file,
                                   "; leave the shape out or make them agree"));
  }
  out->n = rows;
  out->frames = series ? shape[0] : 1;
  out->values = engine::NpyValues(*array);
  return absl::OkStatus();
}

absl::Status ReadAny(absl::string_view name, FieldEncoding encoding, const Claim& claim,
                     size_t dimensions, const std::string& data, FieldData* out) {
  if (absl::Status s = CheckEncoding(encoding, absl::StrCat(name, ".encoding")); !s.ok()) return s;
  absl::Status read = encoding == mfn::v1::FIELD_ENCODING_NPY
                          ? ReadNpy(name, claim, dimensions, data, out)
                          : ReadRaw(name, claim, data, out);
  return read.ok() ? CheckFinite(name, out->values) : read;
}

void Encode(const std::string& header, std::span<const double> values, std::string* bytes) {
  bytes->reserve(header.size() + values.size_bytes());
  bytes->assign(header);
  bytes->append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
}

}  // namespace

absl::Status ReadField(const mfn::v1::Field& field, absl::string_view name, FieldData* out) {
  const Claim claim = {1, field.rows(), field.cols()};
  return ReadAny(name, field.encoding(), claim, 2, field.data(), out);
}

absl::Status ReadSeries(const mfn::v1::FieldSeries& series, absl::string_view name,
                        FieldData* out) {
  const Claim claim = {series.frames(), series.rows(), series.cols()};
  return ReadAny(name, series.encoding(), claim, 3, series.data(), out);
}

absl::Status ReadGrid(const mfn::v1::Field& field, absl::string_view name, int64_t n,
                      std::vector<double>* out) {
  const auto wrong = [&](int64_t rows, int64_t cols) {
    return FieldError(name, "WRONG_SIZE",
                      absl::StrCat(name, " is ", rows, " x ", cols, ", must be ", n, " x ", n,
                                   " as grid_size says"));
  };
  const bool said =
      field.rows() != 0 || field.cols() != 0 || field.encoding() != mfn::v1::FIELD_ENCODING_NPY;
  if (said && (field.rows() != n || field.cols() != n)) return wrong(field.rows(), field.cols());
  FieldData data;
  if (absl::Status s = ReadField(field, name, &data); !s.ok()) return s;
  if (data.n != n) return wrong(data.n, data.n);
  *out = std::move(data.values);
  return absl::OkStatus();
}

absl::Status CheckEncoding(FieldEncoding encoding, absl::string_view name) {
  if (mfn::v1::FieldEncoding_IsValid(encoding)) return absl::OkStatus();
  return FieldError(name, "OUT_OF_RANGE",
                    absl::StrCat(name, " is ", encoding, ", must be in [0, 2]"));
}

std::string FieldHeader(FieldEncoding encoding, int64_t n) {
  if (encoding != mfn::v1::FIELD_ENCODING_NPY) return "";
  const int64_t shape[] = {n, n};
  return engine::NpyHeader(shape);
}

void WriteField(std::span<const double> values, int64_t n, FieldEncoding encoding,
                mfn::v1::Field* out) {
  out->set_rows(static_cast<int32_t>(n));
  out->set_cols(static_cast<int32_t>(n));
  out->set_encoding(encoding);
  Encode(FieldHeader(encoding, n), values, out->mutable_data());
}

void WriteSeries(std::span<const double> values, int64_t n, FieldEncoding encoding,
                 mfn::v1::FieldSeries* out) {
  const int64_t frames = static_cast<int64_t>(values.size()) / (n * n);
  const int64_t shape[] = {frames, n, n};
  out->set_frames(frames);
  out->set_rows(static_cast<int32_t>(n));
  out->set_cols(static_cast<int32_t>(n));
  out->set_encoding(encoding);
  Encode(encoding == mfn::v1::FIELD_ENCODING_NPY ? engine::NpyHeader(shape) : "", values,
         out->mutable_data());
}

}  // namespace mfn::pipeline
