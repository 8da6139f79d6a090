/* The library that missing_library.c needs. */
int needed(void);
int needed(void) { return 1; }
