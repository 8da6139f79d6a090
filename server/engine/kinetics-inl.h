// The chemistries that the step kernel can be compiled with. Included once for each instruction
// set.
//
// A kinetics says whether there is a chemistry at all and gives the reaction terms of both species;
// the kernel adds diffusion, the threshold rule and the clamps:
//
//   A' = A + (Da * lap(A) + Activator(A, I))
//   I' = I + (Di * lap(I) + Inhibitor(A, I))     with A' instead of A if kInhibitorSeesNewActivator
//
// Rates holds its constants as vectors. Terms are added and multiplied exactly in the order
// written.

#if defined(MFN_SERVER_ENGINE_KINETICS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MFN_SERVER_ENGINE_KINETICS_INL_H_
#undef MFN_SERVER_ENGINE_KINETICS_INL_H_
#else
#define MFN_SERVER_ENGINE_KINETICS_INL_H_
#endif

#include "hwy/highway.h"
#include "server/engine/kernel.h"

HWY_BEFORE_NAMESPACE();
namespace mfn::engine {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The field alone.
struct NoKinetics {
  static constexpr bool kChemistry = false;
  template <class D>
  struct Rates {
    Rates(D, const KernelParams&) {}
  };
};

// The reference's (numeric model, section 3.3, step 3):
// ra * ((A * (1 - A)) - I)  and  ri * (A - I).
struct MfnKinetics {
  static constexpr bool kChemistry = true;
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

}  // namespace HWY_NAMESPACE
}  // namespace mfn::engine
HWY_AFTER_NAMESPACE();

#endif  // MFN_SERVER_ENGINE_KINETICS_INL_H_
