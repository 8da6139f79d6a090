// For the thread sanitizer's preset, found before the installed header of this name. That one gives
// map fields two more members in instrumented code. The installed library is not instrumented: it
// would look for the others, the mutex among them, where they are not.
#pragma GCC system_header
#pragma push_macro("__SANITIZE_THREAD__")
#undef __SANITIZE_THREAD__
#include_next <google/protobuf/map_field.h>
#pragma pop_macro("__SANITIZE_THREAD__")
