// The generator against the golden vectors of section 2: every bit must match.

#include "server/engine/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "server/engine/golden_test_util.h"
#include "server/engine/ziggurat_tables.h"

namespace mfn::engine {
namespace {

using nlohmann::json;

Uint128 Hex128(const json& value) {
  const std::string digits = value.get<std::string>().substr(2);
  Uint128 out = 0;
  for (char c : digits) {
    out = (out << 4) | static_cast<Uint128>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return out;
}

class RngGoldenTest : public testing::Test {
 protected:
  template <typename Check>
  void ForEachCase(Check check) {
    for (const json& c : GoldenCases("rng.json")) {
      SCOPED_TRACE("seed " + c["seed"].get<std::string>());
      check(c, Generator(GoldenSeed(c["seed"])));
    }
  }

  // The values of `draw`, repeated on a fresh generator, against the list under `key`.
  template <typename Draw>
  void ExpectSequence(const char* key, Draw draw) {
    ForEachCase([&](const json& c, Generator g) {
      for (const json& want : c[key]) {
        if constexpr (std::is_same_v<decltype(draw(g)), double>) {
          ASSERT_EQ(draw(g), GoldenNumber(want)) << key;
        } else {
          ASSERT_EQ(draw(g), want.get<uint64_t>()) << key;
        }
      }
    });
  }
};

TEST_F(RngGoldenTest, SeedExpansionAndInitialState) {
  ForEachCase([](const json& c, const Generator& g) {
    const SeedExpansion expansion = ExpandSeed(GoldenSeed(c["seed"]));
    for (size_t k = 0; k < 4; ++k) {
      EXPECT_EQ(expansion.pool[k], c["seed_sequence_pool"][k].get<uint32_t>());
      EXPECT_EQ(expansion.words[k], GoldenHex(c["generate_state_u64"][k]));
    }
    EXPECT_TRUE(g.state() == Hex128(c["initial_state"]));
    EXPECT_TRUE(g.inc() == Hex128(c["initial_inc"]));
    EXPECT_FALSE(g.has_uint32());
  });
}

TEST_F(RngGoldenTest, RawWords) {
  ForEachCase([](const json& c, Generator g) {
    for (const json& want : c["raw_u64"]) ASSERT_EQ(g.Next64(), GoldenHex(want));
  });
}

TEST_F(RngGoldenTest, Uniforms) {
  ExpectSequence("random", [](Generator& g) { return g.Random(); });
}

TEST_F(RngGoldenTest, Normals) {
  ExpectSequence("standard_normal", [](Generator& g) { return g.StandardNormal(); });
}

TEST_F(RngGoldenTest, BoundedIntegers) {
  ExpectSequence("integers_64", [](Generator& g) { return g.Integers(64); });
  ExpectSequence("integers_100", [](Generator& g) { return g.Integers(100); });
  ExpectSequence("integers_512", [](Generator& g) { return g.Integers(512); });
  ExpectSequence("integers_2pow31_plus_1",
                 [](Generator& g) { return g.Integers((uint64_t{1} << 31) + 1); });
  ExpectSequence("integers_2pow40_plus_3",
                 [](Generator& g) { return g.Integers((uint64_t{1} << 40) + 3); });
}

TEST_F(RngGoldenTest, MixedCallsShareOneStream) {
  ForEachCase([](const json& c, Generator g) {
    for (size_t k = 0; k < c["mixed_ops"].size(); ++k) {
      const json& op = c["mixed_ops"][k];
      const json& want = c["mixed_values"][k];
      const std::string name = op[0];
      if (name == "integers") {
        ASSERT_EQ(g.Integers(op[1].get<uint64_t>()), want.get<uint64_t>()) << "call " << k;
        continue;
      }
      double got = std::nan("");
      if (name == "random") got = g.Random();
      if (name == "standard_normal") got = g.StandardNormal();
      if (name == "normal") got = g.Normal(GoldenNumber(op[1]), GoldenNumber(op[2]));
      if (name == "uniform") got = g.Uniform(GoldenNumber(op[1]), GoldenNumber(op[2]));
      ASSERT_EQ(got, GoldenNumber(want)) << "call " << k << " " << name;
    }
  });
}

// Long sequences reach the wedges and the tail of the ziggurat and the rejections of the integers.
TEST_F(RngGoldenTest, LongSequences) {
  ForEachCase([](const json& c, const Generator& fresh) {
    const json& bulk = c["bulk"];
    Generator g = fresh;
    std::vector<double> normals(100'000);
    g.FillStandardNormal(normals);
    EXPECT_EQ(DigestOf(normals), bulk["sha256_100000_standard_normal"]);
    const size_t largest = bulk["argmax_abs_standard_normal"];
    const double want = GoldenNumber(bulk["max_abs_standard_normal"]);
    EXPECT_EQ(std::fabs(normals[largest]), std::fabs(want));

    g = fresh;
    std::vector<uint64_t> integers(100'000);
    g.FillIntegers(integers, 100);
    EXPECT_EQ(DigestOf(std::span<const uint64_t>(integers)),
              bulk["sha256_100000_integers_100_le_i64"]);
    g = fresh;
    integers.resize(1000);
    g.FillIntegers(integers, (uint64_t{1} << 31) + 1);
    EXPECT_EQ(DigestOf(std::span<const uint64_t>(integers)),
              bulk["sha256_1000_integers_2pow31_plus_1_le_i64"]);
  });
}

TEST_F(RngGoldenTest, ChoiceWithoutReplacement) {
  ForEachCase([](const json& c, const Generator& fresh) {
    for (const json& choice : c["choice_without_replacement"]) {
      Generator g = fresh;
      const auto got = g.ChoiceWithoutReplacement(choice["population"], choice["size"]);
      for (size_t k = 0; k < choice["first"].size(); ++k) {
        ASSERT_EQ(got[k], choice["first"][k].get<uint64_t>()) << choice["population"];
      }
      EXPECT_EQ(DigestOf(std::span<const uint64_t>(got)), choice["sha256_le_i64"]);
    }
  });
}

TEST(RngTest, ZigguratTablesAreTheReferences) {
  EXPECT_EQ(DigestOf(std::span<const uint64_t>(kZigguratKi, 256)),
            "565295797825931547a1036f5b012a247be54abbe077c39fe06c8ed1e9d0a5a9");
  EXPECT_EQ(DigestOf(std::span<const double>(kZigguratWi, 256)),
            "33c6472209e1d09ea3548f0291e5e1ad67fb4f1d0305e9f1086689584b7bb7fa");
  EXPECT_EQ(DigestOf(std::span<const double>(kZigguratFi, 256)),
            "acd898d9d87e212f657755ba43b21e40958090a7ff2103c9e79f4ea1b0fe2bc5");
}

// Arrays are filled by another route than single values; sizes around those of its blocks.
TEST(RngTest, FillingDrawsWhatSingleCallsDraw) {
  for (size_t n : {0u, 1u, 3u, 8u, 9u, 255u, 256u, 257u, 1000u, 70'000u}) {
    Generator filled(n);
    Generator single(n);
    std::vector<double> values(n);
    for (int round = 0; round < 3; ++round) {
      filled.FillNormal(values, -0.07, 0.005);
      for (double value : values) ASSERT_EQ(value, single.Normal(-0.07, 0.005)) << n;
      filled.FillUniform(values, -1.0, 3.0);
      for (double value : values) ASSERT_EQ(value, single.Uniform(-1.0, 3.0)) << n;
    }
    EXPECT_TRUE(filled == single) << n;
  }
}

TEST(RngTest, SkippingIsDrawingWithoutLooking) {
  for (const uint64_t words : {0u, 1u, 2u, 3u, 64u, 4095u, 70'001u}) {
    Generator skipped(words), drawn(words);
    skipped.Skip(words);
    for (uint64_t k = 0; k < words; ++k) drawn.Next64();
    EXPECT_TRUE(skipped == drawn) << words;
  }
}

TEST(RngTest, HalvesShareOneWordAndSurviveOtherDraws) {
  Generator g(42);
  Generator words(42);
  const uint64_t first = words.Next64();
  const uint64_t second = words.Next64();
  EXPECT_EQ(g.Next32(), static_cast<uint32_t>(first));
  EXPECT_TRUE(g.has_uint32());
  EXPECT_EQ(g.uinteger(), static_cast<uint32_t>(first >> 32));
  EXPECT_EQ(g.Next64(), second);
  EXPECT_EQ(g.Next32(), static_cast<uint32_t>(first >> 32));
  EXPECT_FALSE(g.has_uint32());
  EXPECT_TRUE(g.state() == words.state());
}

TEST(RngTest, DrawsThatConsumeNothing) {
  Generator g(7);
  const Generator before = g;
  EXPECT_EQ(g.Integers(1), 0u);
  EXPECT_EQ(g.Integers(-5, -4), -5);
  EXPECT_TRUE(g.ChoiceWithoutReplacement(10, 0).empty());
  EXPECT_TRUE(g == before);
}

TEST(RngTest, IntegersWithLowerBoundShiftTheSameDraws) {
  Generator a(9);
  Generator b(9);
  for (int k = 0; k < 100; ++k) {
    const int64_t value = a.Integers(int64_t{-50}, int64_t{151});
    EXPECT_EQ(value, -50 + static_cast<int64_t>(b.Integers(201)));
  }
  EXPECT_TRUE(a == b);
}

TEST(RngTest, ChoosingEverythingIsAPermutation) {
  for (uint64_t n : {5u, 10'001u}) {
    Generator g(3);
    const auto all = g.ChoiceWithoutReplacement(n, n + 1);
    EXPECT_EQ(all.size(), n);
    EXPECT_EQ(std::set<uint64_t>(all.begin(), all.end()).size(), n);
    EXPECT_EQ(*std::max_element(all.begin(), all.end()), n - 1);
  }
}

}  // namespace
}  // namespace mfn::engine
