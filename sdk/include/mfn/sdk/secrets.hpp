// The present values of the secrets in an instance's configuration. Part of mfn/plugin.hpp.
#ifndef MFN_SDK_SECRETS_HPP_
#define MFN_SDK_SECRETS_HPP_

#include <mfn/ext/secrets.h>
#include <mfn/plugin.h>

#include <exception>
#include <mfn/sdk/batch.hpp>
#include <mfn/sdk/status.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace mfn::sdk {

// From Host::secrets(); mfn/ext/secrets.h says when and on which threads. In Connect:
//
//   if (Status s = host_.secrets().Resolve("/password", &password_); !s.ok()) return s;
class Secrets {
 public:
  Secrets(const mfn_host* host, const mfn_secrets_v1* secrets) : host_(host), secrets_(secrets) {}

  // Whether the host resolves secrets at all; without it Resolve changes nothing.
  bool available() const { return secrets_ != nullptr; }

  // *value becomes the string at `field`, a JSON pointer, as it is now; unless the result is Ok, or
  // where the host offers no secrets, it keeps what it had: the value that Create was given.
  Status Resolve(std::string_view field, std::string* value) const {
    if (secrets_ == nullptr) return Status::Ok();
    Taken taken;
    const mfn_code code = secrets_->resolve(host_, ToBytes(field), Taken::Found, &taken);
    if (taken.error) std::rethrow_exception(taken.error);
    if (code == MFN_OK) {
      *value = std::move(taken.value);
      return Status::Ok();
    }
    Status status = Status::Retryable(
        "SECRET_UNAVAILABLE", "the secret at '" + std::string(field) +
                                  "' of the configuration cannot be resolved; see the host's log");
    status.code = code;
    status.field = field;
    return status;
  }

 private:
  // Carries an exception past the host's frames, which must not see it.
  struct Taken {
    std::string value;
    std::exception_ptr error;
    static void Found(void* context, mfn_bytes value) noexcept {
      auto* self = static_cast<Taken*>(context);
      try {
        self->value = std::string(ToView(value));
      } catch (...) {
        self->error = std::current_exception();
      }
    }
  };

  const mfn_host* host_;
  const mfn_secrets_v1* secrets_;
};

}  // namespace mfn::sdk

#endif  // MFN_SDK_SECRETS_HPP_
