/* DEFECT: exports functions that libraries of the server have too, and that would break them.
 * COST: none; the library is loaded for itself alone. */
#include <stdlib.h>

#include "../sound.h"
#define CLASH(name)            \
  MFN_EXPORT void* name(void); \
  void* name(void) { abort(); }
CLASH(sqlite3_prepare_v2)
CLASH(sqlite3_step)
CLASH(deflate)
CLASH(inflate)
CLASH(crc32)
CLASH(ZSTD_compress)
CLASH(SHA256)
CLASH(grpc_init)
