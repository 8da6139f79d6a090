// The outcome of one plugin call. Part of mfn/plugin.hpp.
#ifndef MFN_SDK_STATUS_HPP_
#define MFN_SDK_STATUS_HPP_

#include <mfn/plugin.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace mfn::sdk {

// Made by the factories; `code` says what the host does next (see the codes in mfn/plugin.h).
// `reason` is a short constant to count by ("HTTP_503"); `message` is for people: what failed, on
// which object, and what to do, never a secret.
struct Status {
  mfn_code code = MFN_OK;
  int64_t retry_after_ms = -1;  // for Throttled; negative: not known
  std::string reason;
  std::string message;
  std::string field;  // JSON pointer of the config field at fault, or empty

  bool ok() const { return code == MFN_OK; }

  static Status Ok() { return Status(); }
  // A source is finished for good. From Read only.
  static Status End() { return Make(MFN_END, {}, {}); }
  // A passing fault: the host tries again, with backoff.
  static Status Retryable(std::string_view reason, std::string_view message) {
    return Make(MFN_RETRYABLE, reason, message);
  }
  // This input will never be accepted.
  static Status Permanent(std::string_view reason, std::string_view message) {
    return Make(MFN_PERMANENT, reason, message);
  }
  // The endpoint wants fewer calls, for that long if it said so.
  static Status Throttled(std::string_view reason, std::string_view message,
                          int64_t retry_after_ms = -1) {
    Status status = Make(MFN_THROTTLED, reason, message);
    status.retry_after_ms = retry_after_ms;
    return status;
  }
  // Credentials refused.
  static Status Auth(std::string_view reason, std::string_view message) {
    return Make(MFN_AUTH, reason, message);
  }
  // The session is gone: the host calls Connect before it tries again.
  static Status NotConnected(std::string_view reason, std::string_view message) {
    return Make(MFN_NOT_CONNECTED, reason, message);
  }
  // The call was cancelled, or its deadline passed while the plugin was waiting.
  static Status Cancelled(std::string_view message = "the call was cancelled") {
    return Make(MFN_CANCELLED, "CANCELLED", message);
  }
  static Status Unsupported(std::string_view message) {
    return Make(MFN_UNSUPPORTED, "UNSUPPORTED", message);
  }
  // From Validate and Create. `pointer`: JSON pointer of the offending field ("/path").
  static Status InvalidConfig(std::string_view pointer, std::string_view message) {
    Status status = Make(MFN_PERMANENT, "INVALID_CONFIG", message);
    status.field = pointer;
    return status;
  }

 private:
  static Status Make(mfn_code code, std::string_view reason, std::string_view message) {
    Status status;
    status.code = code;
    status.reason = reason;
    status.message = message;
    return status;
  }
};

}  // namespace mfn::sdk

#endif  // MFN_SDK_STATUS_HPP_
