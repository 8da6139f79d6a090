// Dead letters in SQLite, big payloads beside it.
#include "server/store/dead_letter_table.h"

#include <algorithm>
#include <cstddef>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/store/attributes.h"

namespace mfn::store {
namespace {

constexpr size_t kMaxPageBytes = size_t{64} << 20;

constexpr char kColumns[] =
    "id, pipeline, sink, idempotency_key, item_index, record_id, payload, payload_file,"
    " payload_size, attributes, code, reason, message, attempts, feature_digest, time_unix_nanos,"
    " record_key, record_time_unix_nanos";

absl::Status NoLetter(int64_t id) {
  return absl::NotFoundError(absl::StrCat("no dead letter has the id ", id));
}

// Deletes what `letter` replaces, and adds that one's file, if any, to `files`.
absl::Status DeleteReplaced(Database& database, const DeadLetter& letter,
                            std::vector<std::string>& files) {
  if (letter.idempotency_key.empty()) return absl::OkStatus();
  absl::StatusOr<Query> query = database.Prepare(
      "DELETE FROM dead_letters WHERE pipeline = ?1 AND sink = ?2 AND idempotency_key = ?3"
      " AND idempotency_key <> '' AND item_index = ?4 RETURNING payload_file");
  if (!query.ok()) return query.status();
  query->BindText(1, letter.pipeline);
  query->BindText(2, letter.sink);
  query->BindText(3, letter.idempotency_key);
  query->BindInt(4, letter.item_index);
  for (;;) {
    const absl::StatusOr<bool> row = query->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    files.push_back(query->Bytes(0));
  }
}

// Adds the letter's file ("": none) to `files`.
absl::Status DeleteLetter(Database& database, int64_t id, std::vector<std::string>& files) {
  absl::StatusOr<Query> query =
      database.Prepare("DELETE FROM dead_letters WHERE id = ?1 RETURNING payload_file");
  if (!query.ok()) return query.status();
  query->BindInt(1, id);
  const absl::StatusOr<bool> row = query->Step();
  if (!row.ok()) return row.status();
  if (!*row) return NoLetter(id);
  files.push_back(query->Bytes(0));
  return query->Run();
}

ExpiredDeadLetter ReadExpired(const Query& row, bool by_age) {
  return {row.Int(0), row.Bytes(1), absl::FromUnixNanos(row.Int(2)), row.Int(3), by_age};
}

absl::Status FindTooOld(Database& database, absl::Time before, int limit,
                        std::vector<ExpiredDeadLetter>* found) {
  if (before == absl::InfinitePast()) return absl::OkStatus();
  absl::StatusOr<Query> query = database.Prepare(
      "SELECT id, pipeline, time_unix_nanos, payload_size FROM dead_letters"
      " WHERE time_unix_nanos < ?1 ORDER BY time_unix_nanos, id LIMIT ?2");
  if (!query.ok()) return query.status();
  query->BindInt(1, absl::ToUnixNanos(before));
  query->BindInt(2, limit);
  for (;;) {
    const absl::StatusOr<bool> row = query->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    found->push_back(ReadExpired(*query, true));
  }
}

// Beyond those in `found`, which go anyhow.
absl::Status FindTooMuch(Database& database, int64_t max_bytes, int limit,
                         std::vector<ExpiredDeadLetter>* found) {
  const size_t most = static_cast<size_t>(limit);
  if (max_bytes <= 0 || found->size() >= most) return absl::OkStatus();
  const absl::StatusOr<int64_t> total =
      database.QueryInt("SELECT coalesce(sum(payload_size), 0) FROM dead_letters");
  if (!total.ok()) return total.status();
  int64_t bytes = *total;
  std::set<int64_t> gone;
  for (const ExpiredDeadLetter& letter : *found) {
    bytes -= letter.bytes;
    gone.insert(letter.id);
  }
  if (bytes <= max_bytes) return absl::OkStatus();
  absl::StatusOr<Query> query = database.Prepare(
      "SELECT id, pipeline, time_unix_nanos, payload_size FROM dead_letters ORDER BY id");
  if (!query.ok()) return query.status();
  while (bytes > max_bytes && found->size() < most) {
    const absl::StatusOr<bool> row = query->Step();
    if (!row.ok()) return row.status();
    if (!*row) return absl::OkStatus();
    if (gone.count(query->Int(0)) > 0) continue;
    found->push_back(ReadExpired(*query, false));
    bytes -= found->back().bytes;
  }
  return absl::OkStatus();
}

absl::Status Insert(Database& database, const DeadLetter& letter, const std::string& file) {
  absl::StatusOr<Query> query = database.Prepare(
      "INSERT INTO dead_letters (pipeline, sink, idempotency_key, item_index, record_id, payload,"
      " payload_file, payload_size, attributes, code, reason, message, attempts, feature_digest,"
      " time_unix_nanos, record_key, record_time_unix_nanos)"
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)");
  if (!query.ok()) return query.status();
  const std::string attributes = EncodeAttributes(letter.attributes);
  query->BindText(1, letter.pipeline);
  query->BindText(2, letter.sink);
  query->BindText(3, letter.idempotency_key);
  query->BindInt(4, letter.item_index);
  query->BindText(5, letter.record_id);
  if (file.empty()) {
    query->BindBlob(6, letter.payload);
    query->BindNull(7);
  } else {
    query->BindNull(6);
    query->BindText(7, file);
  }
  query->BindInt(8, static_cast<int64_t>(letter.payload.size()));
  query->BindBlob(9, attributes);
  query->BindText(10, letter.code);
  query->BindText(11, letter.reason);
  query->BindText(12, letter.message);
  query->BindInt(13, letter.attempts);
  query->BindText(14, letter.feature_digest);
  query->BindInt(15, absl::ToUnixNanos(letter.time));
  if (letter.record_key) {
    query->BindBlob(16, *letter.record_key);
  } else {
    query->BindNull(16);
  }
  if (letter.record_time) {
    query->BindInt(17, absl::ToUnixNanos(*letter.record_time));
  } else {
    query->BindNull(17);
  }
  return query->Run();
}

}  // namespace

absl::StatusOr<DeadLetterTable::FileNames> DeadLetterTable::WriteFiles(
    absl::Span<const DeadLetter> letters) {
  FileNames names;
  for (const DeadLetter& letter : letters) {
    if (letter.payload.size() <= max_inline_) {
      names.emplace_back();
      continue;
    }
    absl::StatusOr<std::string> name = files_->Write(letter.payload);
    if (!name.ok()) {
      RemoveFiles(names);
      return name.status();
    }
    names.push_back(*std::move(name));
  }
  return names;
}

void DeadLetterTable::RemoveFiles(const FileNames& names) {
  for (const std::string& name : names) {
    if (!name.empty()) files_->Remove(name);
  }
}

absl::Status DeadLetterTable::Add(absl::Span<const DeadLetter> letters) {
  if (letters.empty()) return absl::OkStatus();
  const absl::StatusOr<FileNames> written = WriteFiles(letters);
  if (!written.ok()) return written.status();
  FileNames replaced;
  const absl::Status status = writer_->Run([&](Database& database) -> absl::Status {
    replaced.clear();
    for (size_t i = 0; i < letters.size(); ++i) {
      absl::Status done = DeleteReplaced(database, letters[i], replaced);
      if (done.ok()) done = Insert(database, letters[i], (*written)[i]);
      if (!done.ok()) return done;
    }
    return absl::OkStatus();
  });
  if (!status.ok()) {
    // After an I/O error the row may yet come to light when the database is next recovered; the
    // next sweep knows.
    if (!absl::IsInternal(status)) RemoveFiles(*written);
    return status;
  }
  // Under the reader's lock, since a reader that has seen the old row is still to read its file.
  if (replaced.empty()) return absl::OkStatus();
  return reader_->Run([&](Database&) {
    RemoveFiles(replaced);
    return absl::OkStatus();
  });
}

absl::StatusOr<DeadLetter> DeadLetterTable::ReadLetter(const Query& row) const {
  DeadLetter letter;
  letter.id = row.Int(0);
  letter.pipeline = row.Bytes(1);
  letter.sink = row.Bytes(2);
  letter.idempotency_key = row.Bytes(3);
  letter.item_index = row.Int(4);
  letter.record_id = row.Bytes(5);
  if (row.IsNull(7)) {
    letter.payload = row.Bytes(6);
  } else {
    absl::StatusOr<std::string> payload = files_->Read(row.Bytes(7), row.Int(8));
    if (!payload.ok()) {
      return absl::Status(payload.status().code(), absl::StrCat("dead letter ", letter.id, ": ",
                                                                payload.status().message()));
    }
    letter.payload = *std::move(payload);
  }
  absl::StatusOr<Attributes> attributes = DecodeAttributes(row.Bytes(9));
  if (!attributes.ok()) {
    return absl::DataLossError(
        absl::StrCat("dead letter ", letter.id, ": ", attributes.status().message()));
  }
  letter.attributes = *std::move(attributes);
  letter.code = row.Bytes(10);
  letter.reason = row.Bytes(11);
  letter.message = row.Bytes(12);
  letter.attempts = static_cast<int>(row.Int(13));
  letter.feature_digest = row.Bytes(14);
  letter.time = absl::FromUnixNanos(row.Int(15));
  if (!row.IsNull(16)) letter.record_key = row.Bytes(16);
  if (!row.IsNull(17)) letter.record_time = absl::FromUnixNanos(row.Int(17));
  return letter;
}

absl::StatusOr<DeadLetterPage> DeadLetterTable::List(absl::string_view pipeline, int64_t after_id,
                                                     int limit) {
  if (limit < 1) return absl::InvalidArgumentError("limit of a page of dead letters is under 1");
  DeadLetterPage page;
  const std::string sql =
      absl::StrCat("SELECT ", kColumns, " FROM dead_letters WHERE ",
                   pipeline.empty() ? "" : "pipeline = ?2 AND ", "id > ?1 ORDER BY id");
  const absl::Status status = reader_->Run([&](Database& database) -> absl::Status {
    absl::StatusOr<Query> query = database.Prepare(sql);
    if (!query.ok()) return query.status();
    query->BindInt(1, after_id);
    if (!pipeline.empty()) query->BindText(2, pipeline);
    size_t bytes = 0;
    for (;;) {
      const absl::StatusOr<bool> row = query->Step();
      if (!row.ok()) return row.status();
      if (!*row) return absl::OkStatus();
      if (page.letters.size() == static_cast<size_t>(limit) || bytes > kMaxPageBytes) {
        page.next_after_id = page.letters.back().id;
        return absl::OkStatus();
      }
      absl::StatusOr<DeadLetter> letter = ReadLetter(*query);
      if (!letter.ok()) return letter.status();
      bytes += letter->payload.size();
      page.letters.push_back(*std::move(letter));
    }
  });
  if (!status.ok()) return status;
  return page;
}

absl::StatusOr<DeadLetter> DeadLetterTable::Get(int64_t id) {
  DeadLetter letter;
  const absl::Status status = reader_->Run([&](Database& database) -> absl::Status {
    absl::StatusOr<Query> query =
        database.Prepare(absl::StrCat("SELECT ", kColumns, " FROM dead_letters WHERE id = ?1"));
    if (!query.ok()) return query.status();
    query->BindInt(1, id);
    const absl::StatusOr<bool> row = query->Step();
    if (!row.ok()) return row.status();
    if (!*row) return NoLetter(id);
    absl::StatusOr<DeadLetter> read = ReadLetter(*query);
    if (!read.ok()) return read.status();
    letter = *std::move(read);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return letter;
}

absl::Status DeadLetterTable::Remove(int64_t id) {
  FileNames files;
  const absl::Status status = writer_->Run([&](Database& database) -> absl::Status {
    files.clear();
    return DeleteLetter(database, id, files);
  });
  if (!status.ok() || files[0].empty()) return status;
  return reader_->Run([&](Database&) {
    RemoveFiles(files);
    return absl::OkStatus();
  });
}

absl::StatusOr<int64_t> DeadLetterTable::Count(absl::string_view pipeline) {
  int64_t count = 0;
  const absl::Status status = reader_->Run([&](Database& database) -> absl::Status {
    absl::StatusOr<Query> query = database.Prepare(
        pipeline.empty() ? "SELECT count(*) FROM dead_letters"
                         : "SELECT count(*) FROM dead_letters WHERE pipeline = ?1");
    if (!query.ok()) return query.status();
    if (!pipeline.empty()) query->BindText(1, pipeline);
    const absl::StatusOr<bool> row = query->Step();
    if (row.ok() && *row) count = query->Int(0);
    return row.status();
  });
  if (!status.ok()) return status;
  return count;
}

absl::StatusOr<DeadLetterStats> DeadLetterTable::Stats(absl::string_view pipeline) {
  DeadLetterStats stats;
  const absl::Status status = reader_->Run([&](Database& database) -> absl::Status {
    absl::StatusOr<Query> query = database.Prepare(
        absl::StrCat("SELECT count(*), sum(payload_size), min(time_unix_nanos) FROM dead_letters",
                     pipeline.empty() ? "" : " WHERE pipeline = ?1"));
    if (!query.ok()) return query.status();
    if (!pipeline.empty()) query->BindText(1, pipeline);
    const absl::StatusOr<bool> row = query->Step();
    if (!row.ok()) return row.status();
    stats.count = query->Int(0);
    stats.bytes = query->Int(1);
    if (!query->IsNull(2)) stats.oldest = absl::FromUnixNanos(query->Int(2));
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return stats;
}

absl::StatusOr<std::vector<ExpiredDeadLetter>> DeadLetterTable::Expire(
    const DeadLetterRetention& retention, int limit) {
  std::vector<ExpiredDeadLetter> expired;
  FileNames files;
  const absl::Status status = writer_->Run([&](Database& database) -> absl::Status {
    expired.clear();
    files.clear();
    absl::Status done = FindTooOld(database, retention.before, limit, &expired);
    if (done.ok()) done = FindTooMuch(database, retention.max_bytes, limit, &expired);
    for (size_t k = 0; done.ok() && k < expired.size(); ++k) {
      done = DeleteLetter(database, expired[k].id, files);
    }
    return done;
  });
  if (!status.ok()) return status;
  if (std::all_of(files.begin(), files.end(), [](const auto& name) { return name.empty(); })) {
    return expired;
  }
  const absl::Status removed = reader_->Run([&](Database&) {
    RemoveFiles(files);
    return absl::OkStatus();
  });
  if (!removed.ok()) return removed;
  return expired;
}

absl::Status DeadLetterTable::SweepFiles() {
  return files_->Sweep([this](const std::string& name) -> absl::StatusOr<bool> {
    bool named = false;
    const absl::Status status = reader_->Run([&](Database& database) -> absl::Status {
      absl::StatusOr<Query> query =
          database.Prepare("SELECT 1 FROM dead_letters WHERE payload_file = ?1");
      if (!query.ok()) return query.status();
      query->BindText(1, name);
      const absl::StatusOr<bool> row = query->Step();
      named = row.ok() && *row;
      return row.status();
    });
    if (!status.ok()) return status;
    return named;
  });
}

}  // namespace mfn::store
