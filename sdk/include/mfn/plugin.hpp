// Writing a plugin in C++17: a safe wrapper over the C ABI of mfn/plugin.h, header-only.
//
// A whole plugin, which answers every read with one record until it has counted to `limit`:
//
//   #include <mfn/plugin.hpp>
//
//   class Counter : public mfn::sdk::Source {
//    public:
//     static constexpr const char* kType = "counter";
//     static constexpr const char* kSummary = "Counts to a limit";
//     static constexpr const char* kSchema = R"({"type": "object", "additionalProperties": false,
//       "properties": {"limit": {"type": "integer", "minimum": 1}}})";
//
//     // Makes an instance from its config (JSON, valid by kSchema). No I/O that can block.
//     static mfn::sdk::Status Create(mfn::sdk::Host host, std::string_view config,
//                                    std::unique_ptr<Counter>* out) {
//       *out = std::make_unique<Counter>();
//       host.Log(MFN_LOG_INFO, "counting");
//       return mfn::sdk::Status::Ok();
//     }
//
//     mfn::sdk::Status Read(mfn::sdk::Call& call, uint64_t max_records, uint64_t max_bytes,
//                           mfn::sdk::BatchBuilder& out) override {
//       if (max_records == 0) return mfn::sdk::Status::Ok();   // "only keep alive"
//       if (next_ == 10) return mfn::sdk::Status::End();
//       out.Add().Id("counter@" + std::to_string(next_)).Payload(std::to_string(next_));
//       out.AckId(next_++);
//       return mfn::sdk::Status::Ok();
//     }
//
//     mfn::sdk::Status Ack(mfn::sdk::Call&, uint64_t, mfn::sdk::Outcomes) override {
//       return mfn::sdk::Status::Ok();
//     }
//
//    private:
//     uint64_t next_ = 0;
//   };
//
//   MFN_PLUGIN("org.example.counter", "1.0.0", "Example", "MIT", Counter)
//
// What a component class T has
//   - it derives from Source, Sink, Executor, or any mix of them; what it derives from is what the
//     host sees. Virtuals that are not pure have a default that is right for most.
//   - static kType, kSummary, kSchema (const char*), and static Create as above;
//   - if it wants: static constexpr uint32_t kFlags (MFN_DEDUPS_BY_KEY | ...), kMaxInFlight (writes
//     or executes at once, default 1), and
//     static Status Validate(Host, std::string_view config): what the schema cannot say, no I/O.
//
// Rules that the wrapper keeps for you: no exception leaves the plugin (std::bad_alloc becomes
// RETRYABLE, every other PERMANENT with its what()); a batch owns its bytes and is freed once;
// results of a failed call are not handed out; a failure's texts reach the host before the call
// returns. What is left to you: honour Call::cancelled() and Call::remaining() within 250 ms, never
// retry, never print, and the thread tags of mfn/plugin.h, which each virtual repeats.
#ifndef MFN_PLUGIN_HPP_
#define MFN_PLUGIN_HPP_

#include <mfn/plugin.h>

#include <exception>
#include <memory>
#include <mfn/sdk/batch.hpp>
#include <mfn/sdk/host.hpp>
#include <mfn/sdk/secrets.hpp>
#include <mfn/sdk/status.hpp>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>

namespace mfn::sdk {

// What every component has. The destructor runs [exclusive], last, after every batch was released.
class Component {
 public:
  virtual ~Component() = default;
  // [exclusive] (Re)establishes the session; called before everything below, and again after
  // NotConnected or Auth.
  virtual Status Connect(Call&) { return Status::Ok(); }
  // [any] Is the other side there? Cheap, no side effects; runs beside every other function.
  virtual Status Check(Call&) { return Status::Ok(); }
  // [any] An extension by its id, or null.
  virtual const void* Extension(std::string_view) { return nullptr; }
};

class Source : public virtual Component {
 public:
  // [worker] Waits until the deadline for records; returns as soon as it has any. Adds at most
  // max_records records and about max_bytes of payload to `out`, of one lane, and sets its AckId.
  // max_records 0: lane events only. Ok without records: nothing yet. End: finished for good
  // (records in `out` count).
  virtual Status Read(Call& call, uint64_t max_records, uint64_t max_bytes, BatchBuilder& out) = 0;
  // [worker; beside Read with MFN_CONCURRENT_ACK] Once per batch with records. An outcome is
  // MFN_OK, MFN_RETRYABLE (give the record again later) or MFN_PERMANENT (kept elsewhere: move on).
  virtual Status Ack(Call& call, uint64_t ack_id, Outcomes outcomes) = 0;
  // [worker] After a REVOKED event: the host has acked what it will.
  virtual Status LaneReleased(Call&, uint64_t /*lane*/) { return Status::Ok(); }
};

class Sink : public virtual Component {
 public:
  // [parallel, up to kMaxInFlight] Ok: the data survive a crash (with MFN_DEFERRED: after Flush).
  // Call::FailRecord gives single records another outcome than the returned one.
  virtual Status Write(Call& call, BatchView batch) = 0;
  // [exclusive] Ok: everything written before is durable.
  virtual Status Flush(Call&) { return Status::Ok(); }
};

class Executor : public virtual Component {
 public:
  // [parallel, up to kMaxInFlight] One request in, records out. Retryable with reason
  // "OUTCOME_UNKNOWN" when it was sent and nobody knows what became of it.
  virtual Status Execute(Call& call, RecordView request, BatchBuilder& out) = 0;
};

namespace internal {

// The instance as the host holds it.
template <class T>
struct Holder {
  const mfn_host* host;
  std::unique_ptr<T> component;
};

// Runs f, which returns a Status; reports a failure to the host and returns its code. Nothing is
// thrown from here: even the report of an exception falls back to its bare code.
template <class F>
mfn_code Barrier(const mfn_host* host, mfn_call* raw, F&& f) noexcept {
  Call call(host, raw);
  try {
    Status status = f(call);
    if (!status.ok() && status.code != MFN_END) call.Fail(status);
    return status.code;
  } catch (const std::bad_alloc&) {
    call.FailPlain(MFN_RETRYABLE, "OUT_OF_MEMORY", "the plugin ran out of memory");
    return MFN_RETRYABLE;
  } catch (const std::exception& e) {
    call.FailPlain(MFN_PERMANENT, "EXCEPTION", e.what());
    return MFN_PERMANENT;
  } catch (...) {
    call.FailPlain(MFN_PERMANENT, "EXCEPTION", "the plugin threw something unknown");
    return MFN_PERMANENT;
  }
}

template <class T, class = void>
struct FlagsOf : std::integral_constant<uint32_t, 0> {};
template <class T>
struct FlagsOf<T, std::void_t<decltype(T::kFlags)>> : std::integral_constant<uint32_t, T::kFlags> {
};
template <class T, class = void>
struct MaxInFlightOf : std::integral_constant<uint32_t, 1> {};
template <class T>
struct MaxInFlightOf<T, std::void_t<decltype(T::kMaxInFlight)>>
    : std::integral_constant<uint32_t, T::kMaxInFlight> {};
template <class T, class = void>
struct HasValidate : std::false_type {};
template <class T>
struct HasValidate<T, std::void_t<decltype(T::Validate(std::declval<Host>(), std::string_view()))>>
    : std::true_type {};

template <class T>
struct Table {
  static_assert(std::is_base_of_v<Source, T> || std::is_base_of_v<Sink, T> ||
                    std::is_base_of_v<Executor, T>,
                "a component derives from mfn::sdk::Source, Sink or Executor");

  template <class F>
  static mfn_code Run(void* self, mfn_call* raw, F&& f) noexcept {
    auto* holder = static_cast<Holder<T>*>(self);
    return Barrier(holder->host, raw, [&](Call& call) { return f(*holder->component, call); });
  }
  // As Run, for functions that return records.
  template <class F>
  static mfn_code RunWithBatch(void* self, mfn_call* raw, mfn_batch* out, F&& f) noexcept {
    return Run(self, raw, [&](T& t, Call& call) {
      BatchBuilder builder;
      Status status = f(t, call, builder);
      if (status.ok() || status.code == MFN_END) builder.MoveTo(out);
      return status;
    });
  }

  static mfn_code Validate(mfn_call* raw, const mfn_host* host, mfn_bytes json) noexcept {
    return Barrier(host, raw, [&](Call&) -> Status {
      if constexpr (HasValidate<T>::value) {
        return T::Validate(Host(host), ToView(json));
      } else {
        (void)json;
        return Status::Ok();
      }
    });
  }
  static mfn_code Create(mfn_call* raw, const mfn_host* host, mfn_bytes json,
                         void** self) noexcept {
    return Barrier(host, raw, [&](Call&) -> Status {
      auto holder = std::make_unique<Holder<T>>();
      holder->host = host;
      Status status = T::Create(Host(host), ToView(json), &holder->component);
      if (status.ok()) *self = holder.release();
      return status;
    });
  }
  static mfn_code Connect(void* self, mfn_call* raw) noexcept {
    return Run(self, raw, [](T& t, Call& call) { return t.Connect(call); });
  }
  static mfn_code Check(void* self, mfn_call* raw) noexcept {
    return Run(self, raw, [](T& t, Call& call) { return t.Check(call); });
  }
  static void Destroy(void* self) noexcept { delete static_cast<Holder<T>*>(self); }
  static const void* Extension(void* self, const char* id) noexcept {
    try {
      return static_cast<Holder<T>*>(self)->component->Extension(id);
    } catch (...) {
      return nullptr;
    }
  }

  static mfn_code Read(void* self, mfn_call* raw, uint64_t max_records, uint64_t max_bytes,
                       mfn_batch* out) noexcept {
    return RunWithBatch(self, raw, out, [&](T& t, Call& call, BatchBuilder& builder) {
      return t.Read(call, max_records, max_bytes, builder);
    });
  }
  static mfn_code Ack(void* self, mfn_call* raw, uint64_t ack_id, const mfn_code* outcomes,
                      uint64_t n) noexcept {
    return Run(self, raw,
               [&](T& t, Call& call) { return t.Ack(call, ack_id, Outcomes(outcomes, n)); });
  }
  static mfn_code LaneReleased(void* self, mfn_call* raw, uint64_t lane) noexcept {
    return Run(self, raw, [&](T& t, Call& call) { return t.LaneReleased(call, lane); });
  }
  static mfn_code Write(void* self, mfn_call* raw, const mfn_batch* batch) noexcept {
    return Run(self, raw, [&](T& t, Call& call) { return t.Write(call, BatchView(batch)); });
  }
  static mfn_code Flush(void* self, mfn_call* raw) noexcept {
    return Run(self, raw, [](T& t, Call& call) { return t.Flush(call); });
  }
  static mfn_code Execute(void* self, mfn_call* raw, const mfn_record* request,
                          mfn_batch* out) noexcept {
    return RunWithBatch(self, raw, out, [&](T& t, Call& call, BatchBuilder& builder) {
      return t.Execute(call, RecordView(request), builder);
    });
  }

  static const mfn_source* SourceTable() {
    if constexpr (std::is_base_of_v<Source, T>) {
      static const mfn_source table = {sizeof(mfn_source), 0, Read, Ack, LaneReleased};
      return &table;
    }
    return nullptr;
  }
  static const mfn_sink* SinkTable() {
    if constexpr (std::is_base_of_v<Sink, T>) {
      static const mfn_sink table = {sizeof(mfn_sink), MaxInFlightOf<T>::value, Write, Flush};
      return &table;
    }
    return nullptr;
  }
  static const mfn_executor* ExecutorTable() {
    if constexpr (std::is_base_of_v<Executor, T>) {
      static const mfn_executor table = {sizeof(mfn_executor), MaxInFlightOf<T>::value, Execute};
      return &table;
    }
    return nullptr;
  }
  static const mfn_component* Describe() {
    static const mfn_component component = {sizeof(mfn_component),
                                            FlagsOf<T>::value,
                                            T::kType,
                                            T::kSummary,
                                            T::kSchema,
                                            Validate,
                                            Create,
                                            Connect,
                                            Check,
                                            Destroy,
                                            SourceTable(),
                                            SinkTable(),
                                            ExecutorTable(),
                                            Extension};
    return &component;
  }
};

template <class... Ts>
const mfn_plugin* Describe(const char* id, const char* version, const char* vendor,
                           const char* license) {
  static const mfn_component* const components[] = {Table<Ts>::Describe()...};
  static const mfn_plugin plugin = {sizeof(mfn_plugin), MFN_ABI_MINOR, id, version, vendor, license,
                                    components,         sizeof...(Ts)};
  return &plugin;
}

}  // namespace internal
}  // namespace mfn::sdk

// Defines the entry point. All texts are string literals; then the component classes. Once per
// shared object, outside of any namespace.
#define MFN_PLUGIN(id, version, vendor, license, ...)                                        \
  extern "C" MFN_EXPORT const mfn_plugin* mfn_plugin_entry_v1(uint32_t /*host_abi_minor*/) { \
    return ::mfn::sdk::internal::Describe<__VA_ARGS__>(id, version, vendor, license);        \
  }

#endif  // MFN_PLUGIN_HPP_
