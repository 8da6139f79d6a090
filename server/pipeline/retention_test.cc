// What removes dead letters, and that no setting of the wall clock makes it remove one too early.

#include "server/pipeline/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/base/fake_clock.h"
#include "server/pipeline/test_support.h"

namespace mfn::pipeline {
namespace {

constexpr absl::Duration kMaxAge = absl::Hours(10);

class Ageing : public testing::Test {
 protected:
  // Looks every minute, as a sweep does.
  void Pass(absl::Duration duration) {
    for (; duration > absl::ZeroDuration(); duration -= absl::Minutes(1)) {
      clock_.Advance(std::min(duration, absl::Minutes(1)));
      cutoff_ = age_.Cutoff();
    }
  }
  void Set(absl::Duration by) {
    clock_.SetWall(by);
    cutoff_ = age_.Cutoff();
  }
  bool Removed(absl::Time stamp) const { return stamp < cutoff_; }

  FakeClock clock_;
  const absl::Time old_ = clock_.Now() - kMaxAge - absl::Hours(1);  // of an earlier process
  AgeingClock age_{&clock_, kMaxAge};
  absl::Time cutoff_ = age_.Cutoff();
};

TEST_F(Ageing, AfterAGraceTheWallClockOfTheStartIsBelieved) {
  EXPECT_FALSE(Removed(old_));
  Pass(AgeingClock::kStartGrace - absl::Minutes(1));
  EXPECT_FALSE(Removed(old_));
  Pass(absl::Minutes(1));
  EXPECT_TRUE(Removed(old_));
  EXPECT_EQ(cutoff_, clock_.Now() - kMaxAge);
}

TEST_F(Ageing, AMaximumBelowTheGraceIsTheGrace) {
  AgeingClock age(&clock_, absl::Minutes(5));
  clock_.Advance(absl::Minutes(5));
  EXPECT_EQ(age.Cutoff(), clock_.Now() - absl::Minutes(5));
}

TEST_F(Ageing, AClockThatWasWrongAtTheStartAndIsSetInTheGraceRemovesNothing) {
  clock_.SetWall(absl::Hours(24 * 365));
  AgeingClock age(&clock_, kMaxAge);
  clock_.Advance(absl::Minutes(2));
  EXPECT_EQ(age.Cutoff(), absl::InfinitePast());
  clock_.SetWall(-absl::Hours(24 * 365));
  EXPECT_EQ(age.Cutoff(), absl::InfinitePast());
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(age.Cutoff(), clock_.Now() - kMaxAge);
}

TEST_F(Ageing, AJumpForwardRemovesNothingTooEarlyAndLettersGoOnAgeing) {
  Pass(absl::Hours(2));
  const absl::Time before = clock_.Now();
  Set(absl::Hours(24 * 365));
  const absl::Time after = clock_.Now();
  EXPECT_FALSE(Removed(before));
  Pass(kMaxAge - absl::Minutes(1));
  EXPECT_FALSE(Removed(before)) << "a minute is left";
  Pass(absl::Minutes(2));
  EXPECT_TRUE(Removed(before));
  EXPECT_TRUE(Removed(after)) << "the new time is believed again";
  EXPECT_FALSE(Removed(after + absl::Minutes(2)));
}

TEST_F(Ageing, AJumpForwardInTheGraceHoldsAgeingAsLong) {
  Pass(absl::Minutes(30));
  Set(absl::Hours(24));
  Pass(kMaxAge - absl::Minutes(1));
  EXPECT_EQ(cutoff_, absl::InfinitePast());
  Pass(absl::Minutes(1));
  EXPECT_EQ(cutoff_, clock_.Now() - kMaxAge);
}

TEST_F(Ageing, AJumpBackKeepsWhatIsStampedOnEitherSide) {
  Pass(absl::Hours(2));
  const absl::Time before = clock_.Now();
  Set(-absl::Hours(5));
  const absl::Time after = clock_.Now();
  Pass(kMaxAge - absl::Minutes(1));
  EXPECT_FALSE(Removed(before));
  EXPECT_FALSE(Removed(after));
  Pass(absl::Minutes(2));
  EXPECT_TRUE(Removed(after));
  Pass(absl::Hours(5));
  EXPECT_TRUE(Removed(before));
}

TEST_F(Ageing, BackAndForthKeepsWhatWasStampedInBetween) {
  Pass(absl::Hours(2));
  const absl::Time before = clock_.Now();
  Set(-absl::Hours(24));
  Pass(absl::Minutes(3));
  const absl::Time between = clock_.Now();
  Set(absl::Hours(24));
  Pass(kMaxAge - absl::Minutes(4));
  EXPECT_FALSE(Removed(before));
  EXPECT_FALSE(Removed(between)) << "it is stamped a day too early";
  Pass(absl::Minutes(5));
  EXPECT_TRUE(Removed(before));
  EXPECT_TRUE(Removed(between));
}

TEST_F(Ageing, ASlowCorrectionIsFollowed) {
  Pass(absl::Hours(2));
  for (int k = 0; k < 60; ++k) {
    clock_.SetWall(absl::Milliseconds(300));  // a minute that is half a percent short
    Pass(absl::Minutes(1));
    EXPECT_EQ(cutoff_, clock_.Now() - kMaxAge);
  }
}

TEST(Retention, RemovesWhatIsTooOldAndThenTheOldest) {
  Bench bench;
  FakeClock clock;
  std::vector<store::DeadLetter> letters(6);
  for (int k = 0; k < 6; ++k) {
    letters[k].pipeline = "main";
    letters[k].payload = std::string(100, 'x');
    letters[k].time = clock.Now() - absl::Hours(6 - k);
  }
  ASSERT_TRUE(bench.store->dead_letters().Add(letters).ok());
  std::vector<bool> by_age;
  RetentionSweeper::Options options;
  options.store = &bench.store->dead_letters();
  options.clock = &clock;
  options.stepped = true;
  options.expired = [&](const store::ExpiredDeadLetter& letter) {
    EXPECT_EQ(letter.pipeline, "main");
    by_age.push_back(letter.by_age);
  };
  EXPECT_EQ(*RetentionSweeper(options).Sweep(), 0) << "without bounds";
  options.config.max_age = absl::Hours(5) + absl::Minutes(30);
  RetentionSweeper sweeper(options);
  EXPECT_EQ(*sweeper.Sweep(), 0) << "a process that begins waits";
  clock.Advance(absl::Hours(1));
  EXPECT_EQ(*sweeper.Sweep(), 2) << "six and seven hours";
  clock.SetWall(absl::Hours(1000));
  EXPECT_EQ(*sweeper.Sweep(), 0) << "nothing aged";
  clock.SetWall(-absl::Hours(1000));
  options.config.max_bytes = 300;
  RetentionSweeper bounded(options);
  EXPECT_EQ(*bounded.Sweep(), 1) << "the bound of bytes needs no clock";
  EXPECT_THAT(by_age, testing::ElementsAre(true, true, false));
  EXPECT_EQ(bench.Letters()[0].time, clock.Now() - absl::Hours(4));
  const auto stats = bench.store->dead_letters().Stats("main");
  EXPECT_EQ(stats->count, 3);
  EXPECT_EQ(stats->bytes, 300);
  EXPECT_EQ(stats->oldest, clock.Now() - absl::Hours(4));
  EXPECT_EQ(bench.store->dead_letters().Stats("other")->count, 0);
}

TEST(Retention, SweepsOnAThreadOfItsOwn) {
  Bench bench;
  store::DeadLetter letter;
  letter.pipeline = "main";
  letter.payload = "payload";
  ASSERT_TRUE(bench.store->dead_letters().Add({letter, letter}).ok());
  RetentionSweeper::Options options;
  options.store = &bench.store->dead_letters();
  options.period = absl::Hours(24);
  options.config.max_bytes = 1;
  options.expired = [](const store::ExpiredDeadLetter&) {};
  const RetentionSweeper sweeper(options);
  EXPECT_TRUE(Eventually([&] { return bench.Letters().empty(); }));
}

TEST(Retention, EntersTheBooksWithItsCause) {
  Bench bench;
  bench.AddSink("out").SetAnswer([](auto) {
    return registry::WriteResult{Fault(MFN_PERMANENT), {}};
  });
  bench.source->Feed(0, "r0", "p0");
  ASSERT_TRUE(bench.Make().Start().ok());
  ASSERT_TRUE(Eventually([&] { return bench.Counts().dead_lettered == 1; }));
  bench.runner->Expired(absl::Now());
  bench.runner->Expired(absl::UnixEpoch());  // of an earlier process
  const Conservation counts = bench.Counts();
  EXPECT_TRUE(Bench::Balanced(counts));
  EXPECT_EQ(counts.received, 2u);
  EXPECT_EQ(counts.dead_lettered, 0u);
  EXPECT_EQ(counts.dropped_by_cause.at("retention"), 2u);
}

}  // namespace
}  // namespace mfn::pipeline
