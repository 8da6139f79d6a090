/* No defect: the plugin that must load and serve beside all the others. */
#include "../sound.h"
