// Seeds of any size: reading, printing, refusing.

#include "server/engine/seed.h"

#include <gtest/gtest.h>

#include <string>

namespace mfn::engine {
namespace {

TEST(SeedTest, DecimalTextSurvivesAtEverySize) {
  for (const char* text : {"0", "1", "4294967295", "4294967296", "18446744073709551615",
                           "18446744073709551616", "1000000000", "999999999000000000000000001",
                           "340282366920938463463374607431768211456000000000000000000007"}) {
    auto seed = Seed::FromDecimal(text);
    ASSERT_TRUE(seed.ok()) << text;
    EXPECT_EQ(seed->ToString(), text);
  }
}

TEST(SeedTest, EqualValuesAreEqualSeedsHoweverTheyWereMade) {
  EXPECT_EQ(*Seed::FromDecimal("00042"), Seed(42));
  EXPECT_EQ(*Seed::FromDecimal("0"), Seed());
  EXPECT_EQ(*Seed::FromDecimal("18446744073709551615"), Seed(~uint64_t{0}));
  const uint32_t limbs[] = {7, 0, 0};
  EXPECT_EQ(Seed::FromLimbs(limbs), Seed(7));
  EXPECT_TRUE(Seed(0).limbs().empty());
}

TEST(SeedTest, RefusesEverythingElse) {
  for (const char* text : {"", "-1", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "abc"}) {
    auto seed = Seed::FromDecimal(text);
    ASSERT_FALSE(seed.ok()) << text;
    EXPECT_EQ(seed.error().kind, ErrorKind::kInvalidArgument) << text;
    EXPECT_EQ(seed.error().field, "seed") << text;
  }
  EXPECT_FALSE(Seed::FromDecimal(std::string(kMaxSeedDigits + 1, '1')).ok());
  EXPECT_TRUE(Seed::FromDecimal(std::string(kMaxSeedDigits, '1')).ok());
}

TEST(SeedTest, DrawnSeedsDifferAndCanBeRepeatedFromText) {
  const Seed a = RandomSeed();
  EXPECT_FALSE(a == RandomSeed());
  EXPECT_LE(a.limbs().size(), 4u);
  EXPECT_EQ(*Seed::FromDecimal(a.ToString()), a);
}

}  // namespace
}  // namespace mfn::engine
