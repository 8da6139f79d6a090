/* No defect: a descriptor of a later minor version, with members that this host does not know.
 * COST: none; they are ignored. */
#include <mfn/plugin.h>
#define ENTRY
#define MINOR 4711
#define COMPONENT_SIZE (sizeof(mfn_component) + 64)
#include "../sound.h"
static struct {
  mfn_component known;
  uint8_t tail[64];
} later;
static const mfn_component* const list[] = {&later.known};
static mfn_plugin changed;
const mfn_plugin* mfn_plugin_entry_v1(uint32_t minor) {
  (void)minor;
  later.known = component;
  memset(later.tail, 0xAB, sizeof(later.tail));
  changed = plugin;
  changed.components = list;
  return &changed;
}
