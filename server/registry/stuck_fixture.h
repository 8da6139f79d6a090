// The test plugin that hangs where it is told to (testdata/stuck.c), in a registry on a virtual
// clock, with its controls.
#ifndef MFN_SERVER_REGISTRY_STUCK_FIXTURE_H_
#define MFN_SERVER_REGISTRY_STUCK_FIXTURE_H_

#include <dlfcn.h>

#include <future>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/base/fake_clock.h"
#include "server/registry/registry.h"

namespace mfn::registry {
inline constexpr char kStuckPlugin[] = MFN_TESTDATA "/stuck.so";
inline constexpr absl::Duration kTimeout = absl::Seconds(10), kGrace = absl::Seconds(1);

class StuckCallTest : public testing::Test {
 protected:
  StuckCallTest() {
    registry_ = MakeRegistry(nullptr);
    library_ = dlopen(kStuckPlugin, RTLD_NOW | RTLD_NOLOAD);
    Control<void()>("stuck_reset")();
  }
  ~StuckCallTest() override {
    LetGo();
    registry_.reset();
    // Threads that come back late still use the clock.
    while (StuckPluginThreads() > 0) std::this_thread::yield();
  }

  std::unique_ptr<Registry> MakeRegistry(store::StateStore* state) {
    RegistryOptions options;
    options.state = state;
    options.clock = &clock_;
    options.sleeper = &clock_;
    options.random = &random_;
    options.overrun_grace = kGrace;
    options.max_stuck_calls = 3;
    auto registry = Registry::Create(options);
    EXPECT_TRUE(registry->LoadFile(kStuckPlugin).ok());
    return registry;
  }
  template <class F>
  F* Control(const char* name) {
    return reinterpret_cast<F*>(dlsym(library_, name));
  }
  void Hang(const char* what, int times = 1) {
    Control<void(const char*, int)>("stuck_hang")(what, times);
  }
  void Answer(const char* what, mfn_code code) {
    Control<void(const char*, int)>("stuck_answer")(what, code);
  }
  int Count(const char* what) { return Control<int(const char*)>("stuck_count")(what); }
  void Await(const char* what, int least) {
    Control<void(const char*, int)>("stuck_await")(what, least);
  }
  void LetGo() { Control<void()>("stuck_let_go")(); }

  static InstanceConfig Config() {
    InstanceConfig config;
    config.name = "it";
    config.type = "stuck";
    config.timeout = kTimeout;
    config.retry.max_retries = 0;
    return config;
  }
  std::shared_ptr<Instance> Make(const InstanceConfig& config = Config()) {
    auto instance = registry_->CreateInstance(config);
    EXPECT_TRUE(instance.ok()) << instance.status();
    return *instance;
  }
  static mfn_record Record(const std::string& payload) {
    mfn_record record = {};
    record.payload = {reinterpret_cast<const uint8_t*>(payload.data()), payload.size()};
    record.time_unix_ns = MFN_TIME_ABSENT;
    return record;
  }
  static WriteResult Write(Instance& instance, const std::string& payload = "x") {
    const mfn_record record = Record(payload);
    return instance.Write(CopyRecords({&record, 1}), {});
  }
  static ReadResult Execute(Instance& instance, const std::string& what,
                            const Cancellation& cancel = {}) {
    const mfn_record record = Record(what);
    return instance.Execute(CopyRecords({&record, 1}), true, cancel);
  }
  static std::string Text(const ReadResult& result) {
    if (result.batch.records().size() != 1)
      return absl::StrCat("no text: ", result.failure.message);
    const mfn_bytes payload = result.batch.records()[0].payload;
    return {reinterpret_cast<const char*>(payload.data), payload.len};
  }
  static ReadResult Read(Instance& instance) { return instance.Read(1, 100, kTimeout, {}); }

  // Runs `call`, whose plugin function hangs, on a thread of its own until it is given up.
  template <class F>
  auto GiveUp(F call, int hung = 1) {
    auto answer = std::async(std::launch::async, call);
    Await("hung", hung);
    clock_.Advance(kTimeout + kGrace);
    return answer.get();
  }

  FakeClock clock_;
  FakeRandom random_{{0.0}};
  std::unique_ptr<Registry> registry_;
  void* library_ = nullptr;
};

}  // namespace mfn::registry

#endif  // MFN_SERVER_REGISTRY_STUCK_FIXTURE_H_
