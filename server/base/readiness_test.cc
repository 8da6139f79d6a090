// Readiness: what holds, what does not, and answers that grow old.
#include "server/base/readiness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/fake_clock.h"

namespace mfn {
namespace {

TEST(Readiness, NothingHoldsBeforeItIsSet) {
  FakeClock clock;
  Readiness readiness({"a", "b"}, &clock);
  EXPECT_FALSE(readiness.Ready());
  readiness.Set("a", absl::OkStatus());
  EXPECT_FALSE(readiness.Ready());
  readiness.Set("b", absl::OkStatus(), "2 of 3");
  EXPECT_TRUE(readiness.Ready());
  EXPECT_EQ(readiness.Checks()[1].message, "2 of 3");
}

TEST(Readiness, SaysWhyNotInTheOrderOfTheNames) {
  FakeClock clock;
  Readiness readiness({"b", "a"}, &clock);
  readiness.Set("a", absl::UnavailableError("draining"));
  readiness.Set("b", absl::OkStatus());
  const auto checks = readiness.Checks();
  ASSERT_EQ(checks.size(), 2u);
  EXPECT_EQ(checks[0].name, "b");
  EXPECT_EQ(checks[1].message, "draining");
  EXPECT_FALSE(checks[1].ok);
}

TEST(Readiness, AnOldAnswerIsNoAnswer) {
  FakeClock clock;
  Readiness readiness({"store"}, &clock);
  readiness.SetFor("store", absl::OkStatus(), absl::Seconds(10));
  clock.Advance(absl::Seconds(9));
  EXPECT_TRUE(readiness.Ready());
  clock.Advance(absl::Seconds(1));
  EXPECT_FALSE(readiness.Ready());
  EXPECT_THAT(readiness.Checks()[0].message, testing::HasSubstr("no answer"));
  readiness.SetFor("store", absl::OkStatus(), absl::Seconds(10));
  EXPECT_TRUE(readiness.Ready());
}

}  // namespace
}  // namespace mfn
