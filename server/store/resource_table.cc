// Resources made by RPC, in SQLite.
#include "server/store/resource_table.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace mfn::store {
namespace {

std::string EtagOf(int64_t revision) { return absl::StrCat("r", revision); }

}  // namespace

absl::StatusOr<std::string> ResourceTable::Put(absl::string_view kind, absl::string_view name,
                                               absl::string_view body) {
  int64_t revision = 0;
  const absl::Status status = writer_->Run([&](Database& database) -> absl::Status {
    absl::StatusOr<Query> query = database.Prepare(
        "INSERT OR REPLACE INTO resources (kind, name, body) VALUES (?1, ?2, ?3)"
        " RETURNING revision");
    if (!query.ok()) return query.status();
    query->BindText(1, kind);
    query->BindText(2, name);
    query->BindBlob(3, body);
    const absl::StatusOr<bool> row = query->Step();
    if (!row.ok()) return row.status();
    revision = query->Int(0);
    return query->Run();
  });
  if (!status.ok()) return status;
  return EtagOf(revision);
}

absl::Status ResourceTable::Remove(absl::string_view kind, absl::string_view name) {
  return writer_->Run([&](Database& database) -> absl::Status {
    absl::StatusOr<Query> query =
        database.Prepare("DELETE FROM resources WHERE kind = ?1 AND name = ?2");
    if (!query.ok()) return query.status();
    query->BindText(1, kind);
    query->BindText(2, name);
    const absl::Status status = query->Run();
    if (!status.ok()) return status;
    if (database.changes() > 0) return absl::OkStatus();
    return absl::NotFoundError(absl::StrCat("no ", kind, " named ", name, " is stored"));
  });
}

absl::StatusOr<std::vector<Resource>> ResourceTable::List(absl::string_view kind) {
  std::vector<Resource> resources;
  const absl::Status status = reader_->Run([&](Database& database) -> absl::Status {
    absl::StatusOr<Query> query = database.Prepare(
        "SELECT name, body, revision FROM resources WHERE kind = ?1 ORDER BY name");
    if (!query.ok()) return query.status();
    query->BindText(1, kind);
    for (;;) {
      const absl::StatusOr<bool> row = query->Step();
      if (!row.ok()) return row.status();
      if (!*row) return absl::OkStatus();
      resources.push_back(
          {std::string(kind), query->Bytes(0), query->Bytes(1), EtagOf(query->Int(2))});
    }
  });
  if (!status.ok()) return status;
  return resources;
}

}  // namespace mfn::store
