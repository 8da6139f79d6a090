// Plugin state in SQLite.
#include "server/store/state_table.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace mfn::store {
namespace {

constexpr size_t kMaxKey = 1024;
constexpr size_t kMaxValue = size_t{1} << 20;
// Bytes of values after which one step of List ends.
constexpr size_t kListStep = size_t{4} << 20;

using Entry = std::pair<std::string, std::string>;

absl::Status CheckSizes(absl::string_view owner, absl::string_view key, absl::string_view value) {
  if (key.size() > kMaxKey) {
    return absl::InvalidArgumentError(absl::StrCat("state of ", owner, ": a key of ", key.size(),
                                                   " bytes is over the limit of ", kMaxKey));
  }
  if (value.size() > kMaxValue) {
    return absl::InvalidArgumentError(absl::StrCat("state of ", owner, ": a value of ",
                                                   value.size(), " bytes is over the limit of ",
                                                   kMaxValue));
  }
  return absl::OkStatus();
}

// Appends entries with the prefix, from `from` on (after it, unless `inclusive`), until the step is
// full. True: there may be more.
absl::StatusOr<bool> ReadStep(Database& database, absl::string_view owner, absl::string_view prefix,
                              absl::string_view from, bool inclusive, std::vector<Entry>& entries) {
  absl::StatusOr<Query> query = database.Prepare(
      inclusive ? "SELECT key, value FROM state WHERE owner = ?1 AND key >= ?2 ORDER BY key"
                : "SELECT key, value FROM state WHERE owner = ?1 AND key > ?2 ORDER BY key");
  if (!query.ok()) return query.status();
  query->BindText(1, owner);
  query->BindBlob(2, from);
  size_t bytes = 0;
  while (bytes < kListStep) {
    const absl::StatusOr<bool> row = query->Step();
    if (!row.ok()) return row.status();
    if (!*row) return false;
    Entry entry(query->Bytes(0), query->Bytes(1));
    if (!absl::StartsWith(entry.first, prefix)) return false;
    bytes += entry.first.size() + entry.second.size() + sizeof(Entry);
    entries.push_back(std::move(entry));
  }
  return true;
}

}  // namespace

absl::Status StateTable::Put(absl::string_view owner, absl::string_view key,
                             absl::string_view value) {
  const absl::Status sizes = CheckSizes(owner, key, value);
  if (!sizes.ok()) return sizes;
  return writer_->Run([&](Database& database) -> absl::Status {
    absl::StatusOr<Query> query = database.Prepare(
        "INSERT INTO state (owner, key, value) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (owner, key) DO UPDATE SET value = excluded.value");
    if (!query.ok()) return query.status();
    query->BindText(1, owner);
    query->BindBlob(2, key);
    query->BindBlob(3, value);
    return query->Run();
  });
}

absl::Status StateTable::Erase(absl::string_view owner, absl::string_view key) {
  return writer_->Run([&](Database& database) -> absl::Status {
    absl::StatusOr<Query> query =
        database.Prepare("DELETE FROM state WHERE owner = ?1 AND key = ?2");
    if (!query.ok()) return query.status();
    query->BindText(1, owner);
    query->BindBlob(2, key);
    return query->Run();
  });
}

absl::StatusOr<std::optional<std::string>> StateTable::Get(absl::string_view owner,
                                                           absl::string_view key) {
  std::optional<std::string> value;
  const absl::Status status = reader_->Run([&](Database& database) -> absl::Status {
    absl::StatusOr<Query> query =
        database.Prepare("SELECT value FROM state WHERE owner = ?1 AND key = ?2");
    if (!query.ok()) return query.status();
    query->BindText(1, owner);
    query->BindBlob(2, key);
    const absl::StatusOr<bool> row = query->Step();
    if (row.ok() && *row) value = query->Bytes(0);
    return row.status();
  });
  if (!status.ok()) return status;
  return value;
}

absl::Status StateTable::List(
    absl::string_view owner, absl::string_view prefix,
    const std::function<bool(absl::string_view key, absl::string_view value)>& each) {
  std::string from(prefix);
  bool inclusive = true;
  bool more = true;
  while (more) {
    std::vector<Entry> entries;
    const absl::Status status = reader_->Run([&](Database& database) -> absl::Status {
      const absl::StatusOr<bool> read = ReadStep(database, owner, prefix, from, inclusive, entries);
      more = read.ok() && *read;
      return read.status();
    });
    if (!status.ok()) return status;
    for (const Entry& entry : entries) {
      if (!each(entry.first, entry.second)) return absl::OkStatus();
    }
    if (!entries.empty()) from = std::move(entries.back().first);
    inclusive = false;
  }
  return absl::OkStatus();
}

}  // namespace mfn::store
