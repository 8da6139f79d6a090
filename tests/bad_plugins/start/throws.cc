// DEFECT: a static initialiser that throws, where nobody can catch it. COST: the file is not
// loaded.
#include <stdexcept>

#include "../sound.h"
namespace {
int Throw() { throw std::runtime_error("thrown before main"); }
const int kThrown = Throw();
}  // namespace
