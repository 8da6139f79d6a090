// DEFECT: throws from every function, through the C++ wrapper. COST: that call, with the
// exception's words; memory that ran out is worth another try.
#include <mfn/plugin.hpp>
#include <new>
#include <stdexcept>

namespace {

using mfn::sdk::Call;
using mfn::sdk::Status;

class Thrower : public mfn::sdk::Source, public mfn::sdk::Sink {
 public:
  static constexpr const char* kType = PLUGIN;
  static constexpr const char* kSummary = "Throws";
  static constexpr const char* kSchema = R"({"type": "object"})";
  static Status Create(mfn::sdk::Host, std::string_view, std::unique_ptr<Thrower>* out) {
    *out = std::make_unique<Thrower>();
    return Status::Ok();
  }
  Status Read(Call&, uint64_t, uint64_t, mfn::sdk::BatchBuilder& out) override {
    out.Add().Payload("half of a batch");
    throw std::runtime_error("thrown in read");
  }
  Status Ack(Call&, uint64_t, mfn::sdk::Outcomes) override { throw 7; }
  Status Write(Call&, mfn::sdk::BatchView) override { throw std::bad_alloc(); }
};

}  // namespace

MFN_PLUGIN("org.example.bad", "1", "", "", Thrower)
