#include "server/rpc/dead_letters.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "server/pipeline/codec.h"
#include "server/rpc/proto_read.h"
#include "server/rpc/status.h"

namespace mfn::rpc {
namespace {

void ToProto(const store::DeadLetter& from, size_t max_payload, mfn::v1::DeadLetter* to) {
  to->set_name(absl::StrCat("pipelines/", from.pipeline, "/deadLetters/", from.id));
  if (!from.sink.empty()) to->set_sink(absl::StrCat("connectors/", from.sink));
  to->set_idempotency_key(from.idempotency_key);
  to->set_record_id(from.record_id);
  to->set_item_index(from.item_index);
  to->set_payload(from.payload.substr(0, max_payload));
  to->set_payload_size(static_cast<int64_t>(from.payload.size()));
  for (const auto& [key, value] : from.attributes) (*to->mutable_attributes())[key] = value;
  to->set_code(from.code);
  to->set_reason(from.reason);
  to->set_message(from.message);
  to->set_attempts(from.attempts);
  to->set_feature_digest(from.feature_digest);
  const int64_t nanos = absl::ToUnixNanos(from.time);
  to->mutable_time()->set_seconds(nanos / 1'000'000'000);
  to->mutable_time()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
}

absl::Status NoLetter(const std::string& name) {
  return Error(absl::StatusCode::kNotFound, "DEAD_LETTER_NOT_FOUND",
               absl::StrCat("there is no dead letter \"", name,
                            "\"; it may have been replayed or discarded"),
               {{"name", name}});
}

absl::StatusOr<store::DeadLetter> Find(store::DeadLetterStore& letters, const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  int64_t id = 0;
  if (parts.size() != 4 || parts[0] != "pipelines" || parts[2] != "deadLetters" ||
      !absl::SimpleAtoi(parts[3], &id) || id < 1) {
    return pipeline::FieldError("name", "INVALID_NAME",
                                "name must be \"pipelines/{pipeline}/deadLetters/{number}\", as "
                                "ListDeadLetters returns it");
  }
  auto letter = letters.Get(id);
  if (absl::IsNotFound(letter.status())) return NoLetter(name);
  if (letter.ok() && letter->pipeline != parts[1]) return NoLetter(name);
  return letter;
}

}  // namespace

absl::Status ListDeadLetters(store::DeadLetterStore& letters,
                             const mfn::v1::ListDeadLettersRequest& request,
                             mfn::v1::ListDeadLettersResponse* response) {
  auto parent = ReadName(request.parent(), "pipelines", "parent");
  if (!parent.ok()) return parent.status();
  auto page = ReadPage(request.page_size(), request.page_token());
  if (!page.ok()) return page.status();
  int64_t after = 0;
  if (!page->after.empty() && !absl::SimpleAtoi(page->after, &after)) {
    return pipeline::FieldError("page_token", "INVALID_PAGE_TOKEN",
                                "page_token is not the next_page_token of an earlier reply");
  }
  auto total = letters.Count(*parent);
  if (!total.ok()) return total.status();
  response->set_total_size(*total);
  while (static_cast<size_t>(response->dead_letters_size()) < page->size) {
    auto next = letters.List(*parent, after, 1);
    if (!next.ok()) return next.status();
    for (const store::DeadLetter& letter : next->letters) {
      ToProto(letter, kListedPayloadBytes, response->add_dead_letters());
    }
    after = next->next_after_id;
    if (after == 0) return absl::OkStatus();
  }
  response->set_next_page_token(PageToken(absl::StrCat(after)));
  return absl::OkStatus();
}

absl::Status GetDeadLetter(store::DeadLetterStore& letters,
                           const mfn::v1::GetDeadLetterRequest& request,
                           mfn::v1::DeadLetter* response) {
  auto letter = Find(letters, request.name());
  if (!letter.ok()) return letter.status();
  ToProto(*letter, kMaxPayloadBytes, response);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> FindDeadLetter(store::DeadLetterStore& letters, const std::string& name) {
  auto letter = Find(letters, name);
  if (!letter.ok()) return letter.status();
  return letter->id;
}

}  // namespace mfn::rpc
