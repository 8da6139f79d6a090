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
