// RFC 4180 tables: the first row names the fields, each further row becomes one JSON object.
//
// A cell becomes a number when it is one by JSON's grammar (so 007, +1, 1., NaN and 1e999 stay
// text), a boolean when it is exactly true or false, nothing when it is empty; a quoted cell is
// always text. A number keeps its digits: it is copied, never converted.
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "plugins/file/record_reader.h"

namespace mfn::file {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr size_t kMaxColumns = 1 << 16;

bool IsJsonNumber(std::string_view text) {
  size_t at = 0;
  auto digits = [&] {
    const size_t start = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - start;
  };
  if (at < text.size() && text[at] == '-') ++at;
  const bool leading_zero = at < text.size() && text[at] == '0';
  const size_t whole = digits();
  if (whole == 0 || (leading_zero && whole > 1)) return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (digits() == 0) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) return false;
  }
  if (at != text.size()) return false;
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() && std::isfinite(value);
}

std::string Quoted(std::string_view text) {
  // Bytes that are no UTF-8 become U+FFFD: JSON cannot carry them.
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

struct Cell {
  std::string text;
  bool quoted = false;
};

class CsvReader final : public RecordReader {
 public:
  CsvReader(std::unique_ptr<ByteReader> bytes, uint64_t limit)
      : bytes_(std::move(bytes)), limit_(limit) {}

  Status Next(RawRecord* record, bool* end) override {
    if (names_.empty()) {
      if (Status s = ReadHeader(end); !s.ok() || *end) return s;
    }
    *record = RawRecord();
    if (Status s = ReadRow(end); !s.ok() || *end) return s;
    record->line = row_line_;
    if (!row_error_.empty() || n_cells_ != names_.size()) {
      record->content_type = "text/csv";
      record->error = row_error_;
      if (row_error_.empty()) {
        record->error = "row at line " + std::to_string(row_line_) + " has " +
                        std::to_string(n_cells_) + " cells, the header has " +
                        std::to_string(names_.size());
      }
      record->present = !too_large_;
      record->payload = too_large_ ? std::string() : std::move(raw_);
      return Status::Ok();
    }
    record->content_type = "application/json";
    record->payload = ToJson();
    return Status::Ok();
  }

 private:
  Status ReadHeader(bool* end) {
    if (Status s = ReadRow(end); !s.ok() || *end) return s;
    if (!row_error_.empty()) return Status::Permanent("BAD_CSV", "header: " + row_error_);
    if (n_cells_ > kMaxColumns) {
      return Status::Permanent("BAD_CSV", "the header has more than 65,536 columns");
    }
    std::set<std::string> seen;
    for (Cell& cell : cells_) {
      // A byte order mark is no part of the first name.
      if (names_.empty() && cell.text.compare(0, 3, "\xEF\xBB\xBF") == 0) cell.text.erase(0, 3);
      if (cell.text.empty() || !seen.insert(cell.text).second) {
        names_.clear();
        return Status::Permanent("BAD_CSV", cell.text.empty()
                                                ? "the header has a column without a name"
                                                : "the header has two columns '" + cell.text + "'");
      }
      names_.push_back(Quoted(cell.text));
    }
    return Status::Ok();
  }

  // Next character or -1; keeps the raw text of the row within the limit.
  int Get(Status* status) {
    if (at_ == buffer_.size()) {
      buffer_.clear();
      at_ = 0;
      while (buffer_.empty() && !bytes_ended_) {
        *status = bytes_->Read(kReadBytes, &buffer_, &bytes_ended_);
        if (!status->ok()) return -1;
      }
      if (buffer_.empty()) return -1;
    }
    const char c = buffer_[at_++];
    if (c == '\n') ++line_;
    if (raw_.size() < limit_) {
      raw_ += c;
    } else {
      too_large_ = true;
    }
    return static_cast<unsigned char>(c);
  }
  int Peek(Status* status) {
    if (at_ < buffer_.size()) return static_cast<unsigned char>(buffer_[at_]);
    while (!bytes_ended_) {
      // What was read already has been copied into cells and raw_.
      buffer_.clear();
      at_ = 0;
      *status = bytes_->Read(kReadBytes, &buffer_, &bytes_ended_);
      if (!status->ok()) return -1;
      if (!buffer_.empty()) return static_cast<unsigned char>(buffer_[0]);
    }
    return -1;
  }

  // Reads one row, skipping empty lines; *end when there is none.
  Status ReadRow(bool* end) {
    for (;;) {
      StartRow();
      Status status;
      bool any = false;
      while (ReadCell(&any, &status)) {
      }
      if (!status.ok()) return status;
      *end = !any;
      if (too_large_) {
        row_error_ = "row at line " + std::to_string(row_line_) +
                     " is larger than max_record_bytes (" + std::to_string(limit_) + ")";
      }
      if (*end) return Status::Ok();
      const bool empty = cells_.size() == 1 && cells_[0].text.empty() && !cells_[0].quoted;
      if (!empty) return Status::Ok();
    }
  }

  void StartRow() {
    cells_.clear();
    n_cells_ = 0;
    raw_.clear();
    row_error_.clear();
    too_large_ = false;
    row_line_ = line_;
  }

  // One cell; false when the row is complete.
  bool ReadCell(bool* any, Status* status) {
    Cell cell;
    bool in_quotes = false, more = false;
    for (;;) {
      const int c = Get(status);
      if (c < 0) {
        if (in_quotes)
          row_error_ = "a quoted cell that began at line " + std::to_string(row_line_) +
                       " or later never ends";
        break;
      }
      *any = true;
      if (in_quotes) {
        if (c != '"') {
          Put(&cell, c);
        } else if (Peek(status) == '"') {
          Get(status);
          Put(&cell, '"');
        } else {
          in_quotes = false;
        }
      } else if (c == ',') {
        more = true;
        break;
      } else if (c == '\n') {
        break;
      } else if (c == '\r' && Peek(status) == '\n') {
        continue;
      } else if (c == '"' && cell.text.empty() && !cell.quoted) {
        in_quotes = cell.quoted = true;
      } else {
        if (cell.quoted && row_error_.empty()) {
          row_error_ = "text after a closing quote at line " + std::to_string(line_);
        }
        Put(&cell, c);
      }
    }
    if (*any) {
      ++n_cells_;
      // A row of nothing but commas must not cost forty times its size.
      if (cells_.size() < kMaxColumns) cells_.push_back(std::move(cell));
    }
    return more && status->ok();
  }

  void Put(Cell* cell, int c) {
    if (!too_large_) cell->text += static_cast<char>(c);
  }

  std::string ToJson() const {
    std::string out = "{";
    for (size_t i = 0; i < names_.size(); ++i) {
      const Cell& cell = cells_[i];
      if (cell.text.empty() && !cell.quoted) continue;
      if (out.size() > 1) out += ',';
      out += names_[i] + ':';
      const bool literal =
          !cell.quoted && (cell.text == "true" || cell.text == "false" || IsJsonNumber(cell.text));
      out += literal ? cell.text : Quoted(cell.text);
    }
    return out + '}';
  }

  std::unique_ptr<ByteReader> bytes_;
  const uint64_t limit_;
  std::string buffer_;
  size_t at_ = 0;
  bool bytes_ended_ = false;
  uint64_t line_ = 1, row_line_ = 1;
  std::vector<std::string> names_;  // quoted as JSON
  std::vector<Cell> cells_;         // the first kMaxColumns of them
  size_t n_cells_ = 0;
  std::string raw_, row_error_;
  bool too_large_ = false;
};

}  // namespace

std::unique_ptr<RecordReader> MakeCsvReader(std::unique_ptr<ByteReader> bytes,
                                            uint64_t max_record_bytes) {
  return std::make_unique<CsvReader>(std::move(bytes), max_record_bytes);
}

}  // namespace mfn::file
