// A plugin's descriptor as a stranger may have filled it in: any sizes, counts, flags and texts,
// any pointer NULL. Structs are exactly as large as they say, so that the address sanitizer sees a
// read past struct_size; pointers that are not NULL are good, because the host cannot check those.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "server/registry/import.h"

namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

// Owns everything that one descriptor points to.
class Descriptor {
 public:
  explicit Descriptor(FuzzedDataProvider* bytes) : bytes_(*bytes) {}

  const mfn_plugin* Make() {
    mfn_plugin plugin = {};
    plugin.abi_minor = bytes_.ConsumeIntegral<uint32_t>();
    plugin.id = Text();
    plugin.version = Text();
    plugin.vendor = Text();
    plugin.license = Text();
    const size_t count = bytes_.ConsumeIntegralInRange<size_t>(0, 4);
    for (size_t i = 0; i < count; ++i) components_.push_back(Maybe() ? Component() : nullptr);
    if (Maybe()) plugin.components = components_.data();
    // A count above the array's true length cannot be told from a right one, so it is not tried.
    plugin.n_components =
        Maybe() ? components_.size() : UINT64_MAX - bytes_.ConsumeIntegral<uint8_t>();
    return Sized(plugin);
  }

 private:
  bool Maybe() { return bytes_.ConsumeIntegralInRange(0, 15) != 0; }

  const char* Text() {
    if (!Maybe()) return nullptr;
    texts_.push_back(std::make_unique<std::string>(bytes_.ConsumeRandomLengthString(256)));
    return texts_.back()->c_str();
  }

  const char* Schema() {
    if (bytes_.ConsumeBool()) return R"({"type":"object"})";
    return Text();
  }

  // A copy of struct_size bytes: the struct's own, fewer, or more.
  template <class T>
  const T* Sized(T value) {
    uint32_t size = sizeof(T);
    if (!Maybe()) size = bytes_.ConsumeIntegralInRange<uint32_t>(0, sizeof(T) + 64);
    value.struct_size = size;
    const size_t stored = std::max<size_t>(size, sizeof(uint32_t));
    void* memory = std::malloc(stored);
    Require(memory != nullptr);
    std::memset(memory, 0xa5, stored);
    std::memcpy(memory, &value, std::min(stored, sizeof(T)));
    memory_.emplace_back(memory, std::free);
    return static_cast<const T*>(memory);
  }

  template <class Function>
  Function Slot(Function function) {
    return Maybe() ? function : nullptr;
  }

  const mfn_component* Component() {
    mfn_source source = {};
    source.read =
        Slot(+[](void*, mfn_call*, uint64_t, uint64_t, mfn_batch*) -> mfn_code { return 0; });
    source.ack =
        Slot(+[](void*, mfn_call*, uint64_t, const mfn_code*, uint64_t) -> mfn_code { return 0; });
    mfn_sink sink = {};
    sink.max_in_flight = bytes_.ConsumeIntegral<uint32_t>();
    sink.write = Slot(+[](void*, mfn_call*, const mfn_batch*) -> mfn_code { return 0; });
    sink.flush = Slot(+[](void*, mfn_call*) -> mfn_code { return 0; });
    mfn_executor executor = {};
    executor.max_in_flight = bytes_.ConsumeIntegral<uint32_t>();
    executor.execute =
        Slot(+[](void*, mfn_call*, const mfn_record*, mfn_batch*) -> mfn_code { return 0; });
    mfn_component component = {};
    component.flags = bytes_.ConsumeIntegral<uint32_t>();
    component.type = Text();
    component.summary = Text();
    component.config_schema = Schema();
    component.create =
        Slot(+[](mfn_call*, const mfn_host*, mfn_bytes, void**) -> mfn_code { return 0; });
    component.destroy = Slot(+[](void*) {});
    if (bytes_.ConsumeBool()) component.source = Sized(source);
    if (bytes_.ConsumeBool()) component.sink = Sized(sink);
    if (bytes_.ConsumeBool()) component.executor = Sized(executor);
    return Sized(component);
  }

  FuzzedDataProvider& bytes_;
  std::vector<std::unique_ptr<std::string>> texts_;
  std::vector<std::unique_ptr<void, void (*)(void*)>> memory_;
  std::vector<const mfn_component*> components_;
};

void CheckComponent(const mfn::registry::Component& component) {
  Require(component.table.create != nullptr && component.table.destroy != nullptr);
  Require(!component.info.type.empty() && component.schema != nullptr);
  Require(component.info.source == (component.source.read != nullptr));
  Require(component.info.sink == (component.sink.write != nullptr));
  Require(component.info.executor == (component.executor.execute != nullptr));
  Require(component.info.source || component.info.sink || component.info.executor);
  Require(component.max_in_flight >= 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider bytes(data, size);
  Descriptor descriptor(&bytes);
  auto plugin = mfn::registry::ImportPlugin(descriptor.Make());
  if (!plugin.ok()) {
    Require(!plugin.status().message().empty());
    return 0;
  }
  for (const auto& component : plugin->components) CheckComponent(*component);
  return 0;
}
