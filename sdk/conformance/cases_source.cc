// Sources: how much a read gives, how long a batch lives, acks, and ids that mean the same for
// ever.
#include <map>
#include <set>
#include <string>
#include <thread>

#include "case.h"
#include "records.h"
#include "subject.h"

namespace mfn::conformance {
namespace {

std::string Text(mfn_bytes bytes) { return std::string(sdk::ToView(bytes)); }

// Every byte that a batch shows.
std::string Contents(const mfn_batch& batch) {
  std::string all;
  for (uint64_t i = 0; i < batch.n_records; ++i) {
    const mfn_record& record = batch.records[i];
    all += Text(record.id) + "|" + Text(record.key) + "|" + Text(record.payload);
    for (uint64_t k = 0; k < record.n_attrs; ++k) {
      all += "|" + Text(record.attrs[k].key) + "=" + Text(record.attrs[k].value);
    }
    all += "\n";
  }
  return all;
}

// Reads, checks, acks and releases; the sum of all payloads without the last one's.
void OneRead(Subject& subject, uint64_t max_records, uint64_t max_bytes) {
  mfn_batch batch = subject.ReadSome(max_records, max_bytes);
  uint64_t before_last = 0;
  for (uint64_t i = 0; i + 1 < batch.n_records; ++i) before_last += batch.records[i].payload.len;
  if (before_last > max_bytes) {
    throw Failed{"read(max_bytes " + std::to_string(max_bytes) + ") gives " +
                 std::to_string(batch.n_records) + " records, of which all but the last hold " +
                 std::to_string(before_last) + " bytes; stop once max_bytes are reached"};
  }
  subject.Ack(batch.ack_id);
  Release(&batch);
}

void Limits(Trial& trial) {
  NeedSource(trial);
  Subject subject(trial);
  subject.Connected();
  mfn_batch batch;
  // Zero: only keep alive. Subject::Read fails the case when there are more than asked for.
  subject.Read(0, 1 << 20, milliseconds(50), &batch);
  Release(&batch);
  OneRead(subject, 1, 1 << 20);
  OneRead(subject, 2, 1 << 20);
  OneRead(subject, 100, 1);
  OneRead(subject, 100, 0);
  OneRead(subject, 100, 1 << 20);
}

void Ids(Trial& trial) {
  NeedSource(trial);
  Subject subject(trial);
  subject.Connected();
  std::set<std::string> ids;
  std::set<uint64_t> acks;
  for (int i = 0; i < 3; ++i) {
    mfn_batch batch;
    const Reply reply = subject.Read(50, 1 << 20, milliseconds(100), &batch);
    for (uint64_t k = 0; k < batch.n_records; ++k) {
      const std::string id = Text(batch.records[k].id);
      if (id.empty()) {
        throw Failed{
            "read gives a record without an id; give each the position that it has in the "
            "source, which the idempotency key is made from"};
      }
      if (!ids.insert(id).second) {
        throw Failed{"read gives two records the id \"" + id + "\" before the first is acked"};
      }
    }
    if (batch.n_records > 0 && !acks.insert(batch.ack_id).second) {
      throw Failed{"two unacked batches have the ack_id " + std::to_string(batch.ack_id)};
    }
    const bool end = !reply.ok() || batch.n_records == 0;
    Release(&batch);
    if (end) break;
  }
  for (const uint64_t ack_id : acks) subject.Ack(ack_id);
  if (ids.empty()) throw Skipped{"read gives nothing; give a --config of a source with records"};
}

// The same bytes under another id after a restart: nothing downstream could recognise a repetition.
void IdsAfterARestart(Trial& trial) {
  NeedSource(trial);
  std::map<std::string, std::string> id_of;  // by payload
  {
    Subject subject(trial);
    subject.Connected();
    mfn_batch batch = subject.ReadSome(50);
    for (uint64_t i = 0; i < batch.n_records; ++i) {
      id_of[Text(batch.records[i].payload)] = Text(batch.records[i].id);
    }
    Release(&batch);
  }
  Subject subject(trial);
  subject.Connected();
  mfn_batch batch = subject.ReadSome(50);
  int known = 0, same = 0;
  std::string example;
  for (uint64_t i = 0; i < batch.n_records; ++i) {
    const auto before = id_of.find(Text(batch.records[i].payload));
    if (before == id_of.end()) continue;
    ++known;
    const std::string now = Text(batch.records[i].id);
    if (now == before->second) ++same;
    example = "\"" + before->second + "\", then \"" + now + "\"";
  }
  Release(&batch);
  if (known == 0) throw Skipped{"what was read and not acked does not come again"};
  if (same == 0) {
    throw Failed{"a record that is read again after a restart has another id (" + example +
                 "); make ids from the position in the source, not from a counter or the time"};
  }
}

void BatchesLive(Trial& trial) {
  NeedSource(trial);
  Subject subject(trial);
  subject.Connected();
  mfn_batch first = subject.ReadSome(1);
  const std::string before = Contents(first);
  mfn_batch second;
  subject.Read(1, 1 << 20, milliseconds(50), &second);
  const std::string also = Contents(second);
  subject.Ack(first.ack_id);
  if (second.n_records > 0) subject.Ack(second.ack_id);
  trial.Step("looking at a batch after the next read and its ack, before its release");
  if (Contents(first) != before || Contents(second) != also) {
    throw Failed{
        "a batch changes while the host holds it; its memory is the batch's own until "
        "release, whatever is read or acked meanwhile"};
  }
  // On another thread, the later one first.
  trial.Step("releasing two batches on another thread, the later one first");
  std::thread([&] {
    Release(&second);
    Release(&first);
  }).join();
}

void Acks(Trial& trial) {
  NeedSource(trial);
  Subject subject(trial);
  subject.Connected();
  mfn_batch batch = subject.ReadSome(3);
  // Given back, dead-lettered, and an outcome from a newer host, which means PERMANENT.
  std::vector<mfn_code> outcomes;
  const mfn_code mixed[] = {MFN_RETRYABLE, MFN_PERMANENT, 4711};
  for (uint64_t i = 0; i < batch.n_records; ++i) outcomes.push_back(mixed[i % 3]);
  const uint64_t ack_id = batch.ack_id;
  // The batch may be released before its ack or after.
  Release(&batch);
  const Reply reply = subject.Ack(ack_id, outcomes);
  if (reply.code == MFN_PERMANENT || reply.code == MFN_UNSUPPORTED) {
    throw Failed{"ack answers " + reply.Words() +
                 " to the outcomes RETRYABLE, PERMANENT and one "
                 "that is unknown; all of them are the host's to give"};
  }
  if (subject.component().source->lane_released == nullptr) return;
  Call(trial, "lane_released", milliseconds(2000), nullptr, [&](mfn_call* call) {
    return subject.component().source->lane_released(subject.self(), call, 123456789);
  });
}

}  // namespace

std::vector<Case> SourceCases() {
  return {
      {"read.limits", "read gives at most max_records and about max_bytes; zero: nothing", true,
       Limits},
      {"read.ids", "records have ids, and unacked batches an ack_id of their own", true, Ids},
      {"read.same_ids", "a record that is read again has the id it had", true, IdsAfterARestart},
      {"read.release", "a batch stays as it is until it is released, on any thread", true,
       BatchesLive},
      {"ack", "every outcome can be acked", true, Acks},
  };
}

}  // namespace mfn::conformance
