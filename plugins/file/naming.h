// File names from templates, safe whatever the records contain.
#ifndef MFN_PLUGINS_FILE_NAMING_H_
#define MFN_PLUGINS_FILE_NAMING_H_

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "mfn/sdk/batch.hpp"
#include "plugins/file/fs.h"

namespace mfn::file {

// "{time:%Y%m%dT%H%M%S}-{id}.json". Fields:
//   {time} {time:FORMAT}  when it is written, UTC, strftime; default %Y%m%dT%H%M%SZ
//   {id} {key}            of the record
//   {request_id}          attribute "request_id", else that field of a JSON payload
//   {seq}                 a counter of this publisher, from 1
// Values of records are reduced to letters, digits, '.', '_' and '-', never start with a dot, and
// are cut at 120 bytes; a value that had to change gets a hash of the original, so that two
// different values never share a name.
class NameTemplate {
 public:
  // `out` null: only checks. The error has field /filename.
  static Status Parse(const std::string& text, NameTemplate* out);

  std::string Render(const sdk::RecordView& record, std::time_t now, uint64_t seq) const;
  // Whether each record has a name of its own, the same each time it is written.
  bool has_id() const { return Has(Kind::kId); }
  bool has_seq() const { return Has(Kind::kSeq); }

 private:
  enum class Kind { kText, kTime, kId, kKey, kRequestId, kSeq };
  struct Part {
    Kind kind;
    std::string text;  // the text, or the time's format
  };
  bool Has(Kind kind) const;
  static Status ParseField(std::string_view field, std::vector<Part>* parts);
  std::vector<Part> parts_;
};

std::string Sanitize(std::string_view value);
std::string FormatTime(const std::string& format, std::time_t time);

}  // namespace mfn::file

#endif  // MFN_PLUGINS_FILE_NAMING_H_
