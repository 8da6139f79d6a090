// The chemistries that the step kernel can be compiled with. Included once for each instruction
// set.
//
// A kinetics says whether there is a chemistry at all, whether it is clamped to [0, 1], whether the
// kernel is compiled for grids that lie by bands (kernel_simd.h), and gives what one time step adds
// to both species; the kernel adds diffusion, the threshold rule and the clamps:
//
//   A' = A + (Da * lap(A) + Activator(A, I))
//   I' = I + (Di * lap(I) + Inhibitor(A, I))     with A' instead of A if kInhibitorSeesNewActivator
//
// Rates holds its constants as vectors. Terms are added and multiplied exactly in the order
// written; equations and sources are in kinetics.h.

#if defined(MFN_SERVER_ENGINE_KINETICS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MFN_SERVER_ENGINE_KINETICS_INL_H_
#undef MFN_SERVER_ENGINE_KINETICS_INL_H_
#else
#define MFN_SERVER_ENGINE_KINETICS_INL_H_
#endif

#include <variant>

#include "hwy/highway.h"
#include "server/engine/kernel.h"

HWY_BEFORE_NAMESPACE();
namespace mfn::engine {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The field alone.
struct NoKinetics {
  static constexpr bool kChemistry = false;
  static constexpr bool kClamped = false;
  static constexpr bool kBands = true;
  template <class D>
  struct Rates {
    Rates(D, const KernelParams&) {}
  };
};

// The reference's (numeric model, section 3.3, step 3):
// ra * ((A * (1 - A)) - I)  and  ri * (A - I).
struct MfnKinetics {
  static constexpr bool kChemistry = true;
  static constexpr bool kClamped = true;
  static constexpr bool kBands = true;
  static constexpr bool kInhibitorSeesNewActivator = false;

  template <class D>
  struct Rates {
    using T = hn::TFromD<D>;
    using V = hn::Vec<D>;
    V one, r_activator, r_inhibitor;

    Rates(D d, const KernelParams& p)
        : one(hn::Set(d, static_cast<T>(1))),
          r_activator(hn::Set(d, static_cast<T>(p.r_activator))),
          r_inhibitor(hn::Set(d, static_cast<T>(p.r_inhibitor))) {}

    HWY_INLINE V Activator(V a, V i) const {
      return hn::Mul(r_activator, hn::Sub(hn::Mul(a, hn::Sub(one, a)), i));
    }
    HWY_INLINE V Inhibitor(V a, V i) const { return hn::Mul(r_inhibitor, hn::Sub(a, i)); }
  };
};

// The request-level simulator's (section 4): the inhibitor reacts to the new, unclamped activator.
struct MfnCompatKinetics : MfnKinetics {
  static constexpr bool kInhibitorSeesNewActivator = true;
};

// A chemistry of its own, with unclamped species that both react to the old state.
struct OpenKinetics {
  static constexpr bool kChemistry = true;
  static constexpr bool kClamped = false;
  static constexpr bool kBands = false;
  static constexpr bool kInhibitorSeesNewActivator = false;
};

template <class D>
HWY_INLINE hn::Vec<D> Constant(D d, double value) {
  return hn::Set(d, static_cast<hn::TFromD<D>>(value));
}

// dt * ((I * A^2) - (feed + kill) * A)  and  dt * (feed * (1 - I) - (I * A^2)).
struct GrayScottKinetics : OpenKinetics {
  template <class D>
  struct Rates {
    using V = hn::Vec<D>;
    V dt, one, feed, removal;

    Rates(D d, const KernelParams& p)
        : dt(Constant(d, p.time_step)),
          one(Constant(d, 1.0)),
          feed(Constant(d, std::get<GrayScott>(p.kinetics).feed)),
          removal(Constant(
              d, std::get<GrayScott>(p.kinetics).feed + std::get<GrayScott>(p.kinetics).kill)) {}

    HWY_INLINE V Activator(V a, V i) const {
      return hn::Mul(dt, hn::Sub(hn::Mul(i, hn::Mul(a, a)), hn::Mul(removal, a)));
    }
    HWY_INLINE V Inhibitor(V a, V i) const {
      return hn::Mul(dt, hn::Sub(hn::Mul(feed, hn::Sub(one, i)), hn::Mul(i, hn::Mul(a, a))));
    }
  };
};

// (dt * gamma) * ((a - A) + A^2 * I)  and  (dt * gamma) * (b - A^2 * I).
struct SchnakenbergKinetics : OpenKinetics {
  template <class D>
  struct Rates {
    using V = hn::Vec<D>;
    V rate, source_a, source_b;

    Rates(D d, const KernelParams& p)
        : rate(Constant(d, p.time_step * std::get<Schnakenberg>(p.kinetics).gamma)),
          source_a(Constant(d, std::get<Schnakenberg>(p.kinetics).a)),
          source_b(Constant(d, std::get<Schnakenberg>(p.kinetics).b)) {}

    HWY_INLINE V Activator(V a, V i) const {
      return hn::Mul(rate, hn::Add(hn::Sub(source_a, a), hn::Mul(hn::Mul(a, a), i)));
    }
    HWY_INLINE V Inhibitor(V a, V i) const {
      return hn::Mul(rate, hn::Sub(source_b, hn::Mul(hn::Mul(a, a), i)));
    }
  };
};

// dt * ((a - b * A) + A^2 / (I * (1 + saturation * A^2)))  and  dt * (A^2 - c * I).
struct GiererMeinhardtKinetics : OpenKinetics {
  template <class D>
  struct Rates {
    using V = hn::Vec<D>;
    V dt, one, source, decay_a, decay_i, saturation;

    Rates(D d, const KernelParams& p)
        : dt(Constant(d, p.time_step)),
          one(Constant(d, 1.0)),
          source(Constant(d, std::get<GiererMeinhardt>(p.kinetics).a)),
          decay_a(Constant(d, std::get<GiererMeinhardt>(p.kinetics).b)),
          decay_i(Constant(d, std::get<GiererMeinhardt>(p.kinetics).c)),
          saturation(Constant(d, std::get<GiererMeinhardt>(p.kinetics).saturation)) {}

    HWY_INLINE V Activator(V a, V i) const {
      const V square = hn::Mul(a, a);
      const V below = hn::Mul(i, hn::Add(one, hn::Mul(saturation, square)));
      return hn::Mul(dt, hn::Add(hn::Sub(source, hn::Mul(decay_a, a)), hn::Div(square, below)));
    }
    HWY_INLINE V Inhibitor(V a, V i) const {
      return hn::Mul(dt, hn::Sub(hn::Mul(a, a), hn::Mul(decay_i, i)));
    }
  };
};

// dt * ((A - A^2 * A) - I)  and  (dt * epsilon) * ((A - a1 * I) - a0).
struct FitzHughNagumoKinetics : OpenKinetics {
  template <class D>
  struct Rates {
    using V = hn::Vec<D>;
    V dt, slow, a1, a0;

    Rates(D d, const KernelParams& p)
        : dt(Constant(d, p.time_step)),
          slow(Constant(d, p.time_step * std::get<FitzHughNagumo>(p.kinetics).epsilon)),
          a1(Constant(d, std::get<FitzHughNagumo>(p.kinetics).a1)),
          a0(Constant(d, std::get<FitzHughNagumo>(p.kinetics).a0)) {}

    HWY_INLINE V Activator(V a, V i) const {
      return hn::Mul(dt, hn::Sub(hn::Sub(a, hn::Mul(hn::Mul(a, a), a)), i));
    }
    HWY_INLINE V Inhibitor(V a, V i) const {
      return hn::Mul(slow, hn::Sub(hn::Sub(a, hn::Mul(a1, i)), a0));
    }
  };
};

// dt * ((a - (b + 1) * A) + A^2 * I)  and  dt * (b * A - A^2 * I).
struct BrusselatorKinetics : OpenKinetics {
  template <class D>
  struct Rates {
    using V = hn::Vec<D>;
    V dt, source, removal, exchange;

    Rates(D d, const KernelParams& p)
        : dt(Constant(d, p.time_step)),
          source(Constant(d, std::get<Brusselator>(p.kinetics).a)),
          removal(Constant(d, std::get<Brusselator>(p.kinetics).b + 1.0)),
          exchange(Constant(d, std::get<Brusselator>(p.kinetics).b)) {}

    HWY_INLINE V Activator(V a, V i) const {
      return hn::Mul(dt, hn::Add(hn::Sub(source, hn::Mul(removal, a)), hn::Mul(hn::Mul(a, a), i)));
    }
    HWY_INLINE V Inhibitor(V a, V i) const {
      return hn::Mul(dt, hn::Sub(hn::Mul(exchange, a), hn::Mul(hn::Mul(a, a), i)));
    }
  };
};

}  // namespace HWY_NAMESPACE
}  // namespace mfn::engine
HWY_AFTER_NAMESPACE();

#endif  // MFN_SERVER_ENGINE_KINETICS_INL_H_
