// Random numbers in vectors, compiled once for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "server/engine/rng_simd.cc"
#include "hwy/foreach_target.h"
// The above must come first.
#include "hwy/highway.h"
#include "server/engine/rng_simd.h"
#include "server/engine/ziggurat_tables.h"

HWY_BEFORE_NAMESPACE();
namespace mfn::engine {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET <= HWY_AVX3
// With products of 64 bits in vectors: as many generators as there are lanes in two vectors, each
// jumping as many steps at a time.

// A vector of 128-bit numbers.
template <class D>
struct Wide {
  hn::Vec<D> high, low;
};

// x -> m * x + a, modulo 2^128.
template <class D>
class Jump {
 public:
  Jump(D d, Uint128 m, Uint128 a)
      : m_high_(hn::Set(d, static_cast<uint64_t>(m >> 64))),
        m_low_(hn::Set(d, static_cast<uint64_t>(m))),
        m_upper_(hn::ShiftRight<32>(m_low_)),
        a_high_(hn::Set(d, static_cast<uint64_t>(a >> 64))),
        a_high_and_carry_(hn::Set(d, static_cast<uint64_t>(a >> 64) + 1)),
        a_low_(hn::Set(d, static_cast<uint64_t>(a))),
        half_(hn::Set(d, 0xffffffff)) {}

  HWY_INLINE Wide<D> operator()(Wide<D> x) const {
    const auto upper = hn::ShiftRight<32>(x.low);
    const auto ll = Product(x.low, m_low_);
    const auto t = hn::Add(Product(upper, m_low_), hn::ShiftRight<32>(ll));
    const auto middle = hn::Add(Product(x.low, m_upper_), hn::And(t, half_));
    const auto carried = hn::Add(hn::ShiftRight<32>(t), hn::ShiftRight<32>(middle));
    const auto high_of_lows = hn::Add(Product(upper, m_upper_), carried);
    const auto product = hn::Or(hn::ShiftLeft<32>(middle), hn::And(ll, half_));
    const auto low = hn::Add(product, a_low_);
    const auto cross = hn::Add(hn::Mul(x.high, m_low_), hn::Mul(x.low, m_high_));
    const auto more = hn::IfThenElse(hn::Lt(low, a_low_), a_high_and_carry_, a_high_);
    return {hn::Add(hn::Add(cross, high_of_lows), more), low};
  }

 private:
  using V = hn::Vec<D>;
  // Of the lower halves of every lane.
  static HWY_INLINE V Product(V a, V b) {
    const hn::Repartition<uint32_t, D> halves;
    return hn::MulEven(hn::BitCast(halves, a), hn::BitCast(halves, b));
  }

  V m_high_, m_low_, m_upper_, a_high_, a_high_and_carry_, a_low_, half_;
};

void Draw(Uint128* state, Uint128 inc, size_t count, RawWords* words) {
  using D = hn::ScalableTag<uint64_t>;
  const D d;
  const size_t lanes = hn::Lanes(d);
  constexpr size_t kGenerators = 2 * hn::MaxLanes(D());
  static_assert(RawWords::kCapacity % kGenerators == 0);
  HWY_ALIGN uint64_t high[kGenerators], low[kGenerators];
  Uint128 m = 1, a = 0, now = *state;
  for (size_t k = 0; k < kGenerators; ++k) {
    now = now * Generator::kMultiplier + inc;
    high[k] = static_cast<uint64_t>(now >> 64);
    low[k] = static_cast<uint64_t>(now);
    m *= Generator::kMultiplier;
    a = a * Generator::kMultiplier + inc;
  }
  const Jump<D> jump(d, m, a);
  Wide<D> first = {hn::Load(d, high), hn::Load(d, low)};
  Wide<D> second = {hn::Load(d, high + lanes), hn::Load(d, low + lanes)};
  for (size_t k = 0; k < count; k += kGenerators) {
    hn::StoreU(first.high, d, words->high + k);
    hn::StoreU(second.high, d, words->high + k + lanes);
    hn::StoreU(hn::Xor(first.high, first.low), d, words->mixed + k);
    hn::StoreU(hn::Xor(second.high, second.low), d, words->mixed + k + lanes);
    first = jump(first);
    second = jump(second);
  }
  words->count = count;
  if (count == 0) return;
  const uint64_t last = words->high[count - 1];
  *state = static_cast<Uint128>(last) << 64 | (words->mixed[count - 1] ^ last);
}
#else
// Four generators, each jumping four steps at a time, so that no multiplication waits for the last.
void Draw(Uint128* state, Uint128 inc, size_t count, RawWords* words) {
  constexpr Uint128 kM = Generator::kMultiplier;
  constexpr Uint128 kM4 = kM * kM * kM * kM;
  const Uint128 add4 = inc * (kM * kM * kM + kM * kM + kM + 1);
  words->count = count;
  Uint128 now[4] = {*state, 0, 0, 0};
  for (size_t q = 1; q < 4; ++q) now[q] = now[q - 1] * kM + inc;
  const auto put = [words](size_t k, Uint128 s) {
    words->high[k] = static_cast<uint64_t>(s >> 64);
    words->mixed[k] = words->high[k] ^ static_cast<uint64_t>(s);
  };
  // now[q] is the state after q, q + 4, ... steps; the state itself gives no word.
  for (size_t q = 1; q < 4 && q <= count; ++q) put(q - 1, now[q]);
  size_t k = 3;
  for (; k + 4 <= count; k += 4) {
    for (size_t q = 0; q < 4; ++q) {
      now[q] = now[q] * kM4 + add4;
      put(k + q, now[q]);
    }
  }
  for (size_t q = 0; k < count; ++k, ++q) {
    now[q] = now[q] * kM4 + add4;
    put(k, now[q]);
  }
  *state = now[count % 4];
}
#endif

template <class DU>
HWY_INLINE hn::Vec<DU> WordsAt(DU du, const RawWords& words, size_t k) {
  const auto mixed = hn::LoadU(du, words.mixed + k);
  const auto turn = hn::ShiftRight<58>(hn::LoadU(du, words.high + k));
  const auto back = hn::And(hn::Sub(hn::Zero(du), turn), hn::Set(du, 63));
  return hn::Or(hn::Shr(mixed, turn), hn::Shl(mixed, back));
}

// Returns how many of a vector's first words were accepted; writes all lanes.
template <class D>
HWY_INLINE size_t NormalVector(D d, const RawWords& words, size_t k, double loc, double scale,
                               double* out) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const auto word = WordsAt(du, words, k);
  const auto layer = hn::BitCast(di, hn::And(word, hn::Set(du, 0xff)));
  const auto sign = hn::ShiftLeft<55>(hn::And(word, hn::Set(du, 0x100)));
  const auto rabs =
      hn::BitCast(di, hn::And(hn::ShiftRight<9>(word), hn::Set(du, 0x000fffffffffffff)));
  const auto limit = hn::GatherIndex(di, reinterpret_cast<const int64_t*>(kZigguratKi), layer);
  const auto x = hn::Mul(hn::ConvertTo(d, rabs), hn::GatherIndex(d, kZigguratWi, layer));
  const auto z = hn::BitCast(d, hn::Xor(hn::BitCast(du, x), sign));
  hn::StoreU(hn::Add(hn::Set(d, loc), hn::Mul(hn::Set(d, scale), z)), d, out);
  const auto accepted = hn::Lt(rabs, limit);
  if (hn::AllTrue(di, accepted)) return hn::Lanes(d);
  return hn::FindKnownFirstTrue(di, hn::Not(accepted));
}

size_t Normals(const RawWords& words, size_t at, double loc, double scale, double* out) {
  const hn::ScalableTag<double> widest;
  const size_t lanes = hn::Lanes(widest);
  size_t k = at;
  for (; k + lanes <= words.count; k += lanes) {
    const size_t accepted = NormalVector(widest, words, k, loc, scale, out + (k - at));
    if (accepted < lanes) return k + accepted - at;
  }
  for (; k < words.count; ++k) {
    if (NormalVector(hn::CappedTag<double, 1>(), words, k, loc, scale, out + (k - at)) == 0) break;
  }
  return k - at;
}

template <class D>
HWY_INLINE void UniformVector(D d, const RawWords& words, size_t k, double lo, double width,
                              double* out) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const auto bits = hn::BitCast(di, hn::ShiftRight<11>(WordsAt(du, words, k)));
  const auto random = hn::Mul(hn::ConvertTo(d, bits), hn::Set(d, 0x1.0p-53));
  hn::StoreU(hn::Add(hn::Set(d, lo), hn::Mul(hn::Set(d, width), random)), d, out + k);
}

void Uniforms(const RawWords& words, double lo, double width, double* out) {
  const hn::ScalableTag<double> widest;
  size_t k = 0;
  for (; k + hn::Lanes(widest) <= words.count; k += hn::Lanes(widest)) {
    UniformVector(widest, words, k, lo, width, out);
  }
  for (; k < words.count; ++k) {
    UniformVector(hn::CappedTag<double, 1>(), words, k, lo, width, out);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace mfn::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace mfn::engine {

HWY_EXPORT(Draw);
HWY_EXPORT(Normals);
HWY_EXPORT(Uniforms);

void DrawWords(Uint128* state, Uint128 inc, size_t count, RawWords* words) {
  HWY_DYNAMIC_DISPATCH(Draw)(state, inc, count, words);
}

size_t NormalsFromWords(const RawWords& words, size_t at, double loc, double scale, double* out) {
  return HWY_DYNAMIC_DISPATCH(Normals)(words, at, loc, scale, out);
}

void UniformsFromWords(const RawWords& words, double lo, double width, double* out) {
  HWY_DYNAMIC_DISPATCH(Uniforms)(words, lo, width, out);
}

}  // namespace mfn::engine
#endif  // HWY_ONCE
